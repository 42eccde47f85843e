"""Missions at the person server (#missions): proposing, approving, updating, completing, ending."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from aauthlib import errors
from aauthlib.base64url import b64url_encode
from aauthlib.http import Response
from aauthlib.messages.missions import Tool, mission_blob, read_blob, s256_of
from aauthlib.messages.problems import error_response
from aauthlib.person.consent import ConsentView
from aauthlib.person.mission_views import MissionRequestView, title_of
from aauthlib.store.person_data import export_of
from aauthlib.store.person_erasing import erase
from aauthlib.tokens import AuthToken, PersonToken

from .missions import PROPOSAL, UNKNOWN, answered, approved, call, log_of, propose
from .parties import (
    ALICE,
    BOB,
    CALENDAR,
    MAIL,
    OTHER_AP,
    PS,
    World,
    arrive,
    requirement_of,
    resource_token,
)
from .test_auth_token import rewritten


async def refusal(response: Any) -> errors.AAuthError:
    with pytest.raises(errors.AAuthError) as caught:
        await response
    return caught.value


class TestCreation:
    """#mission-creation."""

    @pytest.mark.spec("#mission-creation", "#deferred-responses")
    async def test_a_proposal_is_answered_with_where_to_send_the_person(self, world: World) -> None:
        response = await propose(world.agent())
        assert (response.status, response.json()) == (202, {"status": "pending"})
        assert (response.headers.get("location") or "").startswith(PS + "/pending/")
        assert requirement_of(response).value == "interaction"

    @pytest.mark.spec("#mission-creation", "#ps-metadata")
    async def test_the_endpoints_are_in_the_metadata(self, world: World) -> None:
        metadata = world.server.metadata()
        assert metadata.mission_endpoint == PS + "/mission"
        assert metadata.permission_endpoint == PS + "/permission"
        assert metadata.audit_endpoint == PS + "/audit"

    @pytest.mark.spec("#mission-creation", "#untrusted-input")
    @pytest.mark.parametrize(
        "changes",
        [
            {"description": ""},
            {"description": " \n"},
            {"description": "x" * 4001},
            {"description": "a\0b"},
            {"description": "Plan the week.\u202e.keew eht nalP"},
            {"description": "Plan the week." + "".join(chr(0xE0000 + ord(c)) for c in "and pay Eve")},
            {"description": "Plan the week.\ufe00\U000e0101\U000e0150"},
            {"tools": [{"name": "WebSearch", "description": "Looks\u2066 up\u2069"}]},
            {"tools": [{"name": ""}]},
            {"tools": [{"name": "Web\u202eSearch"}]},
            {"tools": [{"name": " WebSearch"}]},
            {"tools": [{"name": "x" * 129}]},
            {"tools": [{"name": "WebSearch", "description": "x" * 301}]},
            {"tools": [{"name": "WebSearch"}, {"name": "WebSearch"}]},
            {"tools": [{"name": f"tool{n}"} for n in range(41)]},
            {"resources": ["http://calendar.example"]},
            {"resources": ["https://calendar.example/path"]},
            {"resources": [CALENDAR, CALENDAR]},
            {"resources": [f"https://r{n}.example" for n in range(21)]},
            {"resources": "https://calendar.example"},
        ],
        ids=lambda changes: str(changes)[:40],
    )
    async def test_a_proposal_that_could_not_be_shown_whole_is_refused(
        self, world: World, changes: dict[str, Any]
    ) -> None:
        assert isinstance(await refusal(propose(world.agent(), **changes)), errors.InvalidRequest)

    @pytest.mark.spec("#mission-creation")
    @pytest.mark.parametrize(
        "text",
        [
            "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f na\u00efve",
            "\u0627\u0644\u0639\u0631\u0628\u064a\u0629\u200f!",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u845b\U000e0100\u57ce",
            "a\n\tb\r\nc",
        ],
        ids=["emoji", "arabic", "persian", "variant", "lines"],
    )
    async def test_what_words_and_emoji_are_written_with_is_taken(self, world: World, text: str) -> None:
        assert (await propose(world.agent(), description=text)).status == 202

    @pytest.mark.spec("#mission-creation", "#sub-agents")
    async def test_a_sub_agent_proposes_nothing(self, world: World) -> None:
        assert isinstance(await refusal(propose(world.agent().sub_agent())), errors.InvalidRequest)

    @pytest.mark.spec("#mission-creation")
    async def test_an_agent_of_another_person_server_is_sent_there(self, world: World) -> None:
        stranger = world.agent(ps="https://other-ps.example")
        assert isinstance(await refusal(propose(stranger)), errors.InvalidRequest)

    @pytest.mark.spec("#mission-creation", "#token-endpoint-error-codes")
    async def test_nobody_who_could_decide_can_be_reached(self, world: World) -> None:
        error = await refusal(propose(world.agent(), capabilities=[]))
        assert isinstance(error, errors.UserUnreachable)

    @pytest.mark.spec("#mission-creation")
    async def test_a_known_agents_proposal_waits_at_home_even_if_it_cannot_send_the_person(self, world: World) -> None:
        agent = world.agent()
        await agent.person_token()
        response = await propose(agent, capabilities=[])
        assert response.status == 202
        (view,) = await world.server.pending_for(ALICE)
        assert isinstance(view, MissionRequestView)
        assert view.description == PROPOSAL["description"]
        assert [tool.name for tool in view.tools] == ["WebSearch", "BookFlight"]
        assert [resource.issuer for resource in view.resources] == [CALENDAR]

    @pytest.mark.spec("#mission-creation", "#polling-error-codes")
    async def test_a_declined_proposal_ends_as_denied(self, world: World) -> None:
        agent = world.agent()
        response = await propose(agent)
        await world.server.deny(await arrive(world, response), person_id=ALICE)
        assert isinstance(await refusal(agent.poll(response)), errors.Denied)
        assert await world.server.missions(ALICE) == []

    @pytest.mark.spec("#mission-creation")
    async def test_the_request_is_bounded_like_any_other(self, world: World) -> None:
        agent = world.agent()
        for _ in range(20):
            await propose(agent)
        assert isinstance(await refusal(propose(agent)), errors.RateLimited)


class TestApproval:
    """#mission-approval, #mission-identifier."""

    @pytest.mark.spec("#mission-approval", "#mission-identifier")
    async def test_the_answer_has_the_blob_its_digest_and_a_person_token_for_each_resource(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent, resources=[CALENDAR, MAIL])
        assert mission.s256 == b64url_encode(hashlib.sha256(mission.blob).digest())
        blob = msgspec.json.decode(mission.blob)
        assert blob["agent"] == agent.sub
        assert blob["description"] == PROPOSAL["description"]
        assert blob["approved_tools"] == [
            {"name": "WebSearch", "description": "Search the web"},
            {"name": "BookFlight", "description": ""},
        ]
        assert blob["approved_resources"] == [CALENDAR, MAIL]
        assert blob["approved_at"].endswith("Z")
        assert "approver" not in blob
        assert set(mission.answer["person_tokens"]) == {CALENDAR, MAIL}
        for resource, text in mission.answer["person_tokens"].items():
            token: PersonToken = await world.verified(text, PersonToken)
            assert (token.aud, token.mission_s256) == (resource, mission.s256)
            assert token.cnf.thumbprint == agent.key.thumbprint

    @pytest.mark.spec("#mission-approval")
    async def test_the_person_changes_what_is_approved(self, world: World) -> None:
        choices = {"description": "Only look.", "tools": ["WebSearch"], "resources": [], "lifetime": "hour"}
        mission = await approved(world.agent(), choices=choices)
        blob = read_blob(mission.blob)
        assert blob.description == "Only look."
        assert [tool.name for tool in blob.approved_tools] == ["WebSearch"]
        assert blob.approved_resources == ()
        assert "person_tokens" not in mission.answer
        assert blob.expires_at is not None
        assert blob.expires_at.timestamp() == world.clock() + 3600

    @pytest.mark.spec("#mission-approval")
    async def test_what_was_not_proposed_cannot_be_approved(self, world: World) -> None:
        choices = {"tools": ["WebSearch", "Shell"], "resources": [CALENDAR, MAIL]}
        blob = read_blob((await approved(world.agent(), choices=choices)).blob)
        assert [tool.name for tool in blob.approved_tools] == ["WebSearch"]
        assert blob.approved_resources == (CALENDAR,)

    @pytest.mark.spec("#mission-approval")
    async def test_a_mission_may_run_until_it_is_ended(self, world: World) -> None:
        mission = await approved(world.agent(), choices={"lifetime": "open"})
        assert "expires_at" not in msgspec.json.decode(mission.blob)

    @pytest.mark.spec("#mission-approval", "#mission-identifier")
    async def test_equal_missions_of_the_same_moment_have_identifiers_of_their_own(self, world: World) -> None:
        agent = world.agent()
        one, two = await approved(agent), await approved(agent)
        assert one.s256 != two.s256

    @pytest.mark.spec("#mission-identifier")
    async def test_the_bytes_served_for_audit_are_the_bytes_approved(self, world: World) -> None:
        mission = await approved(world.agent())
        kept = await world.server.store.persons_mission(mission.s256, person_id=ALICE)
        assert kept.blob == mission.blob

    @pytest.mark.spec("#mission-approval", "#agent-person-binding")
    async def test_approving_connects_the_agent(self, world: World) -> None:
        agent = world.agent()
        await approved(agent)
        assert [(a.iss, a.sub) for a in await world.server.agents(ALICE)] == [agent.identity]
        response = await propose(agent)
        error = await refusal(arrive(world, response, BOB))
        assert "another account" in error.detail

    @pytest.mark.spec("#mission-approval", "#ps-approval-endpoint-auth")
    async def test_nobody_but_who_arrived_decides(self, world: World) -> None:
        digest = await arrive(world, await propose(world.agent()))
        assert isinstance(await refusal(world.server.approve_mission(digest, person_id=BOB)), errors.NotFound)
        assert isinstance(await refusal(world.server.approve(digest, person_id=ALICE)), errors.NotFound)

    @pytest.mark.spec("#mission-approval")
    async def test_a_second_click_changes_nothing(self, world: World) -> None:
        digest = await arrive(world, await propose(world.agent()))
        for tools in (["WebSearch"], []):
            await world.server.approve_mission(digest, person_id=ALICE, tools=tools)
        (mission,) = await world.server.missions(ALICE)
        assert [tool.name for tool in mission.terms.approved_tools] == ["WebSearch"]

    @pytest.mark.spec("#mission-approval", "#polling-error-codes")
    async def test_too_late_is_too_late(self, world: World) -> None:
        agent = world.agent()
        response = await propose(agent)
        digest = await arrive(world, response)
        world.clock.now += 901
        assert isinstance(await refusal(world.server.approve_mission(digest, person_id=ALICE)), errors.Expired)
        assert isinstance(await refusal(agent.poll(response)), errors.Expired)

    @pytest.mark.spec("#mission-approval", "#person-token-structure", "#auth-token-structure")
    async def test_no_token_outlives_the_mission(self, world: World) -> None:
        agent = world.agent(lifetime_s=7200)
        mission = await approved(agent, choices={"lifetime": "hour"})
        world.clock.now += 1800
        ends = read_blob(mission.blob).expires_at
        assert ends is not None
        presented = await agent.person_token(mission_s256=mission.s256)
        assert presented.exp == ends.timestamp()
        auth = await agent.auth_token(presented)
        assert (auth.exp, auth.mission_s256) == (ends.timestamp(), mission.s256)

    @given(
        description=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200),
        tools=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=5),
        approved_at=st.floats(0, 4e9, allow_nan=False),
        expires_in=st.none() | st.integers(1, 10**8),
    )
    @pytest.mark.spec("#mission-identifier")
    def test_any_blob_reads_back_and_its_digest_is_over_its_very_bytes(
        self, description: str, tools: list[tuple[str, str]], approved_at: float, expires_in: int | None
    ) -> None:
        listed = [Tool(name=name, description=text) for name, text in tools]
        blob = mission_blob(
            agent="aauth:a@ap.example",
            approved_at=approved_at,
            description=description,
            expires_at=None if expires_in is None else approved_at + expires_in,
            tools=listed,
        )
        read = read_blob(blob)
        assert (read.description, list(read.approved_tools)) == (description, listed)
        assert s256_of(blob) == b64url_encode(hashlib.sha256(blob).digest())
        assert s256_of(blob + b" ") != s256_of(blob)


class TestUse:
    """#mission-log: what flows where."""

    @pytest.mark.spec("#mission-log", "#person-token-endpoint")
    async def test_the_mission_flows_from_person_token_to_auth_token(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        text = mission.answer["person_tokens"][CALENDAR]
        presented: PersonToken = await world.verified(text, PersonToken)
        response = await agent.ask_auth_token(resource_token(world, presented), presented, justification="For May.")
        digest = await arrive(world, response)
        view = await world.server.consent(digest, person_id=ALICE)
        assert isinstance(view, ConsentView)
        assert view.mission is not None
        assert view.mission.title == "Plan a trip"
        await world.server.approve(digest, person_id=ALICE)
        issued: AuthToken = await world.verified((await agent.poll(response)).json()["auth_token"], AuthToken)
        assert issued.mission_s256 == mission.s256
        page = await world.server.mission_page(mission.s256, person_id=ALICE)
        kinds = [entry.kind for entry in page.log]
        assert kinds == ["proposal", "approval", "issue", "request", "decision", "issue"]
        assert page.log[3].content["justification"] == "For May."

    @pytest.mark.spec("#person-token-endpoint", "#mission-approval")
    async def test_an_approved_resource_needs_no_further_question_and_another_one_does(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        again = await agent.ask_person_token(CALENDAR, mission_s256=mission.s256, capabilities=[])
        assert again.status == 200
        assert (await agent.ask_person_token(MAIL, mission_s256=mission.s256)).status == 202

    @pytest.mark.spec("#mission-log", "#resource-token-structure")
    async def test_consent_is_remembered_for_its_mission_alone(self, world: World) -> None:
        agent = world.agent()
        one, two = await approved(agent), await approved(agent)
        await agent.auth_token(await agent.person_token(mission_s256=one.s256))
        for s256, asked in ((one.s256, False), (two.s256, True)):
            presented = await agent.person_token(mission_s256=s256)
            response = await agent.ask_auth_token(resource_token(world, presented), presented)
            assert (response.status == 202) is asked
        assert (await agent.ask_person_token(CALENDAR)).status == 202

    @pytest.mark.spec("#mission-approval")
    async def test_what_holds_in_a_mission_is_not_listed_outside_of_it(self, world: World) -> None:
        await approved(world.agent())
        assert await world.server.grants(ALICE) == []

    @pytest.mark.spec("#person-token-endpoint")
    @pytest.mark.parametrize("s256", [UNKNOWN, "short", "x" * 44, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX="])
    async def test_a_person_token_for_no_mission_is_refused(self, world: World, s256: str) -> None:
        agent = world.agent()
        await agent.person_token()
        assert isinstance(await refusal(agent.ask_person_token(mission_s256=s256)), errors.InvalidRequest)

    @pytest.mark.spec("#person-token-endpoint", "#mission-status-errors")
    async def test_another_agents_mission_gives_no_person_token(self, world: World) -> None:
        mission = await approved(world.agent())
        thief = world.agent("thief")
        await thief.person_token()
        error = await refusal(thief.ask_person_token(mission_s256=mission.s256))
        unknown = await refusal(thief.ask_person_token(mission_s256=UNKNOWN))
        assert (type(error), error.detail) == (errors.InvalidRequest, unknown.detail)

    @pytest.mark.spec("#resource-token-verification", "#mission-log")
    @pytest.mark.parametrize("forged", [None, UNKNOWN], ids=["stripped", "forged"])
    async def test_a_resource_token_with_its_mission_stripped_or_forged_is_refused(
        self, world: World, forged: str | None
    ) -> None:
        agent = world.agent()
        mission = await approved(agent)
        presented = await agent.person_token(mission_s256=mission.s256)
        text = rewritten(resource_token(world, presented), world.server_keys[CALENDAR], mission_s256=forged)
        assert isinstance(await refusal(agent.ask_auth_token(text, presented)), errors.InvalidResourceToken)


class TestUpdate:
    """#mission-update."""

    @pytest.mark.spec("#mission-update")
    async def test_an_accepted_update_is_logged_and_digested(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        before = await agent.person_token(mission_s256=mission.s256)
        response = await call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "Other hotel."})
        assert response.status == 202
        answer = await answered(agent, response)
        page = await world.server.mission_page(mission.s256, person_id=ALICE)
        entry = page.log[-1]
        assert (entry.kind, entry.content) == ("update", {"description": "Other hotel."})
        persisted = msgspec.json.encode({"description": "Other hotel."})
        assert answer.json() == {"s256": s256_of(persisted)} == {"s256": entry.s256}
        # The mission and every token of it stay as they are.
        kept = await world.server.store.persons_mission(mission.s256, person_id=ALICE)
        assert kept.blob == mission.blob
        assert (await agent.ask_auth_token(resource_token(world, before), before)).status == 202

    @pytest.mark.spec("#mission-update")
    async def test_a_declined_update_leaves_the_mission_as_it_was(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        response = await call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "More money."})
        await world.server.deny(await arrive(world, response), person_id=ALICE)
        assert isinstance(await refusal(agent.poll(response)), errors.Denied)
        assert ("update", "agent") not in await log_of(world, mission.s256)
        assert (await log_of(world, mission.s256))[-2:] == [("request", "agent"), ("decision", "person")]

    @pytest.mark.spec("#missions", "#mission-endpoint-errors")
    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"action": "pause"},
            {"action": "update"},
            {"action": "update", "description": ""},
            {"action": "update", "description": "x" * 4001},
            {"action": "completion"},
            {"action": "completion", "summary": "a\0b"},
            {"action": 7},
        ],
    )
    async def test_a_missing_or_unknown_action_or_text_is_a_bad_request(
        self, world: World, body: dict[str, Any]
    ) -> None:
        agent = world.agent()
        mission = await approved(agent)
        error = await refusal(call(agent, f"/mission/{mission.s256}", body))
        assert (type(error), error_response(error).status) == (errors.InvalidRequest, 400)
        # Whatever is wrong with a request is said before any mission is looked for.
        same = await refusal(call(agent, f"/mission/{UNKNOWN}", body))
        assert same.detail == error.detail


class TestCompletion:
    """#mission-completion."""

    @pytest.mark.spec("#mission-completion", "#mission-management")
    async def test_the_persons_acceptance_ends_the_mission(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        presented = await agent.person_token(mission_s256=mission.s256)
        open_request = await agent.ask_auth_token(resource_token(world, presented), presented)
        response = await call(agent, f"/mission/{mission.s256}", {"action": "completion", "summary": "Booked."})
        answer = await answered(agent, response)
        assert (answer.status, answer.json()) == (
            200,
            {"mission_status": "terminated", "termination_reason": "completed"},
        )
        error = await refusal(agent.poll(open_request))
        assert isinstance(error, errors.MissionTerminated)
        assert error.reason == "completed"
        assert (await log_of(world, mission.s256))[-1] == ("termination", "person")

    @pytest.mark.spec("#mission-completion")
    async def test_the_agent_proposes_completion_and_does_not_declare_it(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        response = await call(agent, f"/mission/{mission.s256}", {"action": "completion", "summary": "Booked."})
        assert response.status == 202
        assert (await agent.ask_person_token(mission_s256=mission.s256)).status == 200
        await world.server.deny(await arrive(world, response), person_id=ALICE)
        assert isinstance(await refusal(agent.poll(response)), errors.Denied)
        assert (await agent.ask_person_token(mission_s256=mission.s256)).status == 200


class TestConversation:
    """#clarification-chat about a mission."""

    @pytest.mark.spec("#mission-creation", "#clarification-chat", "#mission-log")
    async def test_the_chat_about_a_proposal_is_part_of_the_log(self, world: World) -> None:
        agent = world.agent()
        response = await propose(agent, capabilities=["interaction", "clarification"])
        digest = await arrive(world, response)
        await world.server.ask_agent(digest, "How much?", person_id=ALICE)
        asked = await agent.poll(response)
        assert asked.json()["clarification"] == "How much?"
        location = response.headers.get("location") or ""
        body = {"action": "clarification_response", "clarification_response": "5000."}
        await world.server.answer(agent.signed("POST", location, body), location.rpartition("/")[2])
        view = await world.server.consent(digest, person_id=ALICE)
        assert [turn.text for turn in view.conversation] == ["How much?", "5000."]
        await world.server.approve_mission(digest, person_id=ALICE)
        (mission,) = await world.server.missions(ALICE)
        log = await log_of(world, mission.s256)
        assert log == [("proposal", "agent"), ("question", "person"), ("answer", "agent"), ("approval", "person")]

    @pytest.mark.spec("#mission-completion", "#clarification-chat")
    async def test_follow_up_questions_leave_the_mission_active(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        body = {"action": "completion", "summary": "Done.", "capabilities": ["interaction", "clarification"]}
        response = await call(agent, f"/mission/{mission.s256}", body)
        await world.server.ask_agent(await arrive(world, response), "Both ways?", person_id=ALICE)
        assert (await agent.poll(response)).json()["clarification"] == "Both ways?"
        assert (await agent.ask_person_token(mission_s256=mission.s256)).status == 200
        assert (await log_of(world, mission.s256))[-2] == ("question", "person")

    @pytest.mark.spec("#clarification-chat", "#resource-token-verification")
    async def test_an_update_cannot_carry_a_request_into_another_mission(self, world: World) -> None:
        agent = world.agent()
        one, two = await approved(agent), await approved(agent)
        presented = await agent.person_token(mission_s256=one.s256)
        response = await agent.ask_auth_token(
            resource_token(world, presented), presented, capabilities=["interaction", "clarification"]
        )
        await world.server.ask_agent(await arrive(world, response), "Why?", person_id=ALICE)
        other = await agent.person_token(mission_s256=two.s256)
        location = response.headers.get("location") or ""
        body = {
            "action": "updated_request",
            "resource_token": resource_token(world, other),
            "presented_token": other.raw,
        }
        error = await refusal(world.server.answer(agent.signed("POST", location, body), location.rpartition("/")[2]))
        assert isinstance(error, errors.InvalidResourceToken)
        assert "mission" in error.detail


class TestManagement:
    """#mission-management, #mission-status-errors."""

    @pytest.mark.spec("#mission-management", "#revocation-cascade")
    async def test_ending_a_mission_revokes_its_tokens_at_their_resources(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        presented = await agent.person_token(mission_s256=mission.s256)
        auth = await agent.auth_token(presented)
        outside = await agent.person_token()
        world.network.sent.clear()
        outcomes = await world.server.end_mission(mission.s256, person_id=ALICE, note="Staying at home.")
        told = {msgspec.json.decode(request.body)["jti"] for request in world.network.sent}
        assert {presented.jti, auth.jti} <= told
        assert outside.jti not in told
        assert all(outcome.complete for outcome in outcomes)
        error = await refusal(agent.ask_auth_token(resource_token(world, presented), presented))
        assert isinstance(error, errors.RevokedPresentedToken | errors.MissionTerminated)
        assert (await agent.ask_auth_token(resource_token(world, outside), outside)).status == 202

    @pytest.mark.spec("#mission-management", "#mission-status-errors")
    @pytest.mark.parametrize("reason", ["revoked", "superseded"])
    async def test_every_endpoint_says_that_and_why_it_is_over(self, world: World, reason: str) -> None:
        agent = world.agent()
        mission = await approved(agent)
        await world.server.end_mission(mission.s256, person_id=ALICE, reason=reason)
        for refused in (
            agent.ask_person_token(mission_s256=mission.s256),
            call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "More."}),
            call(agent, f"/mission/{mission.s256}", {"action": "completion", "summary": "Done."}),
            call(agent, "/permission", {"action": "WebSearch", "mission_s256": mission.s256}),
            call(agent, "/audit", {"action": "WebSearch", "mission_s256": mission.s256}),
        ):
            response = error_response(await refusal(refused))
            assert response.status == 403
            assert response.headers.get("content-type") == "application/problem+json"
            problem = response.json()
            assert problem["error"] == "mission_terminated"
            assert (problem["mission_status"], problem["termination_reason"]) == ("terminated", reason)

    @pytest.mark.spec("#mission-approval", "#mission-status-errors")
    async def test_every_decision_path_compares_the_clock(self, world: World) -> None:
        agent = world.agent(lifetime_s=86_400)
        mission = await approved(agent, choices={"lifetime": "hour"})
        world.clock.now += 3000
        waiting = await call(agent, "/permission", {"action": "Shell", "mission_s256": mission.s256})
        digest = await arrive(world, waiting)
        granted = await call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "More."})
        granted_digest = await arrive(world, granted)
        await world.server.answer_request(granted_digest, person_id=ALICE, yes=True)
        world.clock.now += 600
        for refused in (
            agent.ask_person_token(mission_s256=mission.s256),
            call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "More."}),
            call(agent, "/permission", {"action": "WebSearch", "mission_s256": mission.s256}),
            call(agent, "/audit", {"action": "WebSearch", "mission_s256": mission.s256}),
            world.server.end_mission(mission.s256, person_id=ALICE),
        ):
            error = await refusal(refused)
            assert isinstance(error, errors.MissionTerminated)
            assert error.reason == "expired"
        late = await refusal(world.server.answer_request(digest, person_id=ALICE, yes=True))
        assert isinstance(late, errors.Expired | errors.MissionTerminated)
        (face,) = await world.server.missions(ALICE)
        assert (face.reason, face.ended_at) == ("expired", face.expires_at)

    @pytest.mark.spec("#mission-management")
    async def test_what_expired_is_written_down(self, world: World) -> None:
        agent = world.agent(lifetime_s=86_400)
        mission = await approved(agent, choices={"lifetime": "hour"})
        world.clock.now += 3600
        await world.server.store.purge(now=world.clock())
        kept = await world.server.store.persons_mission(mission.s256, person_id=ALICE)
        assert (kept.termination_reason, kept.terminated_at) == ("expired", kept.expires_at)
        assert (await log_of(world, mission.s256))[-1] == ("termination", "server")

    @pytest.mark.spec("#mission-management")
    async def test_a_terminated_mission_never_comes_back(self, world: World) -> None:
        agent = world.agent()
        mission = await approved(agent)
        response = await call(agent, f"/mission/{mission.s256}", {"action": "completion", "summary": "Done."})
        digest = await arrive(world, response)
        await world.server.end_mission(mission.s256, person_id=ALICE)
        with pytest.raises(errors.AAuthError):
            await world.server.answer_request(digest, person_id=ALICE, yes=True)
        error = await refusal(world.server.end_mission(mission.s256, person_id=ALICE, reason="superseded"))
        assert isinstance(error, errors.MissionTerminated)
        (face,) = await world.server.missions(ALICE)
        assert face.reason == "revoked"

    @pytest.mark.spec("#mission-management", "#mission-update")
    async def test_a_mission_that_replaces_another_ends_it_as_superseded(self, world: World) -> None:
        agent = world.agent()
        old = await approved(agent)
        new = await approved(agent, choices={"replaces": old.s256})
        faces = {face.s256: face.reason for face in await world.server.missions(ALICE)}
        assert faces == {new.s256: None, old.s256: "superseded"}

    @pytest.mark.spec("#mission-management", "#ps-approval-endpoint-auth")
    async def test_a_mission_of_another_agent_cannot_be_replaced(self, world: World) -> None:
        old = await approved(world.agent("other"))
        digest = await arrive(world, await propose(world.agent()))
        with pytest.raises(errors.AAuthError):
            await world.server.approve_mission(digest, person_id=ALICE, replaces=old.s256)
        assert [face.reason for face in await world.server.missions(ALICE)] == [None]

    @pytest.mark.spec("#mission-management", "#ps-approval-endpoint-auth")
    async def test_only_its_person_sees_or_ends_a_mission(self, world: World) -> None:
        mission = await approved(world.agent())
        assert await world.server.missions(BOB) == []
        for refused in (
            world.server.mission_page(mission.s256, person_id=BOB),
            world.server.end_mission(mission.s256, person_id=BOB),
        ):
            assert isinstance(await refusal(refused), errors.NotFound)

    @pytest.mark.spec("#mission-management", "#agent-person-binding")
    async def test_disconnecting_an_agent_ends_its_missions(self, world: World) -> None:
        agent = world.agent()
        await approved(agent)
        await world.server.disconnect(ALICE, agent.identity)
        (face,) = await world.server.missions(ALICE)
        assert face.reason == "revoked"

    @pytest.mark.spec("#mission-status-errors")
    async def test_a_decision_that_was_not_fetched_ends_with_the_mission(self, world: World) -> None:
        agent = world.agent()
        response = await propose(agent)
        digest = await arrive(world, response)
        await world.server.approve_mission(digest, person_id=ALICE)
        (face,) = await world.server.missions(ALICE)
        await world.server.end_mission(face.s256, person_id=ALICE)
        assert isinstance(await refusal(agent.poll(response)), errors.Revoked | errors.MissionTerminated)


@pytest.mark.spec("#mission-log")
async def test_missions_and_their_logs_are_exported_and_go_with_the_account(world: World) -> None:
    mission = await approved(world.agent())
    await approved(world.agent("bobs"), BOB)
    async with world.database.transaction() as connection:
        exported = await export_of(connection, ALICE)
        assert [row["s256"] for row in exported["person_missions"]] == [mission.s256]
        assert [row["blob"] for row in exported["person_missions"]] == [b64url_encode(mission.blob)]
        assert [row["kind"] for row in exported["person_mission_log"]] == ["proposal", "approval", "issue"]
        await erase(connection, ALICE, pseudonym="nobody")
        again = await export_of(connection, ALICE)
    assert again["person_missions"] == again["person_mission_log"] == []
    assert len(await world.server.missions(BOB)) == 1


class TestForeignMissions:
    """#mission-endpoint-errors: no mission and another agent's are one thing."""

    @pytest.mark.spec("#mission-endpoint-errors")
    @pytest.mark.parametrize("ended", [False, True], ids=["active", "ended"])
    async def test_a_foreign_mission_is_answered_exactly_as_none(self, world: World, ended: bool) -> None:
        mission = await approved(world.agent())
        if ended:
            await world.server.end_mission(mission.s256, person_id=ALICE)
        spies = [world.agent("spy"), world.agent("helper", iss=OTHER_AP, host="other-ap.example")]
        for spy in spies:
            for body in ({"action": "update", "description": "x"}, {"action": "completion", "summary": "x"}):
                answers = [
                    error_response(await refusal(call(spy, f"/mission/{s256}", body)))
                    for s256 in (mission.s256, UNKNOWN)
                ]
                assert _wire(answers[0]) == _wire(answers[1])
                assert (answers[0].status, answers[0].json()["error"]) == (404, "mission_not_found")
            for path in ("/permission", "/audit"):
                asked = [{"action": "x", "mission_s256": s256} for s256 in (mission.s256, UNKNOWN)]
                answers = [error_response(await refusal(call(spy, path, body))) for body in asked]
                assert _wire(answers[0]) == _wire(answers[1])
        # Nothing was written to the log of the mission.
        assert "request" not in [kind for kind, _ in await log_of(world, mission.s256)]

    @pytest.mark.spec("#mission-endpoint-errors")
    async def test_looking_for_a_foreign_mission_reads_no_row_of_it(self, world: World) -> None:
        """The work is the same by construction: one look by a key that holds the agent, which finds nothing."""
        mission = await approved(world.agent())
        spy = world.agent("spy")
        statements: list[tuple[str, int]] = []

        @event.listens_for(world.database.engine.sync_engine, "after_cursor_execute")
        def record(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
            statements.append((statement, len(parameters)))

        seen = []
        for s256 in (mission.s256, UNKNOWN):
            statements.clear()
            await refusal(call(spy, f"/mission/{s256}", {"action": "update", "description": "x"}))
            seen.append(list(statements))
        assert seen[0] == seen[1]
        assert await world.server.store.mission(spy.identity, mission.s256) is None

    @pytest.mark.spec("#mission-endpoint-errors")
    @pytest.mark.parametrize("s256", ["", "a", "x" * 44, "d" * 42 + "!", "d" * 42 + "\n"])
    async def test_a_malformed_reference_is_a_bad_request(self, world: World, s256: str) -> None:
        agent = world.agent()
        request = agent.signed("POST", f"{PS}/mission/x", {"action": "update", "description": "x"})
        assert isinstance(await refusal(world.server.act_on_mission(request, s256)), errors.InvalidRequest)

    @pytest.mark.spec("#mission-endpoint-errors")
    async def test_repeated_misses_are_slowed_down_and_logged_without_the_reference(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        spy = world.agent("spy")
        with caplog.at_level(logging.WARNING, "aauthlib.person"):
            for _ in range(30):
                await refusal(call(spy, f"/mission/{UNKNOWN}", {"action": "update", "description": "x"}))
        error = await refusal(call(spy, f"/mission/{UNKNOWN}", {"action": "update", "description": "x"}))
        assert isinstance(error, errors.RateLimited)
        assert len(caplog.records) == 30
        assert spy.sub in caplog.text
        assert UNKNOWN not in caplog.text


def _wire(response: Response) -> tuple[int, list[tuple[str, str]], bytes]:
    return response.status, sorted(response.headers), response.body


@pytest.mark.spec("#mission-log")
@pytest.mark.parametrize(
    ("description", "title"),
    [
        ("# Plan a trip\n\nIn May.", "Plan a trip"),
        ("\n\n- **Go**\n", "Go"),
        ("###", "A mission"),
        ("x" * 90, "x" * 80 + "…"),
    ],
)
def test_a_mission_is_called_by_its_first_line(description: str, title: str) -> None:
    assert title_of(description) == title
