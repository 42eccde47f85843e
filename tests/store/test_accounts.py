"""The account store, on SQLite and on PostgreSQL (#ps-approval-endpoint-auth)."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from aauthlib.errors import NotFound
from aauthlib.store.account_records import Account, AccountTaken, Passkey, Session
from aauthlib.store.accounts import SQLAccountStore
from aauthlib.store.database import Database

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")

NOW = 1_800_000_000.0
ANA = Account(person_id="a", username="ana", display_name="Ana", user_handle=b"a" * 32, created_at=NOW)
BO = Account(person_id="b", username="bo", display_name="Bo", password_hash="x", user_handle=b"b" * 32, created_at=NOW)
KEY = Passkey(
    credential_id=b"\x00one", person_id="a", public_key=b"k", sign_count=3, backed_up=True, name="K", created_at=NOW
)
SESSION = Session(
    digest="d" * 64,
    person_id="a",
    browser="Firefox",
    method="passkey",
    created_at=NOW,
    last_seen_at=NOW,
    expires_at=NOW + 9,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> SQLAccountStore:
    database: Database = request.getfixturevalue(request.param)
    return SQLAccountStore(database)


async def test_what_was_kept_is_found_as_it_was(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True, passkey=KEY)
    await store.create_session(SESSION, now=NOW)
    assert await store.account("a") == await store.account_named("ana") == ANA
    assert await store.passkey(KEY.credential_id) == KEY
    assert await store.session(SESSION.digest) == SESSION
    assert (list(await store.passkeys("a")), list(await store.sessions("a"))) == ([KEY], [SESSION])


async def test_one_of_many_first_accounts_is_made(store: SQLAccountStore) -> None:
    made = []

    async def make(number: int) -> None:
        account = replace(ANA, person_id=str(number), username=f"p{number}", user_handle=bytes([number]) * 32)
        try:
            await store.create_account(account, first=True)
        except AccountTaken:
            return
        made.append(number)

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(make, number)
    assert len(made) == await store.count_accounts() == 1


async def test_an_account_whose_passkey_is_taken_is_not_made(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True, passkey=KEY)
    with pytest.raises(AccountTaken):
        await store.create_account(BO, first=False, passkey=replace(KEY, person_id="b"))
    assert await store.account("b") is None


async def test_a_secret_is_the_first_one_that_was_offered(store: SQLAccountStore) -> None:
    offered = [bytes([number]) * 32 for number in range(4)]
    found = []

    async def ask(fresh: bytes) -> None:
        found.append(await store.secret("name", fresh))

    async with anyio.create_task_group() as group:
        for fresh in offered:
            group.start_soon(ask, fresh)
    assert len(set(found)) == 1
    assert found[0] in offered


async def test_a_challenge_is_used_once_and_forgotten_after_its_time(store: SQLAccountStore) -> None:
    assert await store.use_challenge("c", expires_at=NOW + 5, now=NOW)
    assert not await store.use_challenge("c", expires_at=NOW + 5, now=NOW + 1)
    assert await store.use_challenge("other", expires_at=NOW + 20, now=NOW + 6)
    assert await store.use_challenge("c", expires_at=NOW + 20, now=NOW + 6)


async def test_a_passkey_read_before_somebody_used_it_cannot_be_used(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True, passkey=KEY)
    assert await store.use_passkey(KEY, sign_count=4, backed_up=False, now=NOW)
    assert not await store.use_passkey(KEY, sign_count=5, backed_up=False, now=NOW)


async def test_the_last_way_in_stays(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True, passkey=KEY)
    assert not await store.remove_passkey("a", KEY.credential_id)
    await store.set_password("a", "hash", keep_session=None)
    assert await store.remove_passkey("a", KEY.credential_id)
    with pytest.raises(NotFound):
        await store.remove_passkey("a", KEY.credential_id)


async def test_a_new_password_keeps_one_session(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True)
    await store.create_account(BO, first=False)
    for digest, person_id in (("1", "a"), ("2", "a"), ("3", "b")):
        await store.create_session(replace(SESSION, digest=digest, person_id=person_id), now=NOW)
    await store.set_password("a", "hash", keep_session="1")
    assert [session.digest for session in await store.sessions("a")] == ["1"]
    assert await store.session("3")


async def test_sessions_past_their_time_are_dropped_when_one_begins(store: SQLAccountStore) -> None:
    await store.create_account(ANA, first=True)
    await store.create_session(SESSION, now=NOW)
    await store.create_session(replace(SESSION, digest="later", expires_at=NOW + 99), now=NOW + 10)
    assert await store.session(SESSION.digest) is None
