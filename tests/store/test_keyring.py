"""Rotation of signing keys: published before used, kept until nothing needs it, on every table and engine."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, text, update

from aauthlib.keys import SigningKey
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.database import Database, schema
from aauthlib.store.keyring import DEFAULT_LEAD_S, DEFAULT_ROTATION_S, KeyRing, KeyStore, StoredKey
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.provider import SQLProviderStore

pytestmark = pytest.mark.spec("#jwks-discovery")

NOW = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ring(store: KeyStore, clock: Clock, *, rotation_s: float = DEFAULT_ROTATION_S) -> KeyRing:
    return KeyRing(store, clock=clock, longest_token_s=3600, rotation_s=rotation_s)


def kids(keys: KeyRing) -> list[str]:
    return [str(member["kid"]) for member in keys.published.members]


async def opened(store: KeyStore, clock: Clock, **options: float) -> KeyRing:
    keys = ring(store, clock, **options)
    await keys.refresh()
    return keys


def key_of(at: float) -> StoredKey:
    return StoredKey(jwk=dict(SigningKey.generate().to_private_jwk()), published_at=at, use_from=at)


class Contract:
    """What every table must do."""

    async def test_the_first_key_is_published_and_signs_at_once(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        assert kids(keys) == [keys.signing.kid]

    async def test_the_first_key_is_one_however_many_start_at_once(self, store: KeyStore, clock: Clock) -> None:
        rings = [ring(store, clock) for _ in range(4)]
        await asyncio.gather(*(each.refresh() for each in rings))
        assert len(await store.keys()) == 1
        assert len({each.signing.kid for each in rings}) == 1

    async def test_a_new_key_is_published_before_it_signs(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        old = keys.signing.kid
        new = await keys.rotate()
        assert kids(keys) == [old, new.kid]
        clock.now += DEFAULT_LEAD_S - 1
        assert keys.signing.kid == old
        clock.now += 1
        assert keys.signing.kid == new.kid

    async def test_the_old_key_stays_until_its_last_token_has_expired(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        old = keys.signing.kid
        await keys.rotate()
        clock.now += DEFAULT_LEAD_S + 3600 + 300
        await keys.refresh()
        assert old in kids(keys)
        clock.now += 60
        await keys.refresh()
        assert [key.kid for key in await store.keys()] == kids(keys) == [keys.signing.kid]
        assert keys.signing.kid != old

    async def test_keys_rotate_by_themselves(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock, rotation_s=86_400)
        old = keys.signing.kid
        clock.now += 86_400
        await keys.refresh()
        assert keys.signing.kid == old
        assert len(kids(keys)) == 2
        clock.now += DEFAULT_LEAD_S
        assert keys.signing.kid != old

    async def test_another_process_publishes_a_new_key_before_it_signs(self, store: KeyStore, clock: Clock) -> None:
        one, two = await opened(store, clock), await opened(store, clock)
        assert one.signing.kid == two.signing.kid
        await one.rotate()
        clock.now += 60
        await two.refresh()
        assert kids(two) == kids(one)
        clock.now += DEFAULT_LEAD_S - 60
        assert one.signing.kid == two.signing.kid

    async def test_processes_that_rotate_at_once_make_one_key(self, store: KeyStore, clock: Clock) -> None:
        rings = [await opened(store, clock) for _ in range(3)]
        newest = await asyncio.gather(*(each.rotate() for each in rings))
        assert len({key.kid for key in newest}) == 1
        assert len(await store.keys()) == 2

    async def test_a_rotation_under_way_is_not_overtaken_by_another(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        assert await keys.rotate() == await keys.rotate()
        clock.now += DEFAULT_LEAD_S
        await keys.rotate()
        assert len(await store.keys()) == 3

    async def test_a_key_can_sign_at_once_even_while_another_waits(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        old = keys.signing.kid
        waiting = await keys.rotate()
        clock.now += 1
        new = await keys.rotate(at_once=True)
        assert keys.signing.kid == new.kid
        assert kids(keys) == [old, waiting.kid, new.kid]
        clock.now += DEFAULT_LEAD_S
        assert keys.signing.kid == new.kid, "the one that waited was overtaken"

    async def test_a_leaked_key_is_published_no_longer_nor_one_that_waits(self, store: KeyStore, clock: Clock) -> None:
        keys = await opened(store, clock)
        clock.now += 1
        await keys.rotate()
        clock.now += 1
        new = await keys.replace()
        assert kids(keys) == [new.kid]
        assert keys.signing.kid == new.kid
        other = await opened(store, clock)
        assert kids(other) == [new.kid]

    async def test_processes_that_replace_at_once_leave_one_key_of_theirs(self, store: KeyStore, clock: Clock) -> None:
        rings = [await opened(store, clock) for _ in range(3)]
        old = rings[0].signing.kid
        clock.now += 1
        made = await asyncio.gather(*(each.replace() for each in rings))
        left = [key.kid for key in await store.keys()]
        assert len(left) == 1
        assert left[0] in {key.kid for key in made} - {old}

    async def test_a_process_that_dies_after_it_made_a_key_leaves_a_whole_rotation(
        self, store: KeyStore, clock: Clock
    ) -> None:
        await (await opened(store, clock)).rotate()
        clock.now += DEFAULT_LEAD_S
        assert (await opened(store, clock)).signing.kid == (await store.keys())[-1].kid

    async def test_a_clock_set_back_does_not_leave_the_server_without_a_key(
        self, store: KeyStore, clock: Clock
    ) -> None:
        keys = await opened(store, clock)
        signing = keys.signing.kid
        clock.now -= 10_000
        await keys.refresh()
        assert keys.signing.kid == signing

    async def test_of_two_keys_that_follow_the_same_one_is_kept(self, store: KeyStore, clock: Clock) -> None:
        first, *rest = (key_of(NOW + n) for n in range(3))
        assert await store.add_key(first, only_if_latest=None)
        assert not await store.add_key(rest[0], only_if_latest=None)
        assert [await store.add_key(key, only_if_latest=first.kid) for key in rest] == [True, False]
        assert await store.keys() == [first, rest[0]]


class TestPersonServer(Contract):
    @pytest.fixture(params=["sqlite", "postgresql"])
    def store(self, request: pytest.FixtureRequest) -> KeyStore:
        return SQLPersonStore(request.getfixturevalue(request.param)).signing_keys

    async def test_keys_from_before_there_was_a_lead_sign_from_when_they_were_made(
        self, sqlite: Database, clock: Clock
    ) -> None:
        store = SQLPersonStore(sqlite).signing_keys
        keys = await opened(store, clock)
        clock.now += 5
        new = await keys.rotate(at_once=True)
        async with sqlite.transaction() as connection:
            await connection.execute(update(schema.tables["person_signing_keys"]).values(use_from=None))
        assert (await opened(store, clock)).signing.kid == new.kid

    async def test_a_process_that_makes_a_key_waits_for_one_that_is_making_it(
        self, postgresql: Database, clock: Clock
    ) -> None:
        first, second = key_of(NOW), key_of(NOW + 1)
        store, table = SQLPersonStore(postgresql).signing_keys, schema.tables["person_signing_keys"]
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        async with postgresql.transaction() as other:
            await other.execute(insert(table).values(kid=first.kid, jwk="{}", created_at=NOW))
            adding = asyncio.create_task(store.add_key(second, only_if_latest=None))
            async with asyncio.timeout(5), postgresql.reading() as connection:
                while not adding.done() and not await connection.scalar(waiting):
                    pass
        assert await adding is False


class TestAccessServer(Contract):
    @pytest.fixture
    def store(self, sqlite: Database) -> KeyStore:
        return SQLAccessStore(sqlite).signing_keys


class TestAgentProvider(Contract):
    @pytest.fixture(params=["sqlite", "postgresql"])
    def store(self, request: pytest.FixtureRequest) -> KeyStore:
        return SQLProviderStore(request.getfixturevalue(request.param)).signing_keys
