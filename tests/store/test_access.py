"""What an access server keeps, on every engine (#token-revocation, #ps-as-trust-establishment)."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from aauthlib.deferred.machine import Event, State
from aauthlib.deferred.pending import Pending
from aauthlib.deferred.revoking import Notice
from aauthlib.deferred.revoking import Revoked as Told
from aauthlib.errors import InvalidCode, Revoked
from aauthlib.messages.codes import code_digest
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.access_records import (
    EXCHANGE,
    Binding,
    DecisionRecord,
    Exchange,
    Ground,
    IssuedAuthToken,
    Learned,
)
from aauthlib.store.database import Database

NOW = 1_800_000_000.0
PS, CALENDAR = "https://ps.example", "https://calendar.example"
CODE = code_digest("A1B2-C3D4")


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> SQLAccessStore:
    database: Database = request.getfixturevalue(request.param)
    return SQLAccessStore(database)


def pending(**changes: Any) -> Pending:
    presented = {"iss": PS, "jti": "p1", "exp": NOW + 900}
    values: dict[str, Any] = {
        "digest": secrets.token_hex(32),
        "owner": PS,
        "kind": EXCHANGE,
        "state": State.PENDING,
        "created_at": NOW,
        "expires_at": NOW + 900,
        "request": {
            "ps": PS,
            "presented": presented,
            "root": presented,
            "resource_token": {"iss": CALENDAR, "jti": "r1", "exp": NOW + 300},
        },
        **changes,
    }
    return Pending(**values)


def told(jti: str, outcome: str) -> tuple[Notice, Told]:
    return Notice(jti=jti, exp=NOW + 900, recipient=CALENDAR), Told(outcome)


def token(jti: str = "a1", presented: str = "p1", root: str = "p1", **changes: Any) -> IssuedAuthToken:
    values: dict[str, Any] = {
        "jti": jti,
        "ps": PS,
        "aud": CALENDAR,
        "sub": "alice",
        "exp": NOW + 900,
        "grounds": (Ground(PS, presented, NOW + 900), Ground(CALENDAR, "r1", NOW + 300)),
        "root": Ground(PS, root, NOW + 900),
        "scope": "calendar.read",
        "issued_at": NOW,
        **changes,
    }
    return IssuedAuthToken(**values)


async def opened(store: SQLAccessStore, **changes: Any) -> Exchange:
    made = pending(**changes)
    await store.create_pending(made)
    exchange = await store.exchange(made.digest)
    assert exchange is not None
    return exchange


async def again(store: SQLAccessStore, exchange: Exchange) -> Exchange:
    found = await store.exchange(exchange.pending.digest)
    assert found is not None
    return found


async def test_of_two_moves_from_one_step_the_second_writes_nothing(store: SQLAccessStore) -> None:
    exchange = await opened(store)
    terms = {"claims": ["email"]}
    assert await store.move(exchange, Learned(), requirement="claims", terms=terms, now=NOW)
    assert not await store.move(exchange, Learned(paid=True), requirement="approval", now=NOW)
    moved = await again(store, exchange)
    assert (moved.pending.requirement, moved.terms, moved.step, moved.learned) == ("claims", terms, 1, Learned())


async def test_a_move_after_the_end_or_after_its_time_writes_nothing(store: SQLAccessStore) -> None:
    exchange = await opened(store)
    assert not await store.move(exchange, Learned(), event=Event.GRANT, now=NOW + 900)
    await store.advance_pending(exchange.pending.digest, Event.CANCEL)
    binding = Binding(ps=PS, resource=CALENDAR, sub="alice", user="u", bound_at=NOW)
    assert not await store.move(exchange, Learned(), requirement="claims", binding=binding, now=NOW)
    assert await store.bound_user(PS, resource=CALENDAR, sub="alice") is None


async def test_a_binding_and_a_payment_are_written_with_the_move(store: SQLAccessStore) -> None:
    exchange = await opened(store)
    binding = Binding(ps=PS, resource=CALENDAR, sub="alice", user="u", bound_at=NOW)
    assert await store.move(exchange, Learned(), requirement="x", binding=binding, payment="tx1", now=NOW)
    assert await store.bound_user(PS, resource=CALENDAR, sub="alice") == "u"
    assert await store.bound_user("https://other.example", resource=CALENDAR, sub="alice") is None
    assert await store.has_billing(PS)
    other = await opened(store)
    assert not await store.move(other, Learned(), requirement="x", payment="tx1", now=NOW)
    assert (await again(store, other)).step == 0


async def test_a_code_belongs_to_the_step_it_was_made_for(store: SQLAccessStore) -> None:
    exchange = await opened(store)
    await store.move(exchange, Learned(), requirement="interaction", now=NOW)
    digest = exchange.pending.digest
    assert not await store.set_code(digest, step=0, handle="h0", code_digest=CODE)
    assert await store.set_code(digest, step=1, handle="h1", code_digest=CODE)
    with pytest.raises(InvalidCode):
        await store.check_code("h1", code_digest("ZZZZ-ZZZZ"), max_attempts=5)
    assert await store.set_code(digest, step=1, handle="h1", code_digest=CODE)
    assert (await again(store, exchange)).pending.code_attempts == 1  # repeating it gives no new attempts
    arrived = await store.arrive("h1", CODE, user="u", max_attempts=5)
    assert (arrived.decision, arrived.state) == ({"user": "u"}, State.INTERACTING)
    with pytest.raises(InvalidCode):
        await store.arrive("h1", CODE, user="v", max_attempts=5)


@pytest.mark.spec("#revocation-cascade")
async def test_a_revocation_finds_what_was_issued_directly_and_by_step_up(store: SQLAccessStore) -> None:
    assert await store.record_issued(token("a1"))
    assert await store.record_issued(token("a2", presented="a1", root="p1"))
    assert await store.record_issued(token("other", presented="p2", root="p2"))
    exchange = await opened(store)
    await store.revoke(iss=PS, jti="p1", exp=NOW + 900, detail="why", now=NOW)
    assert [found.jti for found in await store.withdrawn(iss=PS, jti="p1", now=NOW)] == ["a1", "a2"]
    ended = (await again(store, exchange)).pending
    assert (ended.state, ended.detail) == (State.REVOKED, "why")
    assert not await store.record_issued(token("a3"))
    assert await store.record_issued(token("a4", presented="p2", root="p2"))
    assert await store.is_revoked(PS, "p1")
    assert not await store.is_revoked(CALENDAR, "p1")
    assert await store.revocations_held(PS) == 1


@pytest.mark.spec("#revocation-response")
async def test_outcomes_are_kept_and_a_repetition_records_nothing_new(store: SQLAccessStore) -> None:
    await store.record_issued(token("a1"))
    await store.revoke(iss=PS, jti="p1", exp=NOW + 900, detail="", now=NOW)
    await store.record_outcomes([told("a1", "recorded")], now=NOW)
    await store.revoke(iss=PS, jti="p1", exp=NOW + 900, detail="", now=NOW + 5)
    (found,) = await store.withdrawn(iss=PS, jti="p1", now=NOW + 5)
    assert (found.revocation, found.revoked_at) == ("recorded", NOW)


@pytest.mark.spec("#revocation-response")
async def test_a_resource_that_was_not_told_is_told_again(store: SQLAccessStore) -> None:
    await store.record_issued(token("a1"))
    await store.record_issued(token("a2"))
    await store.record_issued(token("other", presented="p2", root="p2"))
    await store.revoke(iss=PS, jti="p1", exp=NOW + 900, detail="", now=NOW)
    assert await store.count_untold(now=NOW) == 2
    await store.record_outcomes([told("a1", "recorded"), told("a2", "revocation_unavailable")], now=NOW)
    assert await store.count_untold(now=NOW) == 1
    (notice,) = await store.claim_notices(now=NOW + 60, until=NOW + 180)
    assert (notice.jti, notice.recipient, notice.tries) == ("a2", CALENDAR, 1)
    await store.record_outcomes([(notice, Told("revocation_unsupported"))], now=NOW + 60)
    assert await store.count_untold(now=NOW) == 0
    await store.withdraw(ps=PS, resource=CALENDAR, sub="alice", now=NOW)
    assert await store.count_untold(now=NOW) == 1, "withdrawing here is a revocation too"


@pytest.mark.spec("#revocation-cascade")
async def test_a_delivery_whose_ground_was_revoked_writes_nothing(store: SQLAccessStore) -> None:
    exchange = await opened(store)
    await store.move(exchange, Learned(), event=Event.GRANT, decision={"scope": ["x"]}, now=NOW)
    # Revoked under a name the request is not searched by, so that only the ground itself can stop it.
    hangs = replace(token("a1"), grounds=(Ground(PS, "elsewhere", NOW + 900),))
    await store.revoke(iss=PS, jti="elsewhere", exp=NOW + 900, detail="", now=NOW)
    with pytest.raises(Revoked):
        await store.advance_pending(exchange.pending.digest, Event.DELIVER, record=hangs)
    assert (await again(store, exchange)).pending.state is State.GRANTED
    assert await store.issued("a1") is None


async def test_open_requests_are_counted_by_person_server_and_for_all_unknown_ones(store: SQLAccessStore) -> None:
    await opened(store)
    request = {**pending().request, "ps": "https://two.example"}
    await opened(store, owner="https://two.example", request=request)
    assert await store.open_exchanges(PS, tenant=None, known=[], now=NOW) == (1, 0, 2)
    assert await store.open_exchanges(PS, tenant=None, known=[PS], now=NOW) == (1, 0, 1)
    assert await store.open_exchanges(PS, tenant=None, known=[], now=NOW + 900) == (0, 0, 0)


async def test_the_log_is_kept_and_what_served_its_time_is_dropped(store: SQLAccessStore) -> None:
    record = DecisionRecord(
        at=NOW,
        ps=PS,
        agent="aauth:a@ap.example",
        resource=CALENDAR,
        sub="alice",
        scope="x",
        decision="allow",
        reason="",
        rule="r",
        version="1",
    )
    await store.log(record)
    assert await store.history(ps=PS) == [record]
    assert await store.history(ps="https://other.example") == []
    await store.record_issued(token("a1"))
    exchange = await opened(store)
    await store.move(exchange, Learned(claims={"email": "x"}), requirement="approval", now=NOW)
    await store.purge(now=NOW + 901)
    assert (await again(store, exchange)).learned == Learned()
    assert await store.purge(now=NOW + 900 + 3601) > 0
    assert await store.exchange(exchange.pending.digest) is None
    assert await store.issued("a1") is None
    assert await store.history() == [record]
    await store.purge(now=NOW + 401 * 86_400)
    assert await store.history() == []
