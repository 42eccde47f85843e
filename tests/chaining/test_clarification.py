"""A question from below goes up to whoever called, and the answer down again (#requirement-clarification)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from aauthlib.access import Allow, AskQuestion, Decision, Facts
from aauthlib.agent import AsyncAgent
from aauthlib.deferred.polling import UnsupportedRequirement
from aauthlib.effects import Answer, Direct, Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWT, sign

from .parties import Parties

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.spec("#requirement-clarification", "#agent-response-to-clarification", "#interaction-chaining"),
]
WHICH = "Which project is it for?"


def asks(*questions: str, options: tuple[str, ...] = ()) -> Callable[[Facts], Decision]:
    def decide(facts: Facts) -> Decision:
        open_ones = [question for question in questions if question not in facts.answers]
        return AskQuestion(open_ones[0], options) if open_ones else Allow()

    return decide


async def talker(parties: Parties, answer: Callable[[Answer], object]) -> list[Answer]:
    """Have the agent of the day be one that answers. Returns what it is asked."""
    heard: list[Answer] = []

    async def reply(question: Answer) -> object:
        heard.append(question)
        found = answer(question)
        return await found if asyncio.iscoroutine(found) else found

    parties.agent = await parties.newcomer(on_clarification=reply)
    return heard


def asked_of(parties: Parties, name: str) -> list[Response]:
    """The answers of a service that put a question."""
    found = [response for request, response in parties.carried if request.origin == parties.url[name]]
    return [r for r in found if "requirement=clarification" in (r.headers.get("aauth-requirement") or "")]


@pytest.mark.spec("#as-response")
async def test_a_question_of_an_access_server_is_answered_by_the_agent_at_the_top(parties: Parties) -> None:
    seen: list[Facts] = []
    decide = asks(WHICH, options=("Apollo", "Gemini"))

    def policy(facts: Facts) -> Decision:
        seen.append(facts)
        return decide(facts)

    parties.policy = policy
    heard = await talker(parties, lambda _: "Apollo")
    response = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})
    assert response.status_code == 200, response.text
    assert [(question.question, question.options) for question in heard] == [(WHICH, ("Apollo", "Gemini"))]
    assert seen[-1].answers == {WHICH: "Apollo"}
    (asked, *_) = asked_of(parties, "a")
    location = asked.headers.get("location") or ""
    assert location.startswith(f"{parties.url['a']}/aauth/chained/"), "the caller answers at our own pending URL"
    assert asked.json()["timeout"] > 0


async def test_a_question_goes_up_two_hops_and_its_answer_down(parties: Parties) -> None:
    parties.policy = asks(WHICH, "And until when?")
    heard = await talker(parties, lambda question: f"about: {question.question}")
    response = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "b,guarded"})
    assert response.status_code == 200, response.text
    assert [question.question for question in heard] == [WHICH, "And until when?"]
    assert asked_of(parties, "b") and asked_of(parties, "a")


@pytest.mark.spec("#clarification-chat")
async def test_a_question_of_the_persons_reaches_the_agent_and_they_see_its_answer(parties: Parties) -> None:
    heard = await talker(parties, lambda _: "To find you a **free** day.")
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    seen: list[str] = []

    async def wonder(direct: Direct) -> None:
        await parties.visit(direct.person_url, "")
        await parties.ada.submit(parties.ada.form_with("question"), {"question": "Why do you need this?"})
        async with asyncio.timeout(20):
            while "<strong>free</strong>" not in parties.ada.text:
                await parties.ada.visit(parties.ada.url)
        seen.append(parties.ada.text)
        await parties.visit(parties.ada.url, "approve")

    parties.decide = wonder
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"})
    assert response.status_code == 200, response.text
    assert "Why do you need this?" in heard[0].question
    assert seen


async def test_answers_that_are_none_are_refused_and_the_question_stays_open(parties: Parties) -> None:
    refused: list[Response] = []

    async def try_all(_: Answer) -> str:
        location = asked_of(parties, "a")[-1].headers.get("location") or ""
        for body in (
            {},
            {"action": "shrug"},
            {"action": "clarification_response"},
            {"action": "clarification_response", "clarification_response": "Mercury"},
            {"action": "clarification_response", "clarification_response": "x" * 20_000},
            {"action": "updated_request", "resource_token": "r", "presented_token": "p"},
        ):
            refused.append(await posted(parties, parties.agent, location, body))
        return "Gemini"

    parties.policy = asks(WHICH, options=("Apollo", "Gemini"))
    await talker(parties, try_all)
    response = await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})
    assert response.status_code == 200, response.text
    assert [(each.status, each.json()["error"]) for each in refused] == [(400, "invalid_request")] * 6
    assert "options" in refused[3].json()["detail"]
    assert "its caller cannot replace" in refused[5].json()["detail"]


async def test_only_who_was_asked_answers(parties: Parties) -> None:
    found: list[int] = []

    async def listen(_: Answer) -> str:
        location = asked_of(parties, "a")[-1].headers.get("location") or ""
        mallory = await parties.newcomer()
        await mallory.authorize(parties.url["a"], "read")
        body = {"action": "clarification_response", "clarification_response": "Mallory's"}
        found.append((await posted(parties, mallory, location, body)).status)
        return "Apollo"

    parties.policy = asks(WHICH)
    await talker(parties, listen)
    assert (await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})).status_code == 200
    assert found == [404]


@pytest.mark.spec("#cancel-request")
async def test_a_caller_that_withdraws_in_place_of_an_answer_withdraws_what_is_below(parties: Parties) -> None:
    parties.policy = asks(WHICH)
    await talker(parties, lambda _: None)
    with pytest.raises(UnsupportedRequirement):
        await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})
    await parties.until(lambda: not len(parties.services["a"].invocations))
    withdrawn = [request.origin for request, _ in parties.carried if request.method == "DELETE"]
    assert withdrawn[0] == parties.url["a"]
    assert parties.url["person"] in withdrawn


@pytest.mark.spec("#aauth-capabilities")
async def test_a_caller_that_takes_no_questions_is_asked_none(parties: Parties) -> None:
    def from_a(request: Request) -> bool:
        return b'"upstream_token"' in request.body and request.origin == parties.url["person"]

    assert (await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})).status_code == 200
    bodies = [msgspec.json.decode(q.body) for q, _ in parties.carried if from_a(q)]
    assert bodies and all(body.get("capabilities") == ["interaction"] for body in bodies)
    assert not asked_of(parties, "a")


async def test_an_intermediary_answers_itself_what_it_knows_and_hands_on_what_it_does_not(parties: Parties) -> None:
    parties.policy = asks(WHICH, "And until when?")
    heard = await talker(parties, lambda _: "Until May.")
    response = await parties.agent.get(f"{parties.url['a']}/explained")
    assert response.status_code == 200, response.text
    assert [question.question for question in heard] == ["And until when?"]


async def posted(parties: Parties, agent: AsyncAgent, location: str, body: dict[str, str]) -> Response:
    """A POST to a pending URL at A, signed by `agent` with the auth token it calls with."""
    own, token = agent.context.credentials.own, agent.context.credentials.at(parties.url["a"]).auth_token
    assert own is not None and own.key is not None and token is not None
    request = Request("POST", location, Fields({"content-type": "application/json"}), msgspec.json.encode(body))
    signed = sign(request, own.key, JWT(token.raw), created=int(parties.clock()))
    response: Response = await agent.wire.transport.send(Send(signed))
    return response
