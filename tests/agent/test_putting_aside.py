"""A request that waits is put aside, and another process goes on with it hours later (`hours`)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from aauthlib.agent import Agent, AsyncAgent, PendingRequest
from aauthlib.discovery import TransportError
from aauthlib.effects import Direct
from aauthlib.errors import ConfigurationError, Denied
from tests.agent.hours import HOUR, STEP_S, Headless, open_headless
from tests.agent.real import ADA, real_parties


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Headless]:
    folder = tmp_path_factory.mktemp("aside")
    async with open_headless(folder, f"sqlite:///{folder / 'person.db'}") as headless:
        yield headless


@pytest_asyncio.fixture(loop_scope="module")
async def headless(opened: Headless) -> Headless:
    await opened.decide(yes=False)
    opened.cut()
    opened.served.clear()
    return opened


async def put_aside(agent: AsyncAgent, url: str, method: str = "GET", **options: Any) -> PendingRequest:
    """A request that waits, as it is read back from where it was kept."""
    pending = await agent.begin(method, url, **options)
    assert isinstance(pending, PendingRequest)
    return PendingRequest.from_json(pending.to_json())


def status(answer: object) -> int:
    code: int = answer.status_code  # type: ignore[attr-defined]
    return code


# --------------------------------------------------------------------------- going on


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses", "#resource-token-structure")
@pytest.mark.parametrize("after", [0.25 * HOUR, 7 * HOUR], ids=["minutes", "hours"])
@pytest.mark.parametrize("enrolled", [False, True], ids=["same key", "new key"])
async def test_another_process_gets_what_was_decided_meanwhile(
    headless: Headless, enrolled: bool, after: float
) -> None:
    source = await headless.known(enrolled=enrolled)
    served = len(headless.served)
    pending = await put_aside(headless.agent(source), headless.url())
    assert len(headless.served) == served
    headless.time.now += after
    await headless.decide(remember=False)
    answer = await headless.agent(source).resume(pending)
    assert status(answer) == 200
    assert await headless.waiting() == 0, "Alice was asked once"
    assert isinstance(await headless.agent(source).begin("GET", headless.url()), PendingRequest), "it was for once"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses")
async def test_what_is_not_decided_yet_is_put_aside_again(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    for _ in range(3):
        headless.time.now += HOUR
        again = await headless.agent(source).resume(pending, wait_s=60)
        assert isinstance(again, PendingRequest)
        assert again.waits == pending.waits, "nothing new was asked"
        assert again.since == pending.since
    assert await headless.waiting() == 1


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses", "#person-token-endpoint")
async def test_one_wait_after_the_other_can_be_put_aside(headless: Headless) -> None:
    source = await headless.known()
    first = await put_aside(headless.agent(source), headless.url(host="guarded"))
    assert [wait.gives for wait in first.waits] == ["person-token"]
    await headless.decide()
    second = await headless.agent(source).resume(first)
    assert isinstance(second, PendingRequest)
    assert [wait.gives for wait in second.waits] == ["auth-token"]
    await headless.decide()
    assert status(await headless.agent(source).resume(second)) == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-auth-token")
@pytest.mark.parametrize("after", [0.1 * HOUR, 7 * HOUR], ids=["held still", "let go"])
async def test_an_invocation_is_carried_out_once_whether_it_is_held_still_or_not(
    headless: Headless, after: float
) -> None:
    source = await headless.known(enrolled=False)
    headless.served.clear()
    pending = await put_aside(headless.agent(source), headless.url("/held"), "POST", content=b"Buy milk.")
    assert [wait.gives for wait in pending.waits] == ["answer", "auth-token"]
    headless.time.now += after
    await headless.decide(remember=False)
    assert status(await headless.agent(source).resume(pending)) == 200
    assert [(each["method"], each["body"]) for each in headless.served] == [("POST", b"Buy milk.")]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#polling-error-codes")
async def test_a_no_is_heard_by_another_process(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    await headless.decide(yes=False)
    with pytest.raises(Denied):
        await headless.agent(source).resume(pending)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#polling-error-codes", "#deferred-responses")
async def test_what_the_server_has_forgotten_is_asked_anew(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    headless.time.now += 40 * HOUR
    again = await headless.agent(source).resume(pending)
    assert isinstance(again, PendingRequest)
    assert again.waits != pending.waits
    await headless.decide()
    assert status(await headless.agent(source).resume(again)) == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses")
async def test_an_answer_that_was_fetched_and_lost_costs_one_more_question_at_most(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    await headless.decide()
    for _ in range(2):
        assert status(await headless.agent(source).resume(pending)) == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#interaction-required")
async def test_a_person_who_has_not_been_at_the_page_is_shown_it_again(headless: Headless) -> None:
    source = await headless.known()
    directed: list[Direct] = []
    pending = await put_aside(headless.agent(source, on_interaction=directed.append), headless.url())
    again = await headless.agent(source, on_interaction=directed.append).resume(pending)
    assert isinstance(again, PendingRequest)
    assert [direct.person_url for direct in directed] == [directed[0].person_url] * 2
    await headless.server.arrive(directed[0].url.rpartition("/")[2], directed[0].code, person_id="alice-id")
    await headless.agent(source, on_interaction=directed.append).resume(again)
    assert len(directed) == 2, "she is there"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#missions", "#deferred-responses")
async def test_a_request_without_anybody_to_wait_for_is_simply_answered(headless: Headless) -> None:
    source = await headless.known()
    assert status(await headless.agent(source).begin("GET", headless.url("/me"))) == 200


# --------------------------------------------------------------------------- what is kept


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#pending-url-security")
async def test_what_is_kept_is_a_small_document_without_token_or_key(headless: Headless) -> None:
    source = await headless.known(enrolled=False)
    agent = headless.agent(source)
    pending = await put_aside(
        agent, headless.url(), headers={"accept": "text/plain"}, justification="For *tonight's* report."
    )
    text = pending.to_json()
    assert len(text) < 1500
    assert "ey" + "J" not in text, "no token begins here"
    token = await agent.agent_token()
    assert token.cnf.thumbprint not in text
    document = json.loads(text)
    assert document["preferences"] == {"justification": "For *tonight's* report."}
    assert ["accept", "text/plain"] in document["headers"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#pending-url-security")
async def test_it_is_kept_from_the_first_moment_of_the_wait_and_never_withdrawn_by_a_process_that_ends(
    headless: Headless,
) -> None:
    source = await headless.known()
    kept: list[PendingRequest] = []

    async def interrupted() -> None:
        raise KeyboardInterrupt

    headless.time.later(HOUR, interrupted)
    with pytest.raises(KeyboardInterrupt):
        await headless.agent(source).begin("GET", headless.url(), wait_s=9 * HOUR, keep=kept.append)
    (pending,) = kept
    assert await headless.waiting() == 1
    await headless.decide()
    assert status(await headless.agent(source).resume(pending)) == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#cancel-request")
async def test_without_keeping_it_an_interrupted_request_is_withdrawn(headless: Headless) -> None:
    source = await headless.known()

    async def interrupted() -> None:
        raise KeyboardInterrupt

    headless.time.later(STEP_S, interrupted)
    with pytest.raises(KeyboardInterrupt):
        await headless.agent(source).begin("GET", headless.url(), wait_s=9 * HOUR)
    assert await headless.waiting() == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses")
async def test_a_server_that_cannot_be_reached_leaves_what_was_kept(
    headless: Headless, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await headless.known()
    monkeypatch.setattr(headless.time, "step_s", 60.0)
    agent = headless.agent(source, on_interaction=lambda direct: None)
    kept: list[PendingRequest] = []

    async def away() -> None:
        headless.cut("person")

    headless.time.later(120, away)
    with pytest.raises(TransportError):
        await agent.begin("GET", headless.url(), wait_s=9 * HOUR, keep=kept.append)
    headless.cut()
    assert await headless.waiting() == 1
    assert isinstance(await agent.resume(kept[-1]), PendingRequest)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#deferred-responses")
async def test_an_agent_alone_puts_its_request_aside_although_nobody_answers(headless: Headless) -> None:
    source = await headless.known()
    agent = headless.agent(source)
    pending = await put_aside(agent, headless.url())
    headless.cut("person")
    again = await agent.resume(pending, wait_s=HOUR)
    assert isinstance(again, PendingRequest)
    assert again.waits == pending.waits
    headless.cut()
    await headless.decide()
    assert status(await agent.resume(again)) == 200


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#cancel-request")
async def test_what_was_put_aside_can_be_withdrawn_by_another_process(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    assert await headless.waiting() == 1
    assert await headless.agent(source).cancel(pending) == 1
    assert await headless.waiting() == 0


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#pending-url-security")
async def test_another_agent_does_not_go_on_with_it(headless: Headless) -> None:
    source, other = await headless.known(), await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    for act in (headless.agent(other).resume, headless.agent(other).cancel):
        with pytest.raises(ConfigurationError, match="this agent is"):
            await act(pending)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#pending-url-security")
async def test_a_pending_url_elsewhere_is_not_asked(headless: Headless) -> None:
    source = await headless.known()
    pending = await put_aside(headless.agent(source), headless.url())
    elsewhere = msgspec.structs.replace(pending.waits[0], location="https://thief.example/pending/1")
    with pytest.raises(ConfigurationError, match="another person server"):
        await headless.agent(source).resume(msgspec.structs.replace(pending, waits=(elsewhere,)))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_body_that_is_too_large_to_keep_is_refused_before_anything_is_sent(headless: Headless) -> None:
    source = await headless.known()
    with pytest.raises(ConfigurationError, match="32768 at most"):
        await headless.agent(source).begin("POST", headless.url(), content=b"x" * 32_769)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.spec("#sub-agents")
async def test_a_sub_agents_request_is_not_put_aside(headless: Headless) -> None:
    source = await headless.known()
    with pytest.raises(ConfigurationError, match="sub-agent"):
        await headless.agent(source).spawn("search").begin("GET", headless.url())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"agent": 1}', "\ud800", '{"agent":"a","method":"GET","url":"u","waits":[],"since":"x"}']
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_changed_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="kept"):
        PendingRequest.from_json(text.encode("utf-8", "replace"))


# --------------------------------------------------------------------------- without an event loop


@pytest.mark.spec("#deferred-responses", "#cancel-request")
def test_the_blocking_agent_puts_requests_aside_too(tmp_path: Path) -> None:
    with real_parties(tmp_path) as real:
        directed: list[Direct] = []
        options = real.options(on_interaction=directed.append)
        kept: list[PendingRequest] = []
        with Agent(real.source, **options) as agent:
            pending = agent.begin("GET", f"{real.calendar}/me", keep=kept.append)
        assert isinstance(pending, PendingRequest)
        assert kept == [pending]
        real.run(real.visit(directed[0]))
        with Agent(real.source, **options) as agent:
            answer = agent.resume(PendingRequest.from_json(pending.to_json()))
            assert status(answer) == 200
            other = agent.begin("GET", f"{real.calendar}/events")
            assert isinstance(other, PendingRequest)
            assert agent.cancel(other) == 1
            assert real.run(real.server.pending_for(ADA)) == []
