"""What a resource keeps: the same behaviour in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from aauthlib.deferred.machine import Event, IllegalTransition, State
from aauthlib.deferred.pending import Pending
from aauthlib.errors import InvalidCode, NotFound, TemporarilyUnavailable
from aauthlib.resource import ResourceStore
from aauthlib.store.database import Database, schema
from aauthlib.store.resource import SQLResourceStore
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.store.resource_records import HELD_TRANSITIONS, Held, HeldState, NewSession

NOW = 1_790_000_000.0
AGENT = ("https://ap.example", "aauth:a@ap.example")
PS = "https://ps.example"


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pending(digest: str = "p1", **changes: Any) -> Pending:
    values: dict[str, Any] = {
        "digest": digest,
        "owner": "me",
        "kind": "session",
        "state": State.PENDING,
        "created_at": NOW,
        "expires_at": NOW + 900,
        "requirement": "interaction",
        "handle": f"h-{digest}",
        "code_digest": "right",
        "request": {"scope": ["a"]},
        **changes,
    }
    return Pending(**values)


def held(digest: str = "d1", **changes: Any) -> Held:
    values: dict[str, Any] = {
        "digest": digest,
        "agent_jkt": "jkt",
        "method": "POST",
        "target": "/x?y=1",
        "headers": (("a", "1"), ("a", "2"), ("b", "\xe9")),
        "body": b"\x00body",
        "scopes": ("s1", "s2"),
        "account": None,
        "created_at": NOW,
        "expires_at": NOW + 900,
        "token_expires_at": NOW + 300,
        **changes,
    }
    return Held(**values)


def session(session_id: str = "s1", digest: str = "t1", **changes: Any) -> NewSession:
    values: dict[str, Any] = {
        "session_id": session_id,
        "digest": digest,
        "agent": AGENT,
        "user": "user-1",
        "scope": ("a", "b"),
        "now": NOW,
        "expires_at": NOW + 10_000,
        **changes,
    }
    return NewSession(**values)


async def keep(store: ResourceStore, record: NewSession) -> None:
    """Keep a session as it is kept: with the delivery of the request it answers."""
    digest = f"for-{record.session_id}"
    await store.create_pending(pending(digest))
    await store.decide_pending(digest, Event.GRANT, {"user": record.user})
    await store.advance_pending(digest, Event.DELIVER, record=record)


class Contract:
    """What every store does."""

    # ---------------------------------------------------------------- pending requests

    async def test_a_pending_request_is_found_by_digest_and_by_handle(self, store: ResourceStore) -> None:
        await store.create_pending(pending())
        assert await store.get_pending("p1") == pending()
        assert await store.get_interaction("h-p1") == pending()
        assert await store.get_pending("h-p1") is None
        assert await store.get_interaction("p1") is None

    async def test_a_decision_is_kept_with_the_state_it_leads_to(self, store: ResourceStore) -> None:
        await store.create_pending(pending())
        decided = await store.decide_pending("p1", Event.GRANT, {"user": "u"}, detail="why")
        assert (decided.state, decided.decision, decided.detail) == (State.GRANTED, {"user": "u"}, "why")
        assert await store.get_pending("p1") == decided
        with pytest.raises(IllegalTransition):
            await store.decide_pending("p1", Event.DENY, {"user": "v"})
        assert await store.get_pending("p1") == decided
        with pytest.raises(NotFound):
            await store.decide_pending("nope", Event.GRANT, {})
        with pytest.raises(NotFound):
            await store.advance_pending("nope", Event.CANCEL)

    async def test_a_session_is_kept_only_if_the_delivery_is(self, store: ResourceStore) -> None:
        await store.create_pending(pending())
        with pytest.raises(IllegalTransition):
            await store.advance_pending("p1", Event.DELIVER, record=session())
        assert await store.use_session("t1", AGENT, NOW, grace_s=60) is None

    async def test_a_code_is_consumed_once_and_failures_are_counted(self, store: ResourceStore) -> None:
        await store.create_pending(pending())
        for _ in range(2):
            with pytest.raises(InvalidCode):
                await store.consume_code("h-p1", "wrong", max_attempts=3)
        arrived = await store.consume_code("h-p1", "right", max_attempts=3)
        assert (arrived.state, arrived.code_consumed, arrived.code_attempts) == (State.INTERACTING, True, 2)
        with pytest.raises(InvalidCode):
            await store.consume_code("h-p1", "right", max_attempts=3)
        await store.create_pending(pending("p2"))
        for _ in range(3):
            with pytest.raises(InvalidCode):
                await store.consume_code("h-p2", "wrong", max_attempts=3)
        ended = await store.get_pending("p2")
        assert ended is not None
        assert ended.state is State.INVALID_CODE
        with pytest.raises(InvalidCode):
            await store.consume_code("h-p2", "right", max_attempts=3)
        with pytest.raises(InvalidCode):
            await store.consume_code("unknown", "right", max_attempts=3)

    async def test_only_what_still_waits_is_counted(self, store: ResourceStore) -> None:
        for number in range(3):
            await store.create_pending(pending(f"p{number}"))
        await store.create_pending(pending("other", owner="you"))
        await store.create_pending(pending("old", expires_at=NOW - 1))
        await store.advance_pending("p0", Event.CANCEL)
        assert await store.count_waiting("me", NOW) == 2

    async def test_a_waiter_is_woken_by_a_decision(self, store: ResourceStore) -> None:
        await store.create_pending(pending())
        waiting = asyncio.create_task(store.wait_pending(pending(), 30))
        await asyncio.sleep(0)
        await store.decide_pending("p1", Event.GRANT, {})
        await asyncio.wait_for(waiting, 5)

    # ---------------------------------------------------------------- persons

    @pytest.mark.spec("#person-token-verification", "#request-context-binding")
    async def test_the_same_subject_of_another_issuer_is_another_person(self, store: ResourceStore) -> None:
        first = await store.see_person(PS, "x", "acme", NOW)
        await store.link_person(PS, "x", "user-1")
        other = await store.see_person("https://other.example", "x", None, NOW)
        again = await store.see_person(PS, "x", "acme", NOW + 100)
        assert (first.user, other.user, again.user) == (None, None, "user-1")
        assert (again.first_seen, again.last_seen, again.tenant) == (NOW, NOW + 100, "acme")
        await store.link_person(PS, "x", None)
        assert (await store.see_person(PS, "x", None, NOW + 101)).user is None
        with pytest.raises(NotFound):
            await store.link_person(PS, "unknown", "user-1")

    async def test_a_person_seen_twice_at_once_has_one_record(self, store: ResourceStore) -> None:
        records = await asyncio.gather(*(store.see_person(PS, "x", None, NOW) for _ in range(5)))
        assert {record.first_seen for record in records} == {NOW}

    # ---------------------------------------------------------------- revocations

    @pytest.mark.spec("#token-revocation")
    async def test_a_revocation_is_keyed_by_issuer_and_jti(self, store: ResourceStore) -> None:
        assert await store.revoke(PS, "j", NOW + 100, NOW, most=10, most_of_all=1000)
        assert await store.is_revoked(PS, "j")
        assert not await store.is_revoked("https://other.example", "j")
        assert not await store.is_revoked(PS, "k")

    async def test_one_issuer_holds_a_bounded_number_of_revocations(self, store: ResourceStore, clock: Clock) -> None:
        for number in range(3):
            assert await store.revoke(PS, f"j{number}", NOW + 100, NOW, most=3, most_of_all=1000)
        assert await store.revoke(PS, "j0", NOW + 200, NOW, most=3, most_of_all=1000)
        assert not await store.revoke(PS, "j3", NOW + 100, NOW, most=3, most_of_all=1000)
        assert await store.revoke("https://other.example", "j3", NOW + 100, NOW, most=3, most_of_all=1000)
        clock.now = NOW + 150
        assert await store.revoke(PS, "j3", NOW + 300, clock.now, most=3, most_of_all=1000)
        assert await store.is_revoked(PS, "j0")

    async def test_a_repeated_revocation_never_ends_sooner(self, store: ResourceStore, clock: Clock) -> None:
        await store.revoke(PS, "j", NOW + 1000, NOW, most=10, most_of_all=1000)
        await store.revoke(PS, "j", NOW + 10, NOW, most=10, most_of_all=1000)
        clock.now = NOW + 500
        await store.revoke(PS, "other", NOW + 1000, clock.now, most=10, most_of_all=1000)
        assert await store.is_revoked(PS, "j")

    # ---------------------------------------------------------------- sessions

    @pytest.mark.spec("#aauth-access")
    async def test_a_session_is_found_by_its_token_for_its_agent_until_it_ends(self, store: ResourceStore) -> None:
        await keep(store, session())
        found = await store.use_session("t1", AGENT, NOW + 1, grace_s=60)
        assert found is not None
        assert (found.user, found.scope, found.created_at, found.issued_at) == ("user-1", ("a", "b"), NOW, NOW)
        assert not found.superseded
        assert await store.use_session("t1", (AGENT[0], "aauth:b@ap.example"), NOW, grace_s=60) is None
        assert await store.use_session("t1", ("https://other.example", AGENT[1]), NOW, grace_s=60) is None
        assert await store.use_session("t2", AGENT, NOW, grace_s=60) is None
        assert await store.use_session("t1", AGENT, NOW + 10_000, grace_s=60) is None

    @pytest.mark.spec("#aauth-access")
    async def test_the_first_use_of_a_replacement_ends_the_tokens_before_it(self, store: ResourceStore) -> None:
        await keep(store, session())
        assert await store.replace_session("s1", "t2", NOW + 10, interval_s=60)
        assert not await store.replace_session("s1", "t3", NOW + 20, interval_s=60)
        assert await store.replace_session("s1", "t3", NOW + 80, interval_s=60)
        old = await store.use_session("t1", AGENT, NOW + 100, grace_s=60)
        assert old is not None
        assert not old.superseded
        new = await store.use_session("t3", AGENT, NOW + 100, grace_s=60)
        assert new is not None
        assert new.issued_at == NOW + 80
        for token in ("t1", "t2"):
            in_grace = await store.use_session(token, AGENT, NOW + 159, grace_s=60)
            assert in_grace is not None
            assert in_grace.superseded
            assert await store.use_session(token, AGENT, NOW + 161, grace_s=60) is None
        assert await store.use_session("t3", AGENT, NOW + 5000, grace_s=60) is not None
        assert not await store.replace_session("unknown", "t9", NOW, interval_s=60)

    async def test_ending_the_sessions_of_a_user_ends_all_their_tokens(self, store: ResourceStore) -> None:
        await keep(store, session())
        await store.replace_session("s1", "t2", NOW + 10, interval_s=60)
        await keep(store, session("s2", "u1"))
        await keep(store, session("s3", "v1", user="user-2"))
        assert await store.end_sessions("user-1") == 2
        for token in ("t1", "t2", "u1"):
            assert await store.use_session(token, AGENT, NOW, grace_s=60) is None
        assert await store.use_session("v1", AGENT, NOW, grace_s=60) is not None

    # ---------------------------------------------------------------- held invocations

    @pytest.mark.spec("#deferred-auth-token")
    async def test_a_held_invocation_comes_back_as_it_was_kept(self, store: ResourceStore) -> None:
        assert await store.hold(held(), most=5)
        assert await store.get_held("d1") == held()
        assert await store.get_held("d2") is None
        await store.renew_held("d1", NOW + 500)
        assert await store.get_held("d1") == held(token_expires_at=NOW + 500)

    @pytest.mark.spec("#deferred-auth-token")
    async def test_of_many_who_start_it_one_does(self, store: ResourceStore) -> None:
        await store.hold(held(), most=5)
        started = await asyncio.gather(
            *(
                store.advance_held("d1", HeldState.EXECUTING, jti=(PS, f"j{n}"), started_at=NOW, retain_until=NOW + 9)
                for n in range(6)
            )
        )
        won = [one for one in started if one is not None]
        assert len(won) == 1
        current = await store.get_held("d1")
        assert current == won[0]
        done = await store.advance_held(
            "d1", HeldState.DONE, status=201, result_headers=(("x", "1"), ("x", "2")), result_body=b"\xff"
        )
        assert done == replace(
            won[0], state=HeldState.DONE, status=201, result_headers=(("x", "1"), ("x", "2")), result_body=b"\xff"
        )

    @pytest.mark.parametrize("state", list(HeldState))
    async def test_a_held_invocation_moves_as_the_table_says_and_no_other_way(
        self, store: ResourceStore, state: HeldState
    ) -> None:
        for number, target in enumerate(HeldState):
            await store.hold(held(f"d{number}", state=state, agent_jkt=f"k{number}"), most=5)
            moved = await store.advance_held(f"d{number}", target)
            assert (moved is not None) == (target in HELD_TRANSITIONS[state])
        assert await store.advance_held("unknown", HeldState.EXECUTING) is None

    async def test_one_key_holds_a_bounded_number_of_invocations(self, store: ResourceStore, clock: Clock) -> None:
        assert await store.hold(held("d1"), most=2)
        assert await store.hold(held("d2"), most=2)
        assert not await store.hold(held("d3"), most=2)
        assert await store.hold(held("d3", agent_jkt="another"), most=2)
        await store.advance_held("d1", HeldState.CANCELLED)
        assert await store.hold(held("d4"), most=2)
        clock.now = NOW + 901
        assert await store.hold(held("d5", expires_at=NOW + 2000), most=2)


class TestInMemory(Contract):
    @pytest.fixture
    def store(self, clock: Clock) -> ResourceStore:
        return MemoryResourceStore(clock)


class TestOnSQLite(Contract):
    @pytest.fixture
    async def store(self, tmp_path: Path, clock: Clock) -> AsyncIterator[ResourceStore]:
        database = await Database.open(f"sqlite:///{tmp_path}/resource.db")
        yield SQLResourceStore(database, clock)
        await database.close()


class TestOnPostgreSQL(Contract):
    @pytest.fixture
    async def store(self, needs_postgres: str, clock: Clock) -> AsyncIterator[ResourceStore]:
        database = await Database.open(needs_postgres)
        async with database.transaction() as connection:
            for table in reversed(schema.sorted_tables):
                if table.name == "pending" or table.name.startswith("resource_"):
                    await connection.execute(delete(table))
        yield SQLResourceStore(database, clock)
        await database.close()


# ---------------------------------------------------------------- bounds


async def test_in_memory_what_is_over_makes_room_and_what_is_not_is_refused() -> None:
    clock = Clock()
    store = MemoryResourceStore(clock, max_entries=3)
    for number in range(3):
        await store.create_pending(pending(f"p{number}"))
        await store.hold(held(f"d{number}", agent_jkt=f"k{number}"), most=5)
        assert await store.revoke(f"https://ps{number}.example", "j", NOW + 100, NOW, most=5, most_of_all=1000)
    with pytest.raises(TemporarilyUnavailable):
        await store.create_pending(pending("p4"))
    with pytest.raises(TemporarilyUnavailable):
        await store.hold(held("d4", agent_jkt="k4"), most=5)
    assert not await store.revoke("https://ps4.example", "j", NOW + 100, NOW, most=5, most_of_all=1000)
    clock.now = NOW + 5000
    await store.create_pending(pending("p4"))
    await store.hold(held("d4"), most=5)
    assert await store.revoke("https://ps4.example", "j", NOW + 9000, clock.now, most=5, most_of_all=1000)
    assert await store.get_pending("p0") is None
    assert await store.get_interaction("h-p0") is None


async def test_in_memory_revocations_of_everybody_are_bounded_but_for_whom_is_dealt_with() -> None:
    clock = Clock()
    store = MemoryResourceStore(clock)
    for number in range(3):
        assert await store.revoke(f"https://ps{number}.example", "j", NOW + 100, NOW, most=5, most_of_all=3)
    assert not await store.revoke(PS, "j", NOW + 100, NOW, most=5, most_of_all=3)
    assert await store.revoke("https://ps0.example", "j", NOW + 200, NOW, most=5, most_of_all=3), "a repetition"
    await store.see_person(PS, "somebody", None, NOW)
    assert await store.revoke(PS, "j", NOW + 100, NOW, most=5, most_of_all=3)


async def test_in_memory_sessions_and_persons_are_bounded() -> None:
    clock = Clock()
    store = MemoryResourceStore(clock, max_entries=2)
    await keep(store, session("s1", "t1", expires_at=NOW + 10))
    await keep(store, session("s2", "t2"))
    clock.now = NOW + 2000
    await keep(store, session("s3", "t3"))
    assert await store.use_session("t2", AGENT, clock.now, grace_s=1) is not None
    for number in range(9):
        await store.see_person(PS, f"x{number}", None, NOW + number)
    assert (await store.see_person(PS, "x8", None, clock.now)).first_seen == NOW + 8
    assert (await store.see_person(PS, "x0", None, clock.now)).first_seen == clock.now


async def test_in_memory_held_bodies_are_bounded_in_bytes() -> None:
    store = MemoryResourceStore(Clock(), max_held_bytes=10)
    assert await store.hold(held("d1", body=b"12345678"), most=5)
    assert not await store.hold(held("d2", body=b"123"), most=5)


async def test_in_a_database_what_all_keys_hold_is_bounded_in_bytes(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/resource.db")
    store = SQLResourceStore(database, Clock(), max_held_bytes=10)
    assert await store.hold(held("d1", agent_jkt="k1", body=b"12345678"), most=5)
    assert not await store.hold(held("d2", agent_jkt="k2", body=b"123"), most=5)
    assert await store.hold(held("d3", agent_jkt="k3", body=b"12"), most=5)
    await database.close()


async def test_in_a_database_what_is_over_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    database = await Database.open(f"sqlite:///{tmp_path}/resource.db")
    store = SQLResourceStore(database, clock)
    await store.revoke(PS, "j", NOW + 100, NOW, most=5, most_of_all=1000)
    await store.hold(held(), most=5)
    await keep(store, session(expires_at=NOW + 10))
    clock.now = NOW + 5000
    await store.hold(held("d2"), most=5)
    assert not await store.is_revoked(PS, "j")
    assert await store.get_held("d1") is None
    assert await store.use_session("t1", AGENT, NOW, grace_s=1) is None
    await database.close()
