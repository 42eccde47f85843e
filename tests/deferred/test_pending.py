from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aauthlib.deferred.machine import TERMINAL, TRANSITIONS, WIRE_ERRORS, Event, IllegalTransition, State
from aauthlib.deferred.pending import (
    MAX_CODE_ATTEMPTS,
    MAX_WAIT_S,
    Completion,
    Opened,
    Pending,
    PendingRequests,
    accepted_response,
    id_digest,
)
from aauthlib.errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    Gone,
    InvalidCode,
    InvalidScope,
    NotFound,
    ProblemError,
    Revoked,
    ServerError,
    SlowDown,
)
from aauthlib.http import Response, json_response
from aauthlib.messages.codes import CODE_SYMBOLS, code_digest
from aauthlib.messages.requirement import APPROVAL, INTERACTION, Requirement
from aauthlib.store.database import Database
from aauthlib.store.pending import SQLPendingStore
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.store.waiters import Look, Waiters

ISSUER = "https://ps.example"
OWNER = "https://ap.example aauth:planner@ap.example"
LIFETIME_S = 900


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class WatchedWaiters(Waiters):
    """Says when somebody waits whose first look was in vain. Then only a wake ends the wait."""

    def __init__(self) -> None:
        super().__init__(look_every_s=3600)
        self.waiting = asyncio.Event()

    async def wait(self, key: str, seen: str, timeout_s: float, look: Look) -> None:
        async def watched(keys: Sequence[str]) -> Mapping[str, str]:
            result = await look(keys)
            self.waiting.set()
            return result

        await super().wait(key, seen, timeout_s, watched)


class Store(SQLPendingStore):
    """The real store, which also keeps what was recorded with each delivery."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.recorded: list[object] = []

    async def record_delivery(self, connection: Any, pending: Pending, record: object) -> None:
        self.recorded.append(record)


async def grant(pending: Pending) -> Completion:
    return Completion(json_response(200, {"token": "granted"}), record="the record")


class World:
    def __init__(self, database: Database, clock: Clock, path: Path) -> None:
        self.clock, self.path = clock, path
        self.waiters = database.waiters = WatchedWaiters()
        self.store = Store(database)
        self.requests = PendingRequests(self.store, issuer=ISSUER, clock=clock, lifetime_s=LIFETIME_S)

    async def open(self, requirement: str | None = None, **options: Any) -> Opened:
        return await self.requests.open(kind="test", owner=OWNER, request={"a": 1}, requirement=requirement, **options)

    async def poll(self, opened: Opened, *, owner: str = OWNER, wait_s: float = 0, complete: Any = grant) -> Response:
        return await self.requests.poll(id_of(opened), owner=owner, wait_s=wait_s, complete=complete)

    async def advance(self, opened: Opened, *events: Event, detail: str = "") -> None:
        for event in events:
            await self.store.advance_pending(opened.pending.digest, event, detail=detail)

    async def state(self, opened: Opened) -> State:
        pending = await self.store.get_pending(opened.pending.digest)
        assert pending is not None
        return pending.state


def id_of(opened: Opened) -> str:
    return opened.url.rpartition("/")[2]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "pending.db"
    database = await Database.open(f"sqlite:///{path}")
    yield World(database, Clock(), path)
    await database.close()


# --------------------------------------------------------------------------- opening


@pytest.mark.spec("#pending-url-security")
async def test_a_pending_url_is_on_the_servers_own_origin_and_cannot_be_guessed(world: World) -> None:
    urls = {(await world.open()).url for _ in range(20)}

    assert len(urls) == 20
    for url in urls:
        assert url.startswith(f"{ISSUER}/pending/")
        assert len(url.rpartition("/")[2]) == 43  # 256 bits in base64url


@pytest.mark.spec("#pending-url-security", "#interaction-code-format")
async def test_neither_the_id_nor_the_code_of_a_request_is_in_the_database(world: World) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None

    stored = b"".join(file.read_bytes() for file in world.path.parent.iterdir())

    assert opened.pending.digest.encode() in stored  # the right files were read
    assert id_of(opened).encode() not in stored
    for code in (opened.code, opened.code.replace("-", "")):
        assert code.encode() not in stored


@pytest.mark.spec("#pending-response")
async def test_the_first_answer_says_where_to_poll_and_that_it_must_not_be_cached(world: World) -> None:
    opened = await world.open()

    response = world.requests.accepted(opened)

    assert response.status == 202
    assert response.headers.get("location") == opened.url
    assert response.headers.get("retry-after") == "0"
    assert response.headers.get("cache-control") == "no-store"
    assert response.json() == {"status": "pending"}
    assert "aauth-requirement" not in response.headers


@pytest.mark.spec("#interaction-required")
async def test_an_interaction_is_told_with_its_url_and_code(world: World) -> None:
    opened = await world.open(INTERACTION)

    requirement = Requirement.parse(world.requests.accepted(opened).headers.get("aauth-requirement") or "")

    assert requirement.value == INTERACTION
    assert (requirement.url, requirement.code) == (opened.interaction_url, opened.code)
    assert requirement.url is not None
    assert requirement.url.startswith(f"{ISSUER}/interaction/")
    assert "?" not in requirement.url


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_is_eight_crockford_symbols_in_groups(world: World) -> None:
    opened = await world.open(INTERACTION)

    assert opened.code is not None
    first, second = opened.code.split("-")
    assert len(first) == len(second) == 4
    assert set(first + second) <= set(CODE_SYMBOLS)


@pytest.mark.spec("#approval-pending")
async def test_an_approval_has_no_url_and_no_code(world: World) -> None:
    opened = await world.open(APPROVAL)

    header = world.requests.accepted(opened, retry_after_s=30).headers

    assert header.get("aauth-requirement") == "requirement=approval"
    assert header.get("retry-after") == "30"
    assert (opened.code, opened.interaction_url) == (None, None)


@pytest.mark.spec("#interaction-code-format")
async def test_the_code_and_the_id_do_not_show_in_a_repr(world: World) -> None:
    opened = await world.open(INTERACTION)

    pending = await world.store.get_pending(opened.pending.digest)

    assert opened.pending.code_digest is not None
    assert opened.pending.code_digest not in repr(pending)


# --------------------------------------------------------------------------- polling


@pytest.mark.spec("#polling-with-get")
async def test_a_poll_of_what_waits_is_answered_202_at_the_same_url(world: World) -> None:
    opened = await world.open()

    response = await world.poll(opened)

    assert (response.status, response.headers.get("location")) == (202, opened.url)
    assert response.json() == {"status": "pending"}
    assert response.headers.get("cache-control") == "no-store"


@pytest.mark.spec("#polling-with-get")
async def test_a_poll_says_how_long_to_wait_before_the_next(world: World) -> None:
    opened = await world.open()

    plain = await world.poll(opened)
    later = await world.requests.poll(id_of(opened), owner=OWNER, wait_s=0, complete=grant, retry_after_s=7)

    assert plain.headers.get("retry-after") == "0"
    assert later.headers.get("retry-after") == "7"


@pytest.mark.parametrize(
    ("requirement", "header"), [(APPROVAL, "requirement=approval"), (INTERACTION, None), (None, None)]
)
@pytest.mark.spec("#approval-pending", "#interaction-code-format")
async def test_a_poll_repeats_what_is_required_unless_a_code_would_have_to_go_with_it(
    world: World, requirement: str | None, header: str | None
) -> None:
    opened = await world.open(requirement)

    assert (await world.poll(opened)).headers.get("aauth-requirement") == header


@pytest.mark.spec("#pending-response")
async def test_the_first_answer_tells_the_state_the_request_is_in(world: World) -> None:
    opened = await world.open()
    arrived = replace(opened, pending=replace(opened.pending, state=State.INTERACTING))

    assert world.requests.accepted(arrived).json() == {"status": "interacting"}


@pytest.mark.spec("#pending-response")
def test_an_accepted_response_waits_at_once_for_nothing_in_particular() -> None:
    response = accepted_response("https://ps.example/pending/a")

    assert response.json() == {"status": "pending"}
    assert response.headers.get("retry-after") == "0"


@pytest.mark.spec("#pending-url-security")
async def test_the_id_has_256_random_bits_and_what_was_asked_is_kept(world: World) -> None:
    sizes: list[int] = []

    def random_bytes(size: int) -> bytes:
        sizes.append(size)
        return bytes(size)

    requests = PendingRequests(world.store, issuer=ISSUER, clock=world.clock, random_bytes=random_bytes)

    opened = await requests.open(kind="test", owner=OWNER, request={"a": 1})

    assert sizes == [32]
    kept = await world.store.get_pending(opened.pending.digest)
    assert kept is not None
    assert (kept.kind, kept.request) == ("test", {"a": 1})


@pytest.mark.spec("#interaction-required")
async def test_an_interaction_url_ends_in_letters_and_digits_that_are_easy_to_read(world: World) -> None:
    opened = await world.open(INTERACTION)

    assert opened.interaction_url is not None
    assert re.fullmatch(f"{ISSUER}/interaction/[0-9a-hjkmnp-tv-z]{{8}}", opened.interaction_url)


@pytest.mark.spec("#pending-url-security")
async def test_the_answer_is_made_for_the_request_that_was_granted(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)
    completed: list[Pending] = []

    async def complete(pending: Pending) -> Completion:
        completed.append(pending)
        return await grant(pending)

    await world.poll(opened, complete=complete)

    assert [(pending.digest, pending.state) for pending in completed] == [(opened.pending.digest, State.GRANTED)]


@pytest.mark.spec("#cancel-request")
async def test_why_a_request_ended_is_kept_for_people(world: World) -> None:
    withdrawn, late = await world.open(), await world.open(lifetime_s=60)

    await world.requests.cancel(id_of(withdrawn), owner=OWNER)
    world.clock.now += 60
    with pytest.raises(Expired, match="timed out"):
        await world.poll(late)

    kept = await world.store.get_pending(withdrawn.pending.digest)
    assert kept is not None
    assert "withdrew" in kept.detail


@pytest.mark.spec("#cancel-request", "#pending-url-security")
async def test_what_was_delivered_while_it_was_withdrawn_is_gone(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)
    advance = world.store.advance_pending

    async def delivered_first(digest: str, event: Event, **options: Any) -> Pending:
        await advance(digest, Event.DELIVER)
        return await advance(digest, event, **options)

    world.store.advance_pending = delivered_first  # type: ignore[method-assign]

    with pytest.raises(Gone):
        await world.requests.cancel(id_of(opened), owner=OWNER)


@pytest.mark.spec("#polling-with-get")
async def test_what_a_waiting_request_answers_can_be_made_for_it(world: World) -> None:
    opened = await world.open()

    async def waiting(pending: Pending) -> Response:
        return json_response(202, {"status": pending.state.value, "kind": pending.kind})

    response = await world.requests.poll(id_of(opened), owner=OWNER, wait_s=0, complete=grant, waiting=waiting)

    assert response.json() == {"status": "pending", "kind": "test"}


@pytest.mark.spec("#pending-url-security")
async def test_what_another_poll_delivered_while_the_answer_was_made_is_gone(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    async def slower(pending: Pending) -> Completion:
        await world.advance(opened, Event.DELIVER)
        return await grant(pending)

    with pytest.raises(Gone):
        await world.poll(opened, complete=slower)


@pytest.mark.spec("#pending-response")
async def test_the_status_says_when_the_person_has_arrived(world: World) -> None:
    opened = await world.open(INTERACTION)
    await world.advance(opened, Event.ARRIVE)

    response = await world.poll(opened)

    assert response.json() == {"status": "interacting"}


@pytest.mark.spec("#interaction-code-format")
async def test_no_poll_repeats_the_code(world: World) -> None:
    opened = await world.open(INTERACTION)

    response = await world.poll(opened)

    assert opened.code is not None
    assert opened.code not in response.body.decode() + repr(list(response.headers))


@pytest.mark.spec("#pending-url-security")
async def test_a_granted_request_is_delivered_once_and_gone_from_then_on(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    response = await world.poll(opened)

    assert response.json() == {"token": "granted"}
    assert world.store.recorded == ["the record"]
    for _ in range(2):
        with pytest.raises(Gone):
            await world.poll(opened)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Event.DENY, Denied),
        (Event.ABANDON, Abandoned),
        (Event.EXPIRE, Expired),
        (Event.REVOKE, Revoked),
        (Event.REJECT_CODE, InvalidCode),
        (Event.FAIL, ServerError),
    ],
)
@pytest.mark.spec("#polling-error-codes", "#pending-url-security")
async def test_how_it_ended_is_told_once_with_the_reason_and_then_it_is_gone(
    world: World, event: Event, error: type[AAuthError]
) -> None:
    opened = await world.open()
    await world.advance(opened, event, detail="the reason")

    with pytest.raises(error, match="the reason") as caught:
        await world.poll(opened)
    assert type(caught.value) is error
    with pytest.raises(Gone):
        await world.poll(opened)
    assert world.store.recorded == []


@pytest.mark.spec("#pending-url-security")
async def test_somebody_else_learns_no_more_than_of_an_unknown_id(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    with pytest.raises(NotFound) as foreign:
        await world.poll(opened, owner="https://ap.example aauth:other@ap.example")
    with pytest.raises(NotFound) as unknown:
        await world.requests.poll("x" * 43, owner=OWNER, wait_s=0, complete=grant)

    assert str(foreign.value) == str(unknown.value)
    assert (await world.poll(opened)).status == 200  # nothing was taken


@pytest.mark.parametrize("owner", ["", OWNER + " ", OWNER.upper(), OWNER[:-1], "jkt:" + OWNER])
@pytest.mark.spec("#pending-url-security")
async def test_an_owner_is_compared_exactly(world: World, owner: str) -> None:
    opened = await world.open()

    with pytest.raises(NotFound):
        await world.poll(opened, owner=owner)
    with pytest.raises(NotFound):
        await world.requests.cancel(id_of(opened), owner=owner)
    assert await world.state(opened) is State.PENDING


@pytest.mark.parametrize("pending_id", ["", "\ud800", "é", "a" * 10_000, "../x", "' or 1=1 --"])
@pytest.mark.spec("#pending-url-security")
async def test_a_strange_id_is_an_unknown_id(world: World, pending_id: str) -> None:
    with pytest.raises(NotFound):
        await world.requests.poll(pending_id, owner=OWNER, wait_s=0, complete=grant)


@pytest.mark.spec("#pending-url-security")
async def test_the_digest_of_an_id_is_no_id(world: World) -> None:
    opened = await world.open()

    with pytest.raises(NotFound):
        await world.requests.poll(opened.pending.digest, owner=OWNER, wait_s=0, complete=grant)


@pytest.mark.spec("#polling-error-codes")
async def test_a_request_past_its_time_has_expired(world: World) -> None:
    opened = await world.open(lifetime_s=60)
    world.clock.now += 59.9
    assert (await world.poll(opened)).status == 202

    world.clock.now += 0.1
    with pytest.raises(Expired):
        await world.poll(opened)
    with pytest.raises(Gone):
        await world.poll(opened)


@pytest.mark.spec("#polling-error-codes")
async def test_a_grant_that_was_not_fetched_in_time_expires_too(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)
    world.clock.now += LIFETIME_S

    with pytest.raises(Expired):
        await world.poll(opened)
    assert world.store.recorded == []


# --------------------------------------------------------------------------- waiting


@pytest.mark.spec("#polling-with-get")
async def test_a_held_poll_is_answered_at_once_when_the_decision_is_made(world: World) -> None:
    opened = await world.open()
    poll = asyncio.create_task(world.poll(opened, wait_s=45))
    await world.waiters.waiting.wait()
    assert not poll.done()

    await world.advance(opened, Event.GRANT)

    async with asyncio.timeout(5):
        assert (await poll).status == 200
    assert len(world.waiters) == 0


@pytest.mark.spec("#polling-with-get")
async def test_a_held_poll_is_answered_when_the_person_arrives(world: World) -> None:
    opened = await world.open(INTERACTION)
    poll = asyncio.create_task(world.poll(opened, wait_s=45))
    await world.waiters.waiting.wait()

    await world.advance(opened, Event.ARRIVE)

    async with asyncio.timeout(5):
        assert (await poll).json() == {"status": "interacting"}


@pytest.mark.spec("#polling-with-get")
async def test_a_decision_between_looking_and_waiting_is_not_missed(world: World) -> None:
    opened = await world.open()
    wait = world.store.wait_pending

    async def decided_just_before(pending: Pending, timeout_s: float) -> None:
        await world.advance(opened, Event.GRANT)
        await wait(pending, timeout_s)

    world.store.wait_pending = decided_just_before  # type: ignore[method-assign]

    async with asyncio.timeout(5):
        assert (await world.poll(opened, wait_s=45)).status == 200


@pytest.mark.spec("#polling-with-get")
async def test_a_held_poll_that_is_given_up_leaves_nothing_behind(world: World) -> None:
    opened = await world.open()
    poll = asyncio.create_task(world.poll(opened, wait_s=45))
    await world.waiters.waiting.wait()

    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)

    assert len(world.waiters) == 0
    await world.advance(opened, Event.GRANT)
    assert (await world.poll(opened)).status == 200


@pytest.mark.parametrize(
    ("asked_s", "lifetime_s", "held_s"),
    [
        (10, 900, 10),
        (100_000, 900, MAX_WAIT_S),
        (45, 7, 7),
        (math.inf, 900, MAX_WAIT_S),
        (0.5, 900, 0.5),
        (45, 0.5, 0.5),
    ],
)
@pytest.mark.spec("#polling-with-get")
async def test_a_poll_is_held_no_longer_than_asked_allowed_or_left(
    world: World, asked_s: float, lifetime_s: float, held_s: float
) -> None:
    opened = await world.open(lifetime_s=lifetime_s)
    held: list[float] = []

    async def remember(pending: Pending, timeout_s: float) -> None:
        assert pending == opened.pending
        held.append(timeout_s)

    world.store.wait_pending = remember  # type: ignore[method-assign]

    assert (await world.poll(opened, wait_s=asked_s)).status == 202
    assert held == [held_s]


@pytest.mark.spec("#polling-with-get")
async def test_a_poll_that_does_not_ask_to_wait_is_not_held(world: World) -> None:
    opened = await world.open()

    async def never(pending: Pending, timeout_s: float) -> None:
        raise AssertionError("held")

    world.store.wait_pending = never  # type: ignore[method-assign]

    assert (await world.poll(opened)).status == 202


@pytest.mark.spec("#polling-error-codes")
async def test_polling_in_a_tight_loop_is_slowed_down_and_then_forgiven(world: World) -> None:
    opened = await world.open()
    for _ in range(20):
        await world.poll(opened)

    with pytest.raises(SlowDown) as caught:
        await world.poll(opened)
    assert caught.value.retry_after_s == 5

    world.clock.now += 10
    for _ in range(20):
        assert (await world.poll(opened)).status == 202
    with pytest.raises(SlowDown):
        await world.poll(opened)


@pytest.mark.spec("#polling-error-codes")
async def test_polling_one_request_forgives_no_polls_of_another(world: World) -> None:
    opened, other = await world.open(), await world.open()
    for _ in range(20):
        await world.poll(opened)

    await world.poll(other)

    with pytest.raises(SlowDown):
        await world.poll(opened)


@pytest.mark.spec("#polling-error-codes")
async def test_counts_of_polls_are_bounded_and_those_kept_still_count(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthlib.deferred.pending._MAX_TRACKED", 1)
    opened, other = await world.open(), await world.open()
    for _ in range(20):
        await world.poll(opened)
    with pytest.raises(SlowDown):
        await world.poll(opened)

    await world.poll(other)  # takes the one place there is

    assert (await world.poll(opened)).status == 202


@pytest.mark.spec("#polling-error-codes")
async def test_whoever_polls_too_often_still_gets_the_decision(world: World) -> None:
    opened = await world.open()
    for _ in range(20):
        await world.poll(opened)
    await world.advance(opened, Event.GRANT)

    assert (await world.poll(opened)).status == 200


# --------------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("before", [(), (Event.ARRIVE,), (Event.ARRIVE, Event.ASK), (Event.GRANT,)])
@pytest.mark.spec("#cancel-request")
async def test_what_the_agent_withdrew_is_gone(world: World, before: tuple[Event, ...]) -> None:
    opened = await world.open()
    await world.advance(opened, *before)

    await world.requests.cancel(id_of(opened), owner=OWNER)

    assert await world.state(opened) is State.CANCELLED
    with pytest.raises(Gone):
        await world.poll(opened)
    with pytest.raises(Gone):
        await world.requests.cancel(id_of(opened), owner=OWNER)


@pytest.mark.spec("#cancel-request")
async def test_withdrawing_ends_a_held_poll(world: World) -> None:
    opened = await world.open()
    poll = asyncio.create_task(world.poll(opened, wait_s=45))
    await world.waiters.waiting.wait()

    await world.requests.cancel(id_of(opened), owner=OWNER)

    async with asyncio.timeout(5):
        with pytest.raises(Gone):
            await poll


@pytest.mark.spec("#cancel-request")
async def test_nothing_can_be_decided_after_the_agent_withdrew(world: World) -> None:
    opened = await world.open()
    await world.requests.cancel(id_of(opened), owner=OWNER)

    with pytest.raises(IllegalTransition):
        await world.advance(opened, Event.GRANT)


# --------------------------------------------------------------------------- one delivery


@pytest.mark.spec("#pending-url-security")
async def test_of_many_polls_at_once_one_gets_the_grant(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    results = await asyncio.gather(*(world.poll(opened) for _ in range(8)), return_exceptions=True)

    delivered = [result for result in results if isinstance(result, Response)]
    assert len(delivered) == 1
    assert all(isinstance(result, Gone) for result in results if result not in delivered)
    assert world.store.recorded == ["the record"]


@pytest.mark.spec("#pending-url-security")
async def test_of_many_held_polls_one_gets_the_denial(world: World) -> None:
    opened = await world.open()
    polls = [asyncio.create_task(world.poll(opened, wait_s=45)) for _ in range(4)]
    await world.waiters.waiting.wait()

    await world.advance(opened, Event.DENY)
    async with asyncio.timeout(10):
        results = await asyncio.gather(*polls, return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["Denied", "Gone", "Gone", "Gone"]


@pytest.mark.spec("#pending-url-security")
async def test_a_reason_to_refuse_that_shows_at_delivery_ends_the_request(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    async def refuse(pending: Pending) -> Completion:
        raise InvalidScope("The scope is no longer there.")

    with pytest.raises(InvalidScope):
        await world.poll(opened, complete=refuse)
    with pytest.raises(Gone):
        await world.poll(opened)
    assert world.store.recorded == []


async def test_a_fault_of_the_server_at_delivery_leaves_the_grant_to_be_fetched_again(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    async def fault(pending: Pending) -> Completion:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        await world.poll(opened, complete=fault)
    assert (await world.poll(opened)).status == 200


@pytest.mark.parametrize(
    ("event", "error"),
    [(Event.REVOKE, Revoked), (Event.EXPIRE, Expired), (Event.FAIL, ServerError), (Event.CANCEL, Gone)],
)
@pytest.mark.spec("#token-revocation", "#polling-error-codes")
async def test_what_was_revoked_while_its_answer_was_made_does_not_leave(
    world: World, event: Event, error: type[AAuthError]
) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    async def overtaken(pending: Pending) -> Completion:
        await world.advance(opened, event)
        return await grant(pending)

    with pytest.raises(error):
        await world.poll(opened, complete=overtaken)
    assert world.store.recorded == []
    with pytest.raises(Gone):
        await world.poll(opened)


async def test_what_cannot_be_recorded_is_not_delivered(world: World) -> None:
    opened = await world.open()
    await world.advance(opened, Event.GRANT)

    async def full(connection: Any, pending: Pending, record: object) -> None:
        raise RuntimeError("disk full")

    remember, world.store.record_delivery = world.store.record_delivery, full  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await world.poll(opened)
    assert await world.state(opened) is State.GRANTED

    world.store.record_delivery = remember  # type: ignore[method-assign]
    assert (await world.poll(opened)).status == 200


# --------------------------------------------------------------------------- codes


async def enter(world: World, opened: Opened, code: str) -> Pending:
    assert opened.pending.handle is not None
    return await world.store.consume_code(opened.pending.handle, code_digest(code), max_attempts=MAX_CODE_ATTEMPTS)


def wrong(opened: Opened) -> str:
    """A code that is not the right one."""
    assert opened.code is not None
    return ("1" if opened.code[0] != "1" else "2") + opened.code[1:]


@pytest.mark.spec("#interaction-code-format")
async def test_the_right_code_brings_the_person_to_the_request_once(world: World) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None

    pending = await enter(world, opened, opened.code)

    assert pending.state is State.INTERACTING
    for code in (opened.code, opened.code.lower()):
        with pytest.raises(InvalidCode):
            await enter(world, opened, code)
    assert await world.state(opened) is State.INTERACTING


@pytest.mark.parametrize(
    "typed",
    [
        lambda code: code.replace("-", ""),
        lambda code: code.lower(),
        lambda code: f"  {code.replace('-', ' ')} ",
        lambda code: "-".join(code.replace("-", "")),
        lambda code: code.replace("1", "I").replace("0", "O"),
        lambda code: code.replace("1", "l").replace("0", "o"),
    ],
)
@pytest.mark.spec("#interaction-code-format")
async def test_a_code_may_be_typed_as_people_type(world: World, typed: Callable[[str], str]) -> None:
    symbols = iter([1, 0, 31, 10, 1, 0, 5, 7] + [3] * 8)
    world.requests = PendingRequests(
        world.store, issuer=ISSUER, clock=world.clock, random_below=lambda below: next(symbols)
    )
    opened = await world.open(INTERACTION)
    assert opened.code == "10ZA-1057"

    assert (await enter(world, opened, typed(opened.code))).state is State.INTERACTING


@pytest.mark.spec("#interaction-code-format", "#polling-error-codes")
async def test_after_five_wrong_codes_the_request_has_failed_for_good(world: World) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None
    for _ in range(MAX_CODE_ATTEMPTS):
        assert (await world.poll(opened)).status == 202
        with pytest.raises(InvalidCode):
            await enter(world, opened, wrong(opened))

    with pytest.raises(InvalidCode):
        await enter(world, opened, opened.code)
    with pytest.raises(InvalidCode):
        await world.poll(opened)
    with pytest.raises(Gone):
        await world.poll(opened)


@pytest.mark.spec("#interaction-code-format")
async def test_four_wrong_codes_do_not_keep_the_person_out(world: World) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None
    for _ in range(MAX_CODE_ATTEMPTS - 1):
        with pytest.raises(InvalidCode):
            await enter(world, opened, wrong(opened))

    assert (await enter(world, opened, opened.code)).state is State.INTERACTING


@pytest.mark.spec("#interaction-code-format")
async def test_guessing_in_parallel_buys_no_more_guesses(world: World) -> None:
    opened = await world.open(INTERACTION)

    results = await asyncio.gather(
        *(enter(world, opened, wrong(opened)) for _ in range(3 * MAX_CODE_ATTEMPTS)), return_exceptions=True
    )

    assert all(isinstance(result, InvalidCode) for result in results)
    pending = await world.store.get_pending(opened.pending.digest)
    assert pending is not None
    assert (pending.code_attempts, pending.state) == (MAX_CODE_ATTEMPTS, State.INVALID_CODE)


@pytest.mark.spec("#interaction-code-format")
async def test_of_two_who_enter_the_same_code_one_arrives(world: World) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None

    results = await asyncio.gather(*(enter(world, opened, opened.code) for _ in range(2)), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["InvalidCode", "Pending"]


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_opens_no_other_request(world: World) -> None:
    first, second = await world.open(INTERACTION), await world.open(INTERACTION)
    assert first.code is not None

    with pytest.raises(InvalidCode):
        await enter(world, second, first.code)
    with pytest.raises(InvalidCode):
        await world.store.consume_code("no-such-handle", code_digest(first.code), max_attempts=MAX_CODE_ATTEMPTS)


@pytest.mark.parametrize("event", [Event.EXPIRE, Event.DENY, Event.CANCEL, Event.GRANT, Event.REVOKE])
@pytest.mark.spec("#interaction-code-format")
async def test_the_code_ends_with_its_request(world: World, event: Event) -> None:
    opened = await world.open(INTERACTION)
    assert opened.code is not None
    await world.advance(opened, event)

    with pytest.raises(InvalidCode):
        await enter(world, opened, opened.code)


@pytest.mark.spec("#interaction-code-format")
async def test_a_request_without_an_interaction_has_no_code_to_guess(world: World) -> None:
    opened = await world.open()

    assert opened.pending.handle is None
    assert await world.store.get_interaction("") is None


# --------------------------------------------------------------------------- whatever happens


ACTIONS = st.lists(
    st.one_of(
        st.sampled_from(list(Event)),
        st.sampled_from(["poll", "cancel", "later", "much later", "foreign poll", "poll that is refused"]),
    ),
    max_size=14,
)


@given(actions=ACTIONS)
@settings(max_examples=200)
@pytest.mark.spec("#deferred-response-state-machine", "#pending-url-security")
def test_whatever_happens_there_is_one_terminal_answer_and_then_it_is_gone(actions: list[Event | str]) -> None:
    """Random events, deadlines and polls against the real machinery; a model keeps count of the answers."""

    async def refuse(pending: Pending) -> Completion:
        raise InvalidScope("no")

    async def run() -> None:
        clock = Clock()
        store = MemoryResourceStore(clock)
        requests = PendingRequests(store, issuer=ISSUER, clock=clock, lifetime_s=LIFETIME_S)
        opened = await requests.open(kind="test", owner=OWNER, request={})
        terminal: list[object] = []
        withdrawn = False

        async def poll(complete: Any = grant) -> None:
            try:
                answer: object = await requests.poll(id_of(opened), owner=OWNER, wait_s=0, complete=complete)
            except SlowDown:
                return
            except ProblemError as error:
                answer = error
            if isinstance(answer, Response) and answer.status == 202:
                assert not terminal
                assert not withdrawn
            elif isinstance(answer, Gone):
                assert terminal or withdrawn
            else:
                assert not withdrawn
                terminal.append(answer)

        for action in [*actions, "much later", "poll", "poll"]:
            pending = await store.get_pending(opened.pending.digest)
            assert pending is not None
            match action:
                case Event():
                    # What only `PendingRequests` itself does is done by polling.
                    if action in (Event.DELIVER, Event.REPORT):
                        continue
                    if action in TRANSITIONS[pending.state]:
                        await store.advance_pending(pending.digest, action)
                        withdrawn = withdrawn or action is Event.CANCEL
                    else:
                        with pytest.raises(IllegalTransition):
                            await store.advance_pending(pending.digest, action)
                case "poll":
                    await poll()
                case "poll that is refused":
                    await poll(refuse)
                case "foreign poll":
                    with pytest.raises(NotFound):
                        await requests.poll(id_of(opened), owner="x", wait_s=0, complete=grant)
                case "cancel":
                    try:
                        await requests.cancel(id_of(opened), owner=OWNER)
                    except Gone:
                        assert terminal or withdrawn
                    current = await store.get_pending(opened.pending.digest)
                    withdrawn = withdrawn or (current is not None and current.state is State.CANCELLED)
                case "later":
                    clock.now += 11
                case "much later":
                    clock.now += LIFETIME_S

        assert len(terminal) == (0 if withdrawn else 1)
        last = await store.get_pending(id_digest(id_of(opened)))
        assert last is not None
        assert last.state in (State.DELIVERED, State.CANCELLED)

    asyncio.run(run())


def test_every_terminal_state_but_a_grant_has_an_error() -> None:
    assert WIRE_ERRORS.keys() == TERMINAL - {State.GRANTED}
