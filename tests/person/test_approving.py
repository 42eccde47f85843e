"""Requests that a policy decides, or sends to approvers: what the agent hears and who has a say (#approval-pending)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aauthlib import errors
from aauthlib.person.consent import NotWaiting
from aauthlib.person.notifications import notifier_of
from aauthlib.person.policy import Facts, Verdict
from aauthlib.person.ruling import PolicyRefuses
from aauthlib.store.approval_records import AwayRefused, DecidedAlready, NotApprover
from aauthlib.store.approval_states import ApprovalState
from aauthlib.store.database import Database
from aauthlib.store.notification_records import Subscription
from aauthlib.store.person_conversations import RequestChanged
from aauthlib.tokens import PersonToken

from .firm import BO, CEM, DEE, EVE, FROM, approvers, connected, follow, only_approval, open_firm, requirement, vote
from .missions import approved, call, propose
from .parties import ALICE, CALENDAR, MAIL, Agent, World, approve, arrive, resource_token
from .test_missions import refusal
from .test_notifications import Phone
from .test_upstream import intermediary

pytestmark = pytest.mark.spec("#approval-pending")

WITHOUT_HER = "ask_person = false"
BY_FINANCE = approvers(f'resource = "{CALENDAR}"', WITHOUT_HER)
AFTER_HER = approvers(f'resource = "{CALENDAR}"')


async def ask_access(agent: Agent, scope: str = "calendar.write", **body: Any) -> tuple[Any, Any]:
    """Ask for an auth token; returns the answer and the person token it was asked with."""
    rules = agent.world.server.rules
    follow(agent.world, "")
    token = await agent.person_token()
    agent.world.server.rules = rules
    return await agent.ask_auth_token(resource_token(agent.world, token, scope=scope), token, **body), token


class Contract:
    """What every engine must do."""

    @pytest.fixture
    async def world(self, tmp_path: Path, database: Database) -> AsyncIterator[World]:
        async with open_firm(tmp_path, BY_FINANCE, database=database) as world:
            yield world

    async def test_the_agent_waits_for_two_of_finance_without_sending_anybody_anywhere(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        assert (answer.status, requirement(answer)) == (202, "requirement=approval")
        await vote(world, BO)
        waiting = await agent.poll(answer)
        assert (waiting.status, requirement(waiting)) == (202, "requirement=approval")
        await vote(world, CEM)
        granted = await agent.poll(answer)
        assert granted.status == 200
        assert "auth_token" in granted.json()

    async def test_of_two_last_votes_at_once_one_completes_it_and_each_stands_in_the_log(self, world: World) -> None:
        agent = await connected(world, approvers("", WITHOUT_HER, 'groups = ["finance"]\nneeded = 3'))
        answer, _ = await ask_access(agent)
        await vote(world, BO)
        approval = await only_approval(world)
        await asyncio.gather(vote(world, CEM, approval=approval), vote(world, DEE, approval=approval))
        view = await world.server.approval(approval.id, person_id=ALICE)
        assert view.line.state is ApprovalState.APPROVED
        assert sorted(entry.name for entry in view.standing.entries if entry.kind == "approved") == ["Bo", "Cem", "Dee"]
        assert (await agent.poll(answer)).status == 200

    async def test_two_yes_of_one_person_at_once_are_one(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        await ask_access(agent)
        approval = await only_approval(world)
        results = await asyncio.gather(*(vote(world, BO, approval=approval) for _ in range(4)), return_exceptions=True)
        assert sum(isinstance(result, DecidedAlready) for result in results) == 3
        assert (await world.server.store.approval(approval.id)).waiting

    async def test_the_loop_escalates_and_ends_what_nobody_decides(self, world: World) -> None:
        step = 'people = ["bo"]\ndeadline = "10m"\nescalate = { people = ["cem"], deadline = "10m" }'
        agent = await connected(world, approvers("", WITHOUT_HER, step))
        answer, _ = await ask_access(agent)
        approval = await only_approval(world)
        world.clock.now += 599
        await world.server.look_at_approvals()
        assert (await only_approval(world)).depth == 0
        world.clock.now += 1
        await world.server.look_at_approvals()
        assert [line.id for line in (await world.server.inbox(CEM)).to_decide] == [approval.id]
        assert (await world.server.inbox(BO)).to_decide == ()
        world.clock.now += 600
        await world.server.look_at_approvals()
        assert isinstance(await refusal(agent.poll(answer)), errors.Expired)
        with pytest.raises(NotWaiting):
            await vote(world, CEM, approval=approval)

    async def test_a_policy_that_changes_under_a_waiting_request_begins_it_anew(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        await vote(world, BO)
        shown = await only_approval(world)
        await world.server.look_at_approvals()
        follow(world, approvers("", WITHOUT_HER, 'people = ["dee"]'))
        await world.server.look_at_approvals()
        with pytest.raises(RequestChanged):
            await vote(world, DEE, approval=shown)
        await vote(world, DEE)
        assert (await agent.poll(answer)).status == 200
        view = await world.server.approval(shown.id, person_id=ALICE)
        assert [entry.kind for entry in view.standing.entries] == [
            "opened",
            "approved",
            "restarted",
            "approved",
            "granted",
        ]
        versions = [entry.version for entry in view.standing.entries]
        assert versions[0] == versions[1] != versions[2] == versions[4] == world.server.rules.version

    async def test_a_policy_that_closes_under_a_waiting_request_ends_it_with_its_reason(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        follow(world, '[[rule]]\ndecision = "deny"\nreason = "Closed."')
        await world.server.look_at_approvals()
        denied = await refusal(agent.poll(answer))
        assert isinstance(denied, errors.Denied)

    async def test_her_own_yes_comes_first_and_the_approvers_after(self, world: World) -> None:
        agent = await connected(world, AFTER_HER)
        answer, _ = await ask_access(agent)
        assert requirement(answer).startswith("requirement=interaction")
        digest = await approve(world, answer)
        assert requirement(await agent.poll(answer)) == "requirement=approval"
        view: Any = await world.server.consent(digest, person_id=ALICE)
        assert view.approval == (await only_approval(world)).id
        for who in (BO, CEM):
            await vote(world, who)
        assert (await agent.poll(answer)).status == 200
        view = await world.server.consent(digest, person_id=ALICE)
        assert (view.decided_by.version, view.decided_by.rule) == (world.server.rules.version, "finance")

    async def test_a_permission_waits_for_approvers_and_their_no_is_an_answer_with_a_reason(self, world: World) -> None:
        payment = approvers('kind = "permission"\ncurrency = "EUR"\namount = { above = 10000 }', WITHOUT_HER)
        agent = await connected(world, payment)
        body = {"action": "Pay", "parameters": {"amount": 10_001, "currency": "EUR"}}
        answer = await call(agent, "/permission", body)
        assert requirement(answer) == "requirement=approval"
        await vote(world, BO, yes=False, comment="Not this quarter.")
        said = await agent.poll(answer)
        assert said.json() == {"permission": "denied", "reason": "Not this quarter."}

    async def test_her_yes_to_a_permission_waits_for_the_approvers(self, world: World) -> None:
        agent = await connected(world, approvers('action = "Pay"'))
        answer = await call(agent, "/permission", {"action": "Pay"})
        digest = await arrive(world, answer)
        await world.server.answer_request(digest, person_id=ALICE, yes=True, origin=FROM)
        assert (await agent.poll(answer)).status == 202
        for who in (BO, CEM):
            await vote(world, who)
        assert (await agent.poll(answer)).json() == {"permission": "granted"}

    async def test_an_agent_that_withdraws_is_not_decided_about_any_more(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        approval = await only_approval(world)
        await agent.cancel(answer)
        assert (await world.server.store.approval(approval.id)).state is ApprovalState.WITHDRAWN
        assert (await world.server.inbox(BO)).to_decide == ()


class TestSQLite(Contract):
    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[Database]:
        database = await Database.open(f"sqlite:///{tmp_path}/firm.db")
        yield database
        await database.close()


class TestPostgreSQL(Contract):
    @pytest.fixture
    async def database(self, needs_postgres: str) -> AsyncIterator[Database]:
        from aauthlib.store.database import schema

        database = await Database.open(needs_postgres)
        async with database.transaction() as connection:
            for table in reversed(schema.sorted_tables):
                await connection.execute(table.delete())
        yield database
        await database.close()


class TestTheFlow:
    """What does not depend on the engine."""

    @pytest.fixture
    async def world(self, tmp_path: Path) -> AsyncIterator[World]:
        async with open_firm(tmp_path, BY_FINANCE) as world:
            yield world

    async def test_a_policy_lets_a_request_through_and_the_log_says_which(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\nname = "mail"\ndecision = "allow"')
        answer = await agent.ask_person_token(MAIL)
        assert answer.status == 200
        await world.verified(answer.json()["person_token"], PersonToken)
        (said,) = [each for each in await world.server.history(ALICE) if each.action == "policy on person_token"]
        assert (said.result, said.details["rule"], said.details["policy"]) == (
            "allowed",
            "mail",
            world.server.rules.version,
        )

    @pytest.mark.spec("#polling-error-codes")
    async def test_a_policy_refuses_at_once_with_its_reason(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\nname = "no mail"\ndecision = "deny"\nreason = "Not to mail."')
        denied = await refusal(agent.ask_person_token(MAIL))
        assert isinstance(denied, errors.Denied)
        assert denied.detail == "Not to mail."
        (said,) = [each for each in await world.server.history(ALICE) if each.action == "policy on person_token"]
        assert (said.result, said.details["rule"]) == ("refused", "no mail")

    async def test_a_policy_that_refuses_does_so_for_what_was_remembered_too(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\ndecision = "deny"')
        assert isinstance(await refusal(agent.ask_person_token()), errors.Denied)

    async def test_what_the_person_allowed_before_still_waits_for_the_approvers(self, world: World) -> None:
        agent = await connected(world, AFTER_HER)
        answer = await agent.ask_person_token()
        assert requirement(answer) == "requirement=approval"
        assert (await only_approval(world)).agreed is not None

    async def test_a_yes_holds_for_the_same_request_made_anew_and_for_no_other(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        first, _ = await ask_access(agent)
        for who in (BO, CEM):
            await vote(world, who)
        assert (await agent.poll(first)).status == 200
        agent.renew()
        again, token = await ask_access(agent, justification="once more")
        assert again.status == 200
        other = await agent.ask_auth_token(resource_token(world, token, scope="calendar.read"), token)
        assert other.status == 202
        world.clock.now += 3600
        agent.renew()
        late, _ = await ask_access(agent)
        assert late.status == 202

    async def test_her_yes_stands_while_the_approvers_take_longer_than_the_tokens(self, world: World) -> None:
        agent = await connected(world, AFTER_HER)
        answer, _ = await ask_access(agent)
        await approve(world, answer, remember=False)
        world.clock.now += 2 * 3600
        agent.renew()
        assert requirement(await agent.poll(answer)) == "requirement=approval"
        again, _ = await ask_access(agent)
        assert requirement(again) == "requirement=approval"
        approval = await only_approval(world)
        for who in (BO, CEM):
            await vote(world, who, approval=approval)
        assert (await agent.poll(again)).status == 200
        # What was asked with tokens that have expired is for a request with fresh ones.
        assert isinstance(await refusal(agent.poll(answer)), errors.Expired)

    async def test_a_no_holds_for_a_while_for_the_same_request(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        await vote(world, BO, yes=False, comment="Ask me in June.")
        denied = await refusal(agent.poll(answer))
        assert isinstance(denied, errors.Denied)
        assert denied.detail == "Ask me in June."
        assert isinstance(await refusal(ask_access(agent)), errors.Denied)

    @pytest.mark.spec("#agent-person-binding")
    async def test_a_stranger_is_connected_by_the_person_before_the_policy_says_anything(self, world: World) -> None:
        agent = world.agent("stranger")
        answer = await agent.ask_person_token()
        assert requirement(answer).startswith("requirement=interaction")
        await approve(world, answer)
        assert requirement(await agent.poll(answer)) == "requirement=approval"
        for who in (BO, CEM):
            await vote(world, who)
        assert (await agent.poll(answer)).status == 200

    async def test_what_the_policy_refuses_the_person_cannot_allow(self, world: World) -> None:
        follow(world, '[[rule]]\ndecision = "deny"\nreason = "Not at work."')
        agent = world.agent("stranger")
        answer = await agent.ask_person_token()
        digest = await arrive(world, answer)
        view: Any = await world.server.consent(digest, person_id=ALICE)
        assert view.policy_refusal == "Not at work."
        with pytest.raises(PolicyRefuses, match="Not at work"):
            await world.server.approve(digest, person_id=ALICE)
        assert (await agent.poll(answer)).status == 202

    @pytest.mark.spec("#scopes")
    async def test_identity_claims_are_released_by_the_person_alone(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\ndecision = "allow"')
        answer, _ = await ask_access(agent, "calendar.read email")
        assert requirement(answer).startswith("requirement=interaction")

    async def test_an_agent_that_wants_the_person_asked_gets_the_person_asked(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\ndecision = "allow"')
        answer = await agent.ask_person_token(prompt="consent")
        assert requirement(answer).startswith("requirement=interaction")

    async def test_a_policy_that_fails_lets_nothing_through(self, world: World) -> None:
        agent = await connected(world, "")

        class Broken:
            version = "broken"
            groups: frozenset[str] = frozenset()

            async def look(self) -> str:
                return self.version

            async def decide(self, facts: Facts) -> Verdict:
                raise RuntimeError(facts.resource)

        world.server.rules = Broken()
        assert isinstance(await refusal(agent.ask_person_token()), errors.ServerError)

    async def test_deadlines_are_kept_while_the_policy_fails(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)

        class Broken:
            version = "broken"
            groups: frozenset[str] = frozenset()

            async def look(self) -> str:
                return self.version

            async def decide(self, facts: Facts) -> Verdict:
                raise RuntimeError(facts.resource)

        world.server.rules = Broken()
        await world.server.look_at_approvals()
        assert (await agent.poll(answer)).status == 202
        world.clock.now += 86_400
        agent.renew()
        await world.server.look_at_approvals()
        assert await world.server.store.waiting_approvals() == []

    @pytest.mark.spec("#call-chaining")
    async def test_down_a_chain_the_approvers_of_the_callers_person_decide(self, world: World) -> None:
        agent = await connected(world, approvers(f'chained = true\nresource = "{MAIL}"', WITHOUT_HER))
        upstream = await agent.person_token()
        service = intermediary(world)
        answer = await service.ask_person_token(MAIL, upstream_token=upstream.raw)
        assert requirement(answer) == "requirement=approval"
        approval = await only_approval(world)
        assert (approval.person_id, approval.root) == (ALICE, agent.identity)
        for who in (BO, CEM):
            await vote(world, who, approval=approval)
        assert (await service.poll(answer)).status == 200
        again = await service.ask_person_token(MAIL, upstream_token=upstream.raw)
        assert again.status == 200
        await world.server.disconnect(ALICE, agent.identity)
        assert (await world.server.store.approval(approval.id)).state is ApprovalState.WITHDRAWN

    @pytest.mark.spec("#ps-approval-endpoint-auth")
    async def test_the_persons_own_no_is_logged_with_where_from_and_the_policy_of_the_day(self, world: World) -> None:
        agent = await connected(world, "version = '3'")
        digest = await arrive(world, await agent.ask_person_token(MAIL))
        await world.server.deny(digest, person_id=ALICE, origin=FROM)
        (said,) = [each for each in await world.server.history(ALICE) if each.action == "deny person_token"]
        assert said.details == {"policy": world.server.rules.version, **FROM.details()}

    async def test_nobody_approves_for_their_own_agent_nor_for_another_organisation(self, world: World) -> None:
        agent = await connected(world, approvers("", WITHOUT_HER, 'groups = ["administrators", "finance"]'))
        await ask_access(agent)
        with pytest.raises(NotApprover):
            await vote(world, ALICE)
        with pytest.raises(errors.NotFound):
            await vote(world, EVE)
        approval = await only_approval(world)
        for ask in (
            world.server.approval(approval.id, person_id=EVE),
            world.server.comment_on_approval(approval.id, "hello", person_id=EVE, origin=FROM),
            world.server.take_back_approval(approval.id, person_id=BO, origin=FROM),
        ):
            with pytest.raises(errors.NotFound):
                await ask
        assert (await world.server.inbox(EVE)).to_decide == ()

    async def test_the_person_takes_it_back(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        approval = await only_approval(world)
        assert [line.id for line in (await world.server.inbox(ALICE)).own] == [approval.id]
        await world.server.take_back_approval(approval.id, person_id=ALICE, origin=FROM)
        assert isinstance(await refusal(agent.poll(answer)), errors.Denied)
        entry = (await world.server.approval(approval.id, person_id=ALICE)).standing.entries[-1]
        assert (entry.kind, entry.by, entry.origin) == ("withdrawn", ALICE, FROM)

    async def test_who_comes_too_late_sees_how_it_ended(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        await ask_access(agent)
        approval = await only_approval(world)
        for who in (BO, CEM):
            await vote(world, who)
        view = await world.server.approval(approval.id, person_id=DEE)
        assert (view.line.state, view.seat) == (ApprovalState.APPROVED, "")
        with pytest.raises(NotWaiting):
            await vote(world, DEE, approval=approval)

    async def test_while_somebody_is_away_their_delegate_is_asked(self, world: World) -> None:
        agent = await connected(world, approvers("", WITHOUT_HER, 'people = ["bo"]'))
        now = world.clock()
        with pytest.raises(errors.InvalidRequest):
            await world.server.go_away(BO, DEE, since=now, until=now)
        with pytest.raises(AwayRefused):
            await world.server.go_away(BO, EVE, since=now, until=now + 60)
        await world.server.go_away(BO, DEE, since=now, until=now + 60)
        answer, _ = await ask_access(agent)
        view = await world.server.approval((await only_approval(world)).id, person_id=DEE)
        assert (view.seat, view.seat_name) == (BO, "Bo")
        await vote(world, DEE)
        assert (await agent.poll(answer)).status == 200

    async def test_who_is_asked_is_told_by_the_outbox_and_whose_delegate_is_asked_is_not(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        said: list[tuple[str, str, str]] = []

        class Letterbox:
            id, name, label = "post", "Post", "Address"

            def check(self, to: str) -> str:
                return to

            async def send(self, to: str, title: str, body: str, url: str) -> None:
                said.append((to, body, url))

        store: Any = world.server.store
        notifier = notifier_of(world.server, store, channels=[Letterbox()], clock=world.clock)
        for person_id in (ALICE, BO, CEM, EVE):
            place = Subscription(
                id=person_id,
                person_id=person_id,
                channel="post",
                target={"to": person_id},
                name="Post",
                created_at=world.clock(),
                confirmed=True,
            )
            await store.subscribe(place)
        await world.server.go_away(CEM, BO, since=world.clock(), until=world.clock() + 600)
        await ask_access(agent, justification="SECRET WORDS")
        approval = await only_approval(world)
        await notifier.send_due()
        body = "ap.example asks for somebody of your organisation about calendar.example."
        assert said == [(BO, body, f"https://ps.example/approvals/{approval.id}")]

    async def test_what_was_decided_before_it_was_said_is_not_said(self, world: World) -> None:
        agent = await connected(world, approvers("", WITHOUT_HER, 'groups = ["finance"]'))
        store: Any = world.server.store
        notifier = notifier_of(world.server, store, clock=world.clock)
        await Phone().subscribe(notifier, CEM)
        await ask_access(agent)
        await vote(world, BO)
        await notifier.send_due()
        assert world.network.sent == []

    async def test_a_comment_has_words_and_not_too_many(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        await ask_access(agent)
        approval = await only_approval(world)
        for text in ("", "x" * 1001, "\0"):
            with pytest.raises(errors.InvalidRequest):
                await world.server.comment_on_approval(approval.id, text, person_id=BO, origin=FROM)
        await world.server.comment_on_approval(approval.id, "Looks right.", person_id=BO, origin=FROM)
        view = await world.server.approval(approval.id, person_id=CEM)
        assert [(entry.name, entry.text) for entry in view.standing.entries if entry.kind == "comment"] == [
            ("Bo", "Looks right.")
        ]

    @pytest.mark.spec("#mission-creation")
    async def test_a_policy_refuses_a_mission(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\ndecision = "deny"\nreason = "None."\n[rule.when]\nkind = "mission"')
        assert isinstance(await refusal(propose(agent)), errors.Denied)

    @pytest.mark.spec("#mission-approval", "#permission-endpoint")
    async def test_a_mission_approves_nothing_that_the_policy_leaves_to_others(self, world: World) -> None:
        agent = await connected(world, approvers('action = "BookFlight"') + AFTER_HER)
        mission = await approved(agent)
        assert "person_tokens" not in mission.answer
        answer = await call(agent, "/permission", {"action": "BookFlight", "mission_s256": mission.s256})
        assert answer.status == 202
        search = await call(agent, "/permission", {"action": "WebSearch", "mission_s256": mission.s256})
        assert search.json() == {"permission": "granted"}
        named = await agent.ask_person_token(mission_s256=mission.s256)
        assert requirement(named) == "requirement=approval"

    @pytest.mark.spec("#permission-response")
    async def test_a_permission_that_the_policy_refuses_is_answered_at_once(self, world: World) -> None:
        agent = await connected(world, '[[rule]]\ndecision = "deny"\nreason = "Never."\n[rule.when]\naction = "Pay"')
        answer = await call(agent, "/permission", {"action": "Pay"})
        assert (answer.status, answer.json()) == (200, {"permission": "denied", "reason": "Never."})

    async def test_a_poll_that_is_held_ends_with_the_last_vote(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        answer, _ = await ask_access(agent)
        await vote(world, BO)
        waiting = asyncio.create_task(agent.poll(answer, prefer="wait=20"))
        await asyncio.sleep(0)
        await vote(world, CEM)
        assert (await asyncio.wait_for(waiting, 10)).status == 200

    async def test_four_parties_the_access_server_hears_of_it_once_the_approvers_agreed(self, world: World) -> None:
        agent = await connected(world, BY_FINANCE)
        rules = world.server.rules
        follow(world, "")
        token = await agent.person_token()
        world.server.rules = rules
        text = resource_token(world, token, scope="calendar.write", access_server="https://as.example")
        answer = await agent.ask_auth_token(text, token)
        assert requirement(answer) == "requirement=approval"
        assert world.network.sent == []
        for who in (BO, CEM):
            await vote(world, who)
        # It is looked for now, and publishes no token endpoint here.
        assert isinstance(await refusal(agent.poll(answer)), errors.AsUnreachable)
