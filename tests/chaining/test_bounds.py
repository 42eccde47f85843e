"""How long an invocation may take and how many there may be, without any network: `ChainPolicy`, `Invocation`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aauthlib.chaining import ChainPolicy, Invocation, Invocations
from aauthlib.chaining.invocation import Withdrawn
from aauthlib.deferred.machine import State
from aauthlib.effects import Answer, Direct, Report
from aauthlib.errors import AAuthError, ConfigurationError, Expired, RateLimited
from aauthlib.http import Response
from aauthlib.keys import SigningKey
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.tokens import PersonToken, VerificationPolicy, issue_person_token
from aauthlib.tokens.profile import read

pytestmark = pytest.mark.spec("#interaction-chaining", "#deferred-responses")
NOW = 1_800_000_000.0
PS, TRIPS = "https://ps.example", "https://trips.example"
KEY = SigningKey.generate(kid="k")
BELOW = Direct("https://ps.example/interaction/x", "AAAA-BBBB", PS)


class World:
    """An intermediary's invocations over a store in memory."""

    def __init__(self, **bounds: Any) -> None:
        self.now = NOW
        self.store = MemoryResourceStore(self.clock)
        self.keeper = Invocations(
            self.store,
            issuer=TRIPS,
            prefix="/aauth/",
            clock=self.clock,
            policy=ChainPolicy(**bounds),
            wire=_NoWire(),
            dev=False,
        )

    def clock(self) -> float:
        return self.now

    def invocation(self, person: str = "ada", *, lasts_s: float = 3600, **options: Any) -> Invocation:
        able = options.pop("capabilities", ("interaction", "clarification"))
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        token = upstream(person, self.now, lasts_s)
        return Invocation(self.keeper, upstream=token, capabilities=able, accepted=future, **options)

    def attach(self, invocation: Invocation) -> asyncio.Task[None]:
        task = asyncio.create_task(asyncio.sleep(60))
        self.keeper.attach(invocation, task)
        return task

    async def state(self, invocation: Invocation) -> State:
        assert invocation.opened is not None
        pending = await self.store.get_pending(invocation.opened.pending.digest)
        assert pending is not None
        return pending.state


class _NoWire:
    async def run(self, flow: Any) -> Any:
        raise AssertionError("nothing is looked up here")


def upstream(sub: str, now: float, lasts_s: float) -> PersonToken:
    text = issue_person_token(
        KEY, iss=PS, aud=TRIPS, sub=sub, cnf=KEY.public, jti=f"{sub}-{now}", now=now, not_after=now + lasts_s
    )
    token = read(text, PersonToken, now=now, policy=VerificationPolicy()).token
    assert isinstance(token, PersonToken)
    return token


@pytest.mark.parametrize(
    "name",
    ["lifetime_s", "most_per_person", "most_waiting", "most_of_person_server", "most_in_all", "max_result_bytes"],
)
def test_a_bound_that_lets_nothing_through_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ChainPolicy(**{name: 0})


def test_polls_downstream_may_ask_for_an_answer_at_once() -> None:
    assert ChainPolicy(poll_wait_s=0).poll_wait_s == 0
    with pytest.raises(ConfigurationError, match="poll_wait_s"):
        ChainPolicy(poll_wait_s=-1)


async def test_one_callers_invocations_are_bounded_and_so_are_all_of_them() -> None:
    world = World(most_waiting=2, most_in_all=3)
    first, second, third = (world.invocation() for _ in range(3))
    await first.direct(BELOW)
    await second.direct(BELOW)
    with pytest.raises(RateLimited):
        await third.direct(BELOW)
    await world.invocation("bob").direct(BELOW)
    with pytest.raises(RateLimited, match="wait for a person here"):
        await world.invocation("eve").direct(BELOW)


async def test_what_is_over_makes_room() -> None:
    world = World(most_waiting=1, most_in_all=1)
    first = world.invocation()
    await first.direct(BELOW)
    task = world.attach(first)
    await world.keeper.finish(first, Response(200))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.invocation().direct(BELOW)


@pytest.mark.spec("#polling-error-codes")
@pytest.mark.parametrize(
    ("lifetime_s", "lasts_s"), [(600, 3600), (900, 400)], ids=["its own time", "the caller's token"]
)
async def test_an_invocation_ends_as_expired_with_its_time_or_its_token(lifetime_s: int, lasts_s: int) -> None:
    world = World(lifetime_s=lifetime_s)
    invocation = world.invocation(lasts_s=lasts_s)
    assert invocation.expires_at == NOW + min(lifetime_s, lasts_s)
    await invocation.direct(BELOW)
    task = world.attach(invocation)
    world.now = invocation.expires_at
    assert invocation.opened is not None
    # Whoever looks, ends it; the application's task goes with it.
    await world.keeper.direct(invocation.opened, BELOW)
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    assert await world.state(invocation) is State.EXPIRED
    with pytest.raises(Withdrawn):
        await invocation.direct(BELOW)


async def test_a_call_that_nobody_waits_for_is_not_begun_when_the_time_is_over() -> None:
    world = World(lifetime_s=60)
    invocation = world.invocation()
    invocation.check()
    world.now += 60
    with pytest.raises(Expired):
        invocation.check()
    with pytest.raises(Expired):
        await invocation.direct(BELOW)


@pytest.mark.spec("#requirement-clarification")
async def test_a_question_that_is_not_answered_in_time_ends_the_call() -> None:
    invocation = World().invocation()
    with pytest.raises(Expired, match="in time"):
        await invocation.answer(Answer("Why?", (), timeout_s=-1))


@pytest.mark.spec("#requirement-clarification")
@pytest.mark.parametrize(
    ("question", "capabilities"),
    [
        (Answer("Why?"), ("interaction",)),
        (Answer("x" * 16_385), ("interaction", "clarification")),
        (Answer("Why?", ("o",) * 101), ("interaction", "clarification")),
    ],
    ids=["no capability", "too long", "too many options"],
)
async def test_a_question_that_cannot_be_handed_on_is_not(question: Answer, capabilities: tuple[str, ...]) -> None:
    invocation = World().invocation(capabilities=capabilities)
    assert await invocation.answer(question) is None
    assert invocation.opened is None


async def test_a_caller_whose_answer_has_begun_is_asked_nothing() -> None:
    invocation = World().invocation(responding=True)
    for ask in (lambda: invocation.direct(BELOW), lambda: invocation.answer(Answer("Why?"))):
        with pytest.raises(AAuthError, match="started already"):
            await ask()
    await invocation.report(Report("waiting"))
    assert not invocation.detached


async def test_a_wait_without_a_person_frees_the_callers_connection() -> None:
    invocation = World().invocation()
    await invocation.report(Report("request"))
    assert not invocation.detached
    await invocation.report(Report("waiting"))
    response = invocation.accepted.result()
    assert response.status == 202
    assert "aauth-requirement" not in response.headers


async def test_the_end_of_the_process_is_told_to_whoever_waits() -> None:
    world = World()
    invocation = world.invocation()
    await invocation.direct(BELOW)
    task = world.attach(invocation)
    await world.keeper.aclose()
    assert task.cancelled()
    assert await world.state(invocation) is State.FAILED
    assert invocation.opened is not None
    pending = await world.store.get_pending(invocation.opened.pending.digest)
    assert pending is not None and "may have done a part of it" in pending.detail
