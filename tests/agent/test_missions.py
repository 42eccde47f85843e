"""Missions, permissions and reports of the agent library against the real person server, over HTTP."""

from __future__ import annotations

import gc
import hashlib
import runpy
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aauthlib.agent import Agent, AsyncAgent, ChallengeInvalid, ChallengeUnmet, Mission, SelfIssued, Tool
from aauthlib.agent.missions import approved_mission
from aauthlib.base64url import b64url_encode
from aauthlib.errors import (
    Denied,
    InteractionUnavailable,
    InvalidRequest,
    MissionNotFound,
    MissionTerminated,
    UserUnreachable,
)
from aauthlib.messages.missions import MissionProposal, s256_of
from aauthlib.store.notification_records import WEB_PUSH, Subscription
from tests.agent.real import ADA, Real, agreeing, no, real_parties, yes

EXAMPLE = Path(__file__).parents[2] / "examples" / "trip.py"
PLAN = "# Plan a trip\n\nFind a week in May and propose an itinerary before booking."


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with real_parties(tmp_path_factory.mktemp("parties")) as real:
        yield real


@pytest.fixture
def real(parties: Real) -> Real:
    parties.begin()
    return parties


@pytest.fixture
def agent(real: Real) -> Iterator[Agent]:
    with Agent(real.source, **real.options()) as agent:
        yield agent


@pytest.fixture
async def async_agent(real: Real) -> AsyncIterator[AsyncAgent]:
    async with AsyncAgent(real.source, **real.options()) as agent:
        yield agent


# --------------------------------------------------------------------------- proposing


@pytest.mark.spec("#mission-creation", "#mission-approval", "#mission-identifier")
def test_a_mission_is_proposed_approved_and_its_bytes_are_those_the_person_server_keeps(
    real: Real, agent: Agent
) -> None:
    mission = agent.missions.propose(PLAN, tools=["WebSearch", Tool(name="Book")], resources=[real.calendar])
    kept = real.run(real.server.store.persons_mission(mission.s256, person_id=ADA))
    assert mission.blob == kept.blob
    assert mission.s256 == b64url_encode(hashlib.sha256(mission.blob).digest())
    assert mission.terms.description == PLAN
    assert [tool.name for tool in mission.terms.approved_tools] == ["WebSearch", "Book"]
    assert mission.changed == frozenset()


@pytest.mark.spec("#mission-approval")
def test_what_the_person_changed_is_what_the_agent_has(real: Real, agent: Agent) -> None:
    real.decisions = [agreeing(description="Only look, book nothing.", tools=["WebSearch"], resources=[])]
    mission = agent.missions.propose(PLAN, tools=["WebSearch", "Book"], resources=[real.calendar])
    assert mission.terms.description == "Only look, book nothing."
    assert [tool.name for tool in mission.terms.approved_tools] == ["WebSearch"]
    assert mission.changed == {"description", "tools", "resources"}
    assert mission.context.credentials.at(real.calendar).person_tokens == {}


@pytest.mark.spec("#mission-creation", "#polling-error-codes")
def test_a_proposal_that_is_refused_gives_no_mission(real: Real, agent: Agent) -> None:
    real.decisions = [no]
    with pytest.raises(Denied):
        agent.missions.propose(PLAN)


@pytest.mark.spec("#mission-creation")
@pytest.mark.parametrize("bad", [{"description": " "}, {"tools": ["a", "a"]}, {"resources": ["calendar"]}])
def test_a_proposal_that_cannot_be_one_is_refused_before_anything_is_sent(
    real: Real, agent: Agent, bad: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        agent.missions.propose(**{"description": PLAN, **bad})
    assert real.reports == []


@pytest.mark.spec("#mission-creation")
def test_only_an_agent_with_a_person_of_its_own_proposes(agent: Agent) -> None:
    with pytest.raises(ChallengeUnmet, match="sub-agent"):
        agent.spawn("search").missions.propose(PLAN)


# --------------------------------------------------------------------------- working in it


@pytest.mark.spec("#mission-approval", "#person-token-endpoint")
def test_the_person_token_of_the_answer_is_used_and_no_other_is_asked_for(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, resources=[real.calendar])
    real.begin()
    assert mission.get(f"{real.calendar}/me").status_code == 200
    assert real.seen[0]["mission"] == mission.s256
    assert real.directed == [] and real.events("person-token") == []


@pytest.mark.spec("#resource-token-structure", "#missions")
def test_the_mission_goes_into_the_auth_token_and_stays_apart_from_other_work(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, resources=[real.calendar])
    assert mission.get(f"{real.calendar}/events").status_code == 200
    assert agent.get(f"{real.calendar}/events").status_code == 200
    assert [seen["mission"] for seen in real.seen] == [mission.s256, None]
    assert ("issue", "server") in real.log(mission.s256)


@pytest.mark.spec("#permission-endpoint", "#mission-approval")
def test_nobody_is_asked_about_a_tool_the_mission_approves(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, tools=["WebSearch"])
    real.begin()
    permission = mission.permission("WebSearch")
    assert permission and permission.pre_approved
    assert real.directed == [] and real.events("permission") == []


@pytest.mark.spec("#permission-response", "#mission-log")
def test_other_actions_are_asked_about_and_a_no_comes_with_its_reason(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN)

    async def refuse(server: Any, digest: str) -> None:
        await server.answer_request(digest, person_id=ADA, yes=False, reason="Not that *one*.")

    real.decisions = [agreeing(), refuse]
    granted = mission.permission("Book", description="The week of the 7th.", parameters={"price": 420})
    denied = mission.permission("Cancel")
    assert granted and not granted.pre_approved
    assert not denied and denied.reason == "Not that *one*."
    assert real.log(mission.s256)[2:] == [("request", "agent"), ("decision", "person")] * 2


@pytest.mark.spec("#permission-endpoint")
def test_permission_can_be_asked_outside_of_any_mission(agent: Agent) -> None:
    assert agent.permission("SendEmail", parameters={"to": "user@example.com"})


@pytest.mark.spec("#audit-request", "#audit-response")
def test_reports_are_in_the_log_in_the_order_they_were_made_once_the_mission_is_left(real: Real, agent: Agent) -> None:
    with agent.missions.propose(PLAN) as mission:
        for number in range(5):
            mission.audit("WebSearch", parameters={"page": number}, result={"found": number})
    page = real.run(real.server.mission_page(mission.s256, person_id=ADA))
    audits = [entry for entry in page.log if entry.kind == "audit"]
    assert [entry.content["parameters"]["page"] for entry in audits] == [0, 1, 2, 3, 4]


@pytest.mark.spec("#audit-response")
def test_a_report_that_fails_is_told_and_its_future_knows(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN)
    mission.complete("Done.")
    with pytest.raises(MissionTerminated):
        mission.audit("WebSearch").result(10)
    assert real.events("audit-failed")[0]["action"] == "WebSearch"


@pytest.mark.spec("#mission-update")
def test_an_update_is_accepted_and_leaves_the_mission_as_it_was(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN)
    update = mission.update("# Hotel unavailable\n\nA comparable one nearby.")
    assert mission.updates == [update]
    page = real.run(real.server.mission_page(mission.s256, person_id=ADA))
    assert [entry.s256 for entry in page.log if entry.kind == "update"] == [update.s256]
    assert mission.permission("Book")


@pytest.mark.spec("#mission-update", "#polling-error-codes")
def test_an_update_that_is_refused_leaves_the_mission_running(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, resources=[real.calendar])
    real.decisions = [no]
    with pytest.raises(Denied):
        mission.update("Twice the budget.")
    assert mission.updates == []
    assert mission.get(f"{real.calendar}/me").status_code == 200


# --------------------------------------------------------------------------- the end of it


@pytest.mark.spec("#mission-completion", "#mission-status-errors")
def test_after_completion_nothing_is_done_in_the_mission_any_more(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, tools=["WebSearch"], resources=[real.calendar])
    mission.get(f"{real.calendar}/me")
    mission.complete("Booked flights and hotel.")
    real.begin()
    for attempt in (
        lambda: mission.get(f"{real.calendar}/me"),
        lambda: mission.permission("WebSearch"),
        lambda: mission.permission("Book"),
        lambda: mission.update("More."),
        lambda: mission.spawn("search").get(f"{real.calendar}/me"),
    ):
        with pytest.raises(MissionTerminated) as ended:
            attempt()
        assert ended.value.reason == "completed"
    assert real.seen == [] and [report.event for report in real.reports] == []
    assert agent.get(f"{real.calendar}/me").status_code == 200  # outside of it the agent goes on


@pytest.mark.spec("#mission-completion", "#mission-log")
def test_what_was_reported_before_completion_is_in_the_log(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN)
    for _ in range(10):
        mission.audit("WebSearch")
    mission.complete("Done.")
    assert real.log(mission.s256).count(("audit", "agent")) == 10


@pytest.mark.spec("#mission-completion")
def test_a_person_who_does_not_find_it_finished_lets_the_mission_go_on(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN)
    real.decisions = [no]
    with pytest.raises(Denied):
        mission.complete("Done.")
    assert mission.permission("Book")


@pytest.mark.spec("#mission-status-errors", "#mission-management")
def test_a_mission_the_person_ended_is_left_alone_from_the_first_time_it_is_heard(real: Real, agent: Agent) -> None:
    mission = agent.missions.propose(PLAN, resources=[real.calendar])
    real.run(real.server.end_mission(mission.s256, person_id=ADA))
    with pytest.raises(MissionTerminated) as ended:
        mission.permission("Book")
    assert ended.value.reason == "revoked"
    real.begin()
    with pytest.raises(MissionTerminated):
        mission.get(f"{real.calendar}/me")  # although a person token for it was at hand
    assert real.reports == []


@pytest.mark.spec("#mission-identifier")
def test_a_mission_goes_on_from_its_bytes_in_another_process(real: Real, agent: Agent) -> None:
    blob = agent.missions.propose(PLAN).blob
    with Agent(real.source, **real.options()) as later:
        mission = later.missions.resume(blob)
        assert mission.terms.description == PLAN
        mission.get(f"{real.calendar}/me")
    assert real.seen[-1]["mission"] == mission.s256


@pytest.mark.spec("#mission-endpoint-errors")
def test_bytes_of_no_mission_of_this_agents_are_not_found(real: Real, agent: Agent) -> None:
    blob = msgspec.json.encode(
        {"agent": "aauth:other@agent.localhost", "approved_at": "2026-11-01T00:00:00Z", "description": "Mine."}
    )
    with pytest.raises(MissionNotFound):
        agent.missions.resume(blob).permission("Book")
    with pytest.raises(InvalidRequest):
        agent.missions.resume(b"{}")


@pytest.mark.spec("#mission-creation", "#token-endpoint-error-codes")
def test_an_agent_without_a_way_to_its_person_is_told_so(real: Real) -> None:
    source = real.source
    unknown = SelfIssued(
        source.issuer, "aauth:unknown@agent.localhost", source.key, source.clock, ps=source.ps, dev=True
    )
    with Agent(unknown, **real.options(on_interaction=None)) as agent, pytest.raises(UserUnreachable):
        agent.missions.propose(PLAN)


@pytest.mark.spec("#approval-pending", "#permission-response")
def test_an_agent_without_a_way_to_its_person_waits_for_one_who_knows_it(real: Real, agent: Agent) -> None:
    agent.permission("Ping")  # Ada knows the agent from now on

    def at_home(report: Any) -> None:
        """Ada looks at what waits for her, when the agent says that it waits."""
        if report.event == "waiting" and not decided:
            decided.append(True)
            (entry,) = real.run(real.server.pending_for(ADA))
            real.run(yes(real.server, entry.digest))

    decided: list[bool] = []
    with Agent(real.source, **real.options(on_interaction=None, on_report=at_home)) as alone:
        assert alone.permission("Ping")
    assert decided


# --------------------------------------------------------------------------- reaching the person


def at_home(real: Real, act: Any) -> Any:
    """An `on_report` by which Ada does something about what waits for her, once, when the agent says that it waits."""
    done: list[bool] = []

    def report(event: Any) -> None:
        if event.event == "waiting" and not done:
            done.append(True)
            (entry,) = real.run(real.server.pending_for(ADA))
            real.run(act(entry.digest))

    return report


@pytest.fixture
def reachable(real: Real) -> Iterator[None]:
    """Ada has a phone that she is told on."""
    target = {"endpoint": "https://push.example/x", "p256dh": "k", "auth": "a"}
    phone = Subscription(
        id="phone", person_id=ADA, channel=WEB_PUSH, target=target, name="A phone", created_at=0.0, confirmed=True
    )
    store: Any = real.server.store
    real.run(store.subscribe(phone))
    yield
    real.run(store.unsubscribe("phone"))


@pytest.mark.spec("#interaction-response-poll-authority", "#interaction-endpoint")
def test_a_question_is_answered_by_the_person(real: Real, agent: Agent) -> None:
    real.decisions = [agreeing(answer="The *refundable* one.")]
    assert agent.ask("Which one?", description="Two fares.") == "The *refundable* one."
    assert len(real.directed) == 1


@pytest.mark.spec("#interaction-response-poll-authority", "#polling-error-codes")
def test_a_question_that_is_not_answered_is_told_as_a_no(real: Real, agent: Agent) -> None:
    real.decisions = [no]
    with pytest.raises(Denied):
        agent.ask("Which one?")


@pytest.mark.spec("#interaction-response-poll-authority", "#mission-log")
def test_an_agent_alone_asks_a_person_who_can_be_told(real: Real, agent: Agent, reachable: None) -> None:
    agent.permission("Ping")
    answer = at_home(real, lambda digest: real.server.answer_request(digest, person_id=ADA, yes=True, answer="In May."))
    blob = agent.missions.propose(PLAN).blob
    with Agent(real.source, **real.options(on_interaction=None, on_report=answer)) as alone:
        mission = alone.missions.resume(blob)
        assert mission.ask("When?") == "In May."
    assert real.log(mission.s256)[-2:] == [("request", "agent"), ("decision", "person")]


@pytest.mark.spec("#interaction-relay", "#interaction-endpoint-errors")
def test_a_page_is_relayed_to_a_person_who_can_be_told_and_to_nobody_else(real: Real, agent: Agent) -> None:
    agent.permission("Ping")
    with pytest.raises(InteractionUnavailable):
        agent.relay(f"{real.calendar}/confirm", "X7K2-M9P4")


@pytest.mark.spec("#interaction-relay", "#interaction-response-poll-authority")
@pytest.mark.parametrize("payment", [False, True])
def test_a_relay_returns_when_the_person_went_there(real: Real, agent: Agent, reachable: None, payment: bool) -> None:
    agent.permission("Ping")
    go = at_home(real, lambda digest: real.server.answer_request(digest, person_id=ADA, yes=True))
    with Agent(real.source, **real.options(on_report=go)) as going:
        going.relay(f"{real.calendar}/confirm", "X7K2-M9P4", payment=payment, description="Confirm, please.")


@pytest.mark.spec("#mission-approval", "#aauth-capabilities")
def test_what_the_person_server_can_do_is_declared_to_resources_in_the_mission(
    real: Real, agent: Agent, reachable: None
) -> None:
    blob_of = agent.missions.propose(PLAN, resources=[real.calendar])
    assert blob_of.approved.capabilities == ("interaction",)
    agent.context.capabilities = ()
    mission = Mission(agent, blob_of.approved)
    mission.get(f"{real.calendar}/me")
    assert real.seen[-1]["capabilities"] == "interaction"
    kept = agent.missions.resume(blob_of.blob, capabilities=blob_of.approved.capabilities)
    kept.get(f"{real.calendar}/me")
    assert real.seen[-1]["capabilities"] == "interaction"


@pytest.mark.spec("#interaction-endpoint")
async def test_a_question_on_an_event_loop(real: Real, async_agent: AsyncAgent) -> None:
    real.decisions = [agreeing(answer="Yes.")]
    assert await async_agent.ask("May I?") == "Yes."
    with pytest.raises(InteractionUnavailable):
        await async_agent.relay(f"{real.calendar}/confirm", "X7K2-M9P4")


@pytest.mark.spec("#missions")
def test_the_example_plans_a_trip(
    real: Real, agent: Agent, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Agent, "load", lambda: agent)
    runpy.run_path(str(EXAMPLE))["main"](real.calendar)
    assert "It may be sent." in capsys.readouterr().out
    s256 = real.events("mission-completed")[0]["s256"]
    assert ("audit", "agent") in real.log(s256) and real.log(s256)[-1][0] == "termination"


# --------------------------------------------------------------------------- on an event loop


@pytest.mark.spec("#missions")
async def test_the_same_on_an_event_loop(real: Real, async_agent: AsyncAgent) -> None:
    async with await async_agent.missions.propose(PLAN, tools=["WebSearch"], resources=[real.calendar]) as mission:
        assert (await mission.get(f"{real.calendar}/me")).status_code == 200
        assert await mission.permission("WebSearch") and await mission.permission("Book")
        await mission.audit("WebSearch")
        recorded = await mission.audit("Book")
        await recorded
        await mission.update("Another week.")
        await mission.complete("Done.")
    with pytest.raises(MissionTerminated):
        await mission.get(f"{real.calendar}/me")
    assert real.seen[0]["mission"] == mission.s256
    assert [kind for kind, _ in real.log(mission.s256)].count("audit") == 2


@pytest.mark.spec("#audit-response")
async def test_a_failed_report_that_nobody_asks_about_is_told_and_makes_no_noise(
    real: Real, async_agent: AsyncAgent, caplog: pytest.LogCaptureFixture
) -> None:
    mission = await async_agent.missions.propose(PLAN)
    await mission.complete("Done.")
    await mission.audit("Late")
    await mission.aclose()
    gc.collect()
    assert real.events("audit-failed")[0]["action"] == "Late"
    assert caplog.records == []


# --------------------------------------------------------------------------- answers that are not what was asked for

AGENT = "aauth:assistant@agent.example"


def answered(**changes: Any) -> tuple[str, str]:
    """The `mission` and `s256` members of an answer."""
    members = {"agent": AGENT, "approved_at": "2026-11-01T00:00:00Z", "description": PLAN, **changes}
    blob = msgspec.json.encode({name: value for name, value in members.items() if value is not None})
    return b64url_encode(blob), s256_of(blob)


def judge(encoded: str, s256: str, **options: Any) -> Any:
    proposal = MissionProposal(description=PLAN, resources=("https://calendar.example",))
    values = {"ps": "https://ps.example", "agent": AGENT, "proposal": proposal, "capabilities": None, **options}
    return approved_mission(encoded, s256, **values)


@pytest.mark.spec("#mission-approval", "#mission-identifier")
def test_the_digest_is_that_of_exactly_the_bytes() -> None:
    encoded, s256 = answered()
    assert judge(encoded, s256).s256 == s256
    again, _ = answered(note="one member more")
    with pytest.raises(ChallengeInvalid, match="digest"):
        judge(again, s256)
    with pytest.raises(ChallengeInvalid, match="base64url"):
        judge(encoded + "=", s256)


@pytest.mark.spec("#mission-approval")
@pytest.mark.parametrize(
    "changes",
    [
        {"agent": "aauth:other@agent.example"},
        {"agent": None},
        {"description": None},
        {"approved_at": "yesterday"},
        {"approved_resources": ["https://mail.example"]},
    ],
)
def test_what_is_no_mission_of_this_proposal_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ChallengeInvalid):
        judge(*answered(**changes))


@pytest.mark.spec("#mission-approval")
def test_members_that_are_not_known_are_ignored() -> None:
    assert judge(*answered(budget={"amount": 5})).terms.description == PLAN


@pytest.mark.spec("#aauth-capabilities")
def test_capabilities_that_cannot_be_tokens_are_left_out() -> None:
    mission = judge(*answered(), capabilities=["interaction", "pay ment", "a\r\nb", "payment"])
    assert mission.capabilities == ("interaction", "payment")
