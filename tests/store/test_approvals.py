"""What approvers decide about, on every engine: one person one voice, deadlines, who counts (#approval-pending)."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec.structs import replace as changed
from sqlalchemy import insert

from aauthlib.deferred.machine import Event, State
from aauthlib.deferred.pending import Pending
from aauthlib.errors import AAuthError, NotFound, RateLimited, Revoked
from aauthlib.policies.approvers import Step
from aauthlib.store.account_records import Account
from aauthlib.store.accounts import SQLAccountStore, account_table
from aauthlib.store.approval_records import (
    AgreedTo,
    Approval,
    Away,
    AwayRefused,
    Ballot,
    BecauseOf,
    Course,
    DecidedAlready,
    NotApprover,
    Opening,
    Origin,
)
from aauthlib.store.approval_states import ApprovalEvent as Happened
from aauthlib.store.approval_states import ApprovalState, IllegalApproval, after
from aauthlib.store.approval_tables import group_members
from aauthlib.store.database import Database
from aauthlib.store.organisation_tables import members, tenants
from aauthlib.store.organisations import SQLOrganisationStore
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.person_conversations import RequestChanged
from aauthlib.store.person_records import NAMING, AgentId, NotWaiting
from aauthlib.store.person_tables import bindings

from .test_person import AGENT, CALENDAR, CODE, NOW, decision, pending

pytestmark = pytest.mark.spec("#approval-pending")

DAY = 86_400.0
FROM = Origin(network="203.0.113.0/24", browser="Firefox on Linux", method="passkey")
POLICY = BecauseOf(version="v1", rule="two of finance")
TWO = Course(ask_person=False, steps=(Step(groups=("finance",), needed=2, deadline_s=DAY),))


@dataclass
class Firm:
    """An organisation: Alice, whose agent asks; Bo, Cem and Dee of finance; Eve of another organisation."""

    store: SQLPersonStore
    organisations: SQLOrganisationStore

    async def person(self, name: str, tenant: str | None = "corp", role: str = "member") -> None:
        account = Account(person_id=name, username=name, display_name=name.title(), user_handle=secrets.token_bytes(16))
        await SQLAccountStore(self.store.database).create_account(account, first=False)
        if tenant is not None:
            async with self.store.database.transaction() as connection:
                await connection.execute(
                    insert(members).values(person_id=name, tenant=tenant, role=role, joined_at=NOW)
                )

    def opening(self, key: str = "k", course: Course = TWO, **changes: Any) -> Opening:
        values: dict[str, Any] = {
            "id": secrets.token_hex(32),
            "person_id": "alice",
            "tenant": "corp",
            "agent": AGENT,
            "request": {"kind": "person_token", "resource": CALENDAR},
            "because": POLICY,
            **changes,
        }
        return Opening(key=key, course=course, **values)

    async def ask(self, opening: Opening | None = None, **changes: Any) -> tuple[Pending, Approval]:
        """A request of Alice's agent that approvers decide about."""
        opening = opening or self.opening(**changes)
        request = replace(pending(), requirement="approval", handle=None, code_digest=None)
        await self.store.create_pending(request, opening=opening)
        found = await self.store.approval_for(opening.key, now=NOW)
        assert found is not None
        return request, found

    async def vote(
        self, approval: Approval, who: str, *, yes: bool = True, now: float = NOW, **changes: Any
    ) -> Approval:
        ballot: dict[str, Any] = {"course": approval.course, "round": approval.round, "because": POLICY, **changes}
        return await self.store.vote(approval.id, Ballot(person_id=who, yes=yes, origin=FROM, **ballot), now=now)

    async def state(self, request: Pending) -> State:
        found = await self.store.get_pending(request.digest)
        assert found is not None
        return found.state


async def open_firm(database: Database) -> Firm:
    """Alice administers; Bo, Cem and Dee are in finance, and so is Eve, elsewhere."""
    people = [("alice", "corp"), ("bo", "corp"), ("cem", "corp"), ("dee", "corp"), ("eve", "lab")]
    async with database.transaction() as connection:
        for tenant in ("corp", "lab"):
            await connection.execute(insert(tenants).values(tenant=tenant, name=tenant))
        for number, (name, tenant) in enumerate(people):
            role = "administrator" if name == "alice" else "member"
            values = {"username": name, "display_name": name.title(), "user_handle": name.encode(), "created_at": NOW}
            await connection.execute(insert(account_table).values(person_id=name, number=number, **values))
            await connection.execute(insert(members).values(person_id=name, tenant=tenant, role=role, joined_at=NOW))
            if name != "alice":
                await connection.execute(insert(group_members).values(person_id=name, name="finance", added_at=NOW))
        agent = {"agent_iss": AGENT[0], "agent_sub": AGENT[1], "connected_at": NOW, "last_used_at": NOW}
        await connection.execute(insert(bindings).values(person_id="alice", **agent))
    return Firm(SQLPersonStore(database), SQLOrganisationStore(database))


class Contract:
    """What every engine must do."""

    @pytest.fixture
    async def firm(self, database: Database) -> Firm:
        return await open_firm(database)

    async def test_enough_of_them_grant_the_request_and_say_who_when_from_where_and_under_what(
        self, firm: Firm
    ) -> None:
        request, approval = await firm.ask()
        assert (await firm.vote(approval, "bo", comment="fine")).waiting
        assert await firm.state(request) is State.PENDING
        done = await firm.vote(approval, "cem", now=NOW + 60)
        assert done.state is ApprovalState.APPROVED
        found = await firm.store.get_pending(request.digest)
        assert found is not None
        assert found.state is State.GRANTED
        assert found.decision == {
            "granted_by": "alice",
            "scopes": [NAMING],
            "granted_at": NOW + 60,
            "policy": "v1",
            "rule": "two of finance",
            "approval": approval.id,
        }
        (said,) = [each for each in await firm.store.history("bo", limit=9) if each.action == "approve for another"]
        assert (said.at, said.result) == (NOW, "approved")
        assert said.details | {"network": "203.0.113.0/24", "policy": "v1", "for": "alice"} == said.details
        standing, seat = await firm.store.approval_standing(approval.id, person_id="bo", now=NOW)
        assert seat == ""
        assert [(entry.kind, entry.name, entry.text) for entry in standing.entries] == [
            ("opened", "", ""),
            ("approved", "Bo", "fine"),
            ("approved", "Cem", ""),
            ("granted", "", ""),
        ]

    async def test_an_approver_who_approves_twice_at_once_counts_once(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        results = await asyncio.gather(*(firm.vote(approval, "bo") for _ in range(6)), return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Approval", *["DecidedAlready"] * 5]
        assert await firm.state(request) is State.PENDING

    async def test_of_a_yes_and_a_no_at_once_one_decides_and_the_log_agrees_with_it(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        await firm.vote(approval, "bo")
        results = await asyncio.gather(
            firm.vote(approval, "cem"), firm.vote(approval, "dee", yes=False), return_exceptions=True
        )
        assert sum(isinstance(result, NotWaiting) for result in results) == 1
        ended = {ApprovalState.APPROVED: State.GRANTED, ApprovalState.DENIED: State.DENIED}
        found = await firm.store.approval(approval.id)
        assert await firm.state(request) is ended[found.state]

    async def test_requests_for_the_same_at_once_open_one_approval(self, firm: Firm) -> None:
        asked = await asyncio.gather(*(firm.ask() for _ in range(5)))
        assert len({approval.id for _, approval in asked}) == 1
        approval = asked[0][1]
        await firm.vote(approval, "bo")
        await firm.vote(approval, "dee")
        assert {await firm.state(request) for request, _ in asked} == {State.GRANTED}

    async def test_a_request_that_comes_while_it_is_decided_is_granted_all_the_same(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.vote(approval, "bo")
        late = [replace(pending(), requirement="approval", handle=None) for _ in range(4)]
        await asyncio.gather(
            firm.vote(approval, "cem"),
            *(firm.store.create_pending(request, opening=firm.opening()) for request in late),
        )
        assert {await firm.state(request) for request in late} == {State.GRANTED}

    async def test_a_namesake_group_of_another_organisation_has_no_say_and_sees_nothing(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        for attempt in (
            firm.vote(approval, "eve"),
            firm.store.approval_standing(approval.id, person_id="eve", now=NOW),
            firm.store.comment(approval.id, "hello", person_id="eve", origin=FROM, now=NOW),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await firm.store.approvals_to_decide("eve", now=NOW) == []

    async def test_who_is_removed_while_deciding_has_decided_before_or_not_at_all(self, firm: Firm) -> None:
        step = Step(groups=("finance",), deadline_s=DAY)
        request, approval = await firm.ask(course=Course(ask_person=False, steps=(step,)))
        voted, _ = await asyncio.gather(
            firm.vote(approval, "bo"),
            firm.store.remove_member("corp", "bo", by="alice", now=NOW),
            return_exceptions=True,
        )
        granted = await firm.state(request) is State.GRANTED
        assert granted is not isinstance(voted, AAuthError)

    async def test_while_somebody_is_away_another_decides_in_their_place_and_each_place_counts_once(
        self, firm: Firm
    ) -> None:
        await firm.person("finn")
        await firm.store.set_absence(Away(person_id="bo", delegate="finn", since=NOW, until=NOW + DAY), now=NOW)
        request, approval = await firm.ask()
        assert [each.id for each in await firm.store.approvals_to_decide("finn", now=NOW)] == [approval.id]
        await firm.vote(approval, "finn")
        with pytest.raises(DecidedAlready):
            await firm.vote(approval, "bo")
        with pytest.raises(DecidedAlready):
            await firm.vote(approval, "finn")
        await firm.vote(approval, "cem")
        assert await firm.state(request) is State.GRANTED

    async def test_of_two_who_name_each_other_at_once_one_is_away(self, firm: Firm) -> None:
        results = await asyncio.gather(
            *(
                firm.store.set_absence(Away(person_id=one, delegate=two, since=NOW, until=NOW + DAY), now=NOW)
                for one, two in (("bo", "cem"), ("cem", "bo"))
            ),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["AwayRefused", "NoneType"]

    async def test_steps_follow_each_other_and_nobody_is_heard_twice(self, firm: Firm) -> None:
        steps = (Step(people=("bo",), deadline_s=DAY), Step(groups=("finance",), deadline_s=DAY))
        request, approval = await firm.ask(course=Course(ask_person=False, steps=steps))
        with pytest.raises(NotFound):
            await firm.vote(approval, "cem")
        await firm.vote(approval, "bo")
        with pytest.raises(DecidedAlready):
            await firm.vote(approval, "bo")
        await firm.vote(approval, "cem")
        assert await firm.state(request) is State.GRANTED

    async def test_whoever_looks_finds_what_the_deadlines_led_to_dated_to_when_they_passed(self, firm: Firm) -> None:
        last = Step(people=("dee",), deadline_s=100.0)
        step = Step(people=("bo",), deadline_s=100.0, escalate=changed(last, people=("cem",), escalate=last))
        request, approval = await firm.ask(course=Course(ask_person=False, steps=(step,)))
        for name in ("cem", "dee"):
            with pytest.raises(NotFound):
                await firm.vote(approval, name)
        looked = await firm.store.look_at_approval(approval.id, POLICY, approval.course, now=NOW + 250)
        assert (looked.depth, looked.step_since) == (2, NOW + 200)
        with pytest.raises(NotFound):
            await firm.vote(approval, "bo", now=NOW + 250)
        ended = await firm.store.look_at_approval(approval.id, POLICY, approval.course, now=NOW + 900)
        assert (ended.state, ended.decided_at) == (ApprovalState.EXPIRED, NOW + 300)
        assert await firm.state(request) is State.EXPIRED
        standing, _ = await firm.store.approval_standing(approval.id, person_id="alice", now=NOW + 900)
        assert [(entry.kind, entry.at) for entry in standing.entries] == [
            ("opened", NOW),
            ("escalated", NOW + 100),
            ("escalated", NOW + 200),
            ("expired", NOW + 300),
        ]

    async def test_the_persons_yes_comes_first_and_is_remembered_once_the_approvers_agreed(self, firm: Firm) -> None:
        other: AgentId = (AGENT[0], "aauth:second@ap.example")
        request = pending(other)
        await firm.store.create_pending(request)
        opening = firm.opening(
            course=changed(TWO, ask_person=True), agent=other, agreed=AgreedTo(at=NOW, remember=True)
        )
        agreed = await arrive_and_agree(firm.store, request, other, opening)
        assert agreed.pending.state is State.INTERACTING
        assert agreed.pending.requirement == "approval"
        assert await firm.store.requests_for("alice", now=NOW) == []
        standing = await firm.store.standing(other, resource=CALENDAR)
        assert standing.binding is not None
        assert standing.consents == frozenset()
        approval = await firm.store.approval(agreed.approval or "")
        await firm.vote(approval, "bo")
        await firm.vote(approval, "cem")
        assert await firm.state(request) is State.GRANTED
        assert (await firm.store.standing(other, resource=CALENDAR)).consents == {NAMING}

    async def test_disconnecting_the_agent_takes_back_what_waits_and_what_was_approved(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        _, other = await firm.ask(key="other")
        for name in ("bo", "cem"):
            await firm.vote(other, name)
        await firm.store.disconnect("alice", AGENT, now=NOW)
        assert await firm.state(request) is State.REVOKED
        for each in (approval, other):
            assert (await firm.store.approval(each.id)).state is ApprovalState.WITHDRAWN
        assert await firm.store.approval_for("other", now=NOW) is None
        with pytest.raises(Revoked):
            await firm.ask()

    async def test_what_ended_long_ago_is_dropped_with_what_happened_to_it(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.vote(approval, "bo", yes=False)
        _, unseen = await firm.ask(key="unseen")
        await firm.store.purge(now=NOW + 80 * DAY)
        await firm.store.approval(approval.id)
        await firm.store.purge(now=NOW + 95 * DAY)
        for each in (approval, unseen):
            with pytest.raises(NotFound):
                await firm.store.approval(each.id)

    async def test_an_approver_who_is_deleted_stays_as_a_pseudonym_without_words(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.vote(approval, "bo", comment="I am Bo")
        assert [each["text"] for each in (await firm.store.export_person("bo"))["person_approval_entries"]] == [
            "I am Bo"
        ]
        await firm.store.erase_person("bo", pseudonym="deleted-1", now=NOW)
        standing, _ = await firm.store.approval_standing(approval.id, person_id="alice", now=NOW)
        (entry,) = [each for each in standing.entries if each.kind == "approved"]
        assert (entry.by, entry.text, entry.origin, entry.counts) == ("deleted-1", "", Origin(), False)


class TestSQLite(Contract):
    @pytest.fixture
    def database(self, sqlite: Database) -> Database:
        return sqlite


class TestPostgreSQL(Contract):
    @pytest.fixture
    def database(self, postgresql: Database) -> Database:
        return postgresql


class TestRules:
    """What does not depend on the engine."""

    @pytest.fixture
    async def firm(self, sqlite: Database) -> Firm:
        return await open_firm(sqlite)

    async def test_one_no_ends_it(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        await firm.vote(approval, "bo")
        assert (await firm.vote(approval, "cem", yes=False)).state is ApprovalState.DENIED
        assert await firm.state(request) is State.DENIED
        with pytest.raises(NotWaiting):
            await firm.vote(approval, "dee")

    async def test_a_yes_holds_for_the_same_request_made_anew_for_as_long_as_the_policy_says(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.vote(approval, "bo")
        await firm.vote(approval, "cem")
        again, _ = await firm.ask()
        assert await firm.state(again) is State.GRANTED
        assert await firm.store.approval_for("k", now=NOW + 3600) is None
        assert await firm.store.approval_for("another", now=NOW) is None

    async def test_a_no_holds_for_a_while_too(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.vote(approval, "bo", yes=False)
        again, _ = await firm.ask()
        assert await firm.state(again) is State.DENIED

    async def test_nobody_approves_for_their_own_agent(self, firm: Firm) -> None:
        await firm.organisations.add_to_group("corp", "alice", "finance", by="alice", now=NOW)
        _, approval = await firm.ask()
        with pytest.raises(NotApprover):
            await firm.vote(approval, "alice")
        assert await firm.store.approvals_to_decide("alice", now=NOW) == []

    async def test_where_the_policy_allows_it_one_approves_for_ones_own_agent(self, firm: Firm) -> None:
        step = Step(people=("alice",), deadline_s=DAY)
        request, approval = await firm.ask(course=Course(ask_person=False, four_eyes=False, steps=(step,)))
        await firm.vote(approval, "alice")
        assert await firm.state(request) is State.GRANTED

    async def test_four_eyes_cannot_be_got_round_by_a_delegate_either_way(self, firm: Firm) -> None:
        await firm.organisations.add_to_group("corp", "alice", "finance", by="alice", now=NOW)
        # Alice is away and names Bo; Cem is away and names Alice.
        await firm.person("finn")
        await firm.store.set_absence(Away(person_id="alice", delegate="finn", since=NOW, until=NOW + DAY), now=NOW)
        _, approval = await firm.ask()
        with pytest.raises(NotFound):
            await firm.vote(approval, "finn")
        await firm.store.end_absence("alice", now=NOW)
        await firm.store.set_absence(Away(person_id="cem", delegate="alice", since=NOW, until=NOW + DAY), now=NOW)
        with pytest.raises(NotApprover):
            await firm.vote(approval, "alice")

    async def test_a_name_of_another_organisation_is_nobody_here(self, firm: Firm) -> None:
        step = Step(people=("eve", "bo"), deadline_s=DAY)
        _, approval = await firm.ask(course=Course(ask_person=False, steps=(step,)))
        with pytest.raises(NotFound):
            await firm.vote(approval, "eve")
        assert (await firm.vote(approval, "bo")).state is ApprovalState.APPROVED

    async def test_what_somebody_decided_who_is_removed_counts_no_more(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        await firm.vote(approval, "bo")
        await firm.store.remove_member("corp", "bo", by="alice", now=NOW)
        assert (await firm.vote(approval, "cem")).waiting
        assert (await firm.vote(approval, "dee")).state is ApprovalState.APPROVED
        assert await firm.state(request) is State.GRANTED

    async def test_who_is_removed_from_the_group_or_the_organisation_has_no_say(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        await firm.organisations.remove_from_group("corp", "bo", "finance", by="alice", now=NOW)
        await firm.store.remove_member("corp", "cem", by="alice", now=NOW)
        for name in ("bo", "cem"):
            with pytest.raises(NotFound):
                await firm.vote(approval, name)

    async def test_the_person_does_not_see_as_an_approver_and_strangers_not_at_all(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        standing, seat = await firm.store.approval_standing(approval.id, person_id="alice", now=NOW)
        assert seat == ""
        assert {each.name for each in standing.asked} == {"Bo", "Cem", "Dee"}
        await firm.person("finn")
        with pytest.raises(NotFound):
            await firm.store.approval_standing(approval.id, person_id="finn", now=NOW)

    async def test_people_of_no_organisation_approve_for_each_other(self, firm: Firm) -> None:
        step = Step(people=("kim", "bo"), groups=("administrators",), deadline_s=DAY)
        await firm.person("kim", tenant=None)
        _, approval = await firm.ask(course=Course(ask_person=False, steps=(step,)), tenant=None)
        for name in ("bo", "alice"):
            with pytest.raises((NotFound, NotApprover)):
                await firm.vote(approval, name)
        assert (await firm.vote(approval, "kim")).state is ApprovalState.APPROVED

    async def test_a_delegate_who_left_has_no_say_and_what_they_decided_counts_no_more(self, firm: Firm) -> None:
        await firm.person("finn")
        await firm.store.set_absence(Away(person_id="bo", delegate="finn", since=NOW, until=NOW + DAY), now=NOW)
        _, approval = await firm.ask()
        await firm.vote(approval, "finn")
        await firm.store.remove_member("corp", "finn", by="alice", now=NOW)
        assert (await firm.vote(approval, "cem")).waiting
        _, other = await firm.ask(key="other")
        with pytest.raises(NotFound):
            await firm.vote(other, "finn")

    async def test_who_decides_for_two_has_one_voice(self, firm: Firm) -> None:
        for name in ("bo", "cem"):
            await firm.store.set_absence(Away(person_id=name, delegate="dee", since=NOW, until=NOW + DAY), now=NOW)
        request, approval = await firm.ask()
        await firm.vote(approval, "dee")
        with pytest.raises(DecidedAlready):
            await firm.vote(approval, "dee")
        assert await firm.state(request) is State.PENDING

    async def test_delegation_ends_with_the_absence(self, firm: Firm) -> None:
        await firm.person("finn")
        await firm.store.set_absence(Away(person_id="bo", delegate="finn", since=NOW + 60, until=NOW + 120), now=NOW)
        _, approval = await firm.ask()
        for moment in (NOW, NOW + 120):
            with pytest.raises(NotFound):
                await firm.vote(approval, "finn", now=moment)
        await firm.vote(approval, "finn", now=NOW + 60)

    async def test_a_circle_of_delegates_is_refused(self, firm: Firm) -> None:
        await firm.store.set_absence(Away(person_id="bo", delegate="cem", since=NOW, until=NOW + DAY), now=NOW)
        for person, delegate in (("cem", "bo"), ("cem", "dee"), ("dee", "bo"), ("dee", "dee"), ("dee", "eve")):
            with pytest.raises(AwayRefused):
                away = Away(person_id=person, delegate=delegate, since=NOW, until=NOW + 60)
                await firm.store.set_absence(away, now=NOW)
        later = Away(person_id="cem", delegate="bo", since=NOW + DAY, until=NOW + 2 * DAY)
        await firm.store.set_absence(later, now=NOW)

    async def test_a_delegates_own_delegate_has_no_say(self, firm: Firm) -> None:
        await firm.person("finn")
        # Set while neither overlaps, as of a later time: what is written is not followed further than one step.
        await firm.store.set_absence(Away(person_id="bo", delegate="finn", since=NOW, until=NOW + DAY), now=NOW)
        await firm.person("gil")
        with pytest.raises(AwayRefused):
            await firm.store.set_absence(Away(person_id="finn", delegate="gil", since=NOW, until=NOW + DAY), now=NOW)
        _, approval = await firm.ask()
        with pytest.raises(NotFound):
            await firm.vote(approval, "gil")

    async def test_a_vote_after_the_deadline_is_too_late_though_nobody_had_looked(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        with pytest.raises(NotWaiting):
            await firm.vote(approval, "bo", now=NOW + DAY)
        assert await firm.state(request) is State.EXPIRED

    async def test_a_request_after_the_deadline_opens_it_anew(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        late = replace(pending(), requirement="approval", handle=None, created_at=NOW + DAY, expires_at=NOW + 2 * DAY)
        await firm.store.create_pending(late, opening=firm.opening())
        found = await firm.store.approval_for("k", now=NOW + DAY)
        assert found is not None
        assert found.id != approval.id
        assert found.waiting

    async def test_a_policy_that_demands_something_else_begins_it_anew_and_no_earlier_yes_counts(
        self, firm: Firm
    ) -> None:
        request, approval = await firm.ask()
        await firm.vote(approval, "bo")
        three = Course(ask_person=False, steps=(Step(groups=("finance",), needed=3, deadline_s=DAY),))
        with pytest.raises(RequestChanged):
            await firm.vote(approval, "cem", course=three, because=BecauseOf(version="v2", rule="three"))
        anew = await firm.store.approval(approval.id)
        assert (anew.round, anew.because.version) == (2, "v2")
        for name in ("bo", "cem"):
            await firm.vote(anew, name)
        assert await firm.state(request) is State.PENDING
        await firm.vote(anew, "dee")
        assert await firm.state(request) is State.GRANTED

    async def test_a_policy_that_refuses_now_ends_it(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        await firm.vote(approval, "bo")
        with pytest.raises(NotWaiting):
            await firm.vote(approval, "cem", course=None)
        assert await firm.state(request) is State.DENIED

    async def test_a_policy_that_wants_the_person_now_gives_the_request_back_to_them(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        looked = await firm.store.look_at_approval(approval.id, POLICY, Course(), now=NOW)
        assert looked.state is ApprovalState.WITHDRAWN
        assert [each.pending.digest for each in await firm.store.requests_for("alice", now=NOW)] == [request.digest]

    async def test_a_policy_that_lets_it_through_now_grants_it(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        await firm.store.look_at_approval(approval.id, POLICY, Course(ask_person=False), now=NOW)
        assert await firm.state(request) is State.GRANTED

    async def test_the_person_says_no_and_nobody_is_asked_any_more(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        twin, _ = await firm.ask()
        await firm.store.refuse(request.digest, person_id="alice", event=Event.DENY, detail="no", now=NOW)
        assert (await firm.store.approval(approval.id)).state is ApprovalState.WITHDRAWN
        assert {await firm.state(each) for each in (request, twin)} == {State.DENIED}
        with pytest.raises(NotWaiting):
            await firm.vote(approval, "bo")

    async def test_a_request_the_agent_withdraws_is_not_decided_unless_another_waits(self, firm: Firm) -> None:
        request, approval = await firm.ask()
        twin, _ = await firm.ask()
        await firm.store.advance_pending(request.digest, Event.CANCEL)
        await firm.store.withdraw_approval(approval.id, now=NOW)
        assert (await firm.store.approval(approval.id)).waiting
        await firm.store.advance_pending(twin.digest, Event.CANCEL)
        await firm.store.withdraw_approval(approval.id, now=NOW)
        assert (await firm.store.approval(approval.id)).state is ApprovalState.WITHDRAWN

    async def test_an_agent_fills_no_inbox(self, firm: Firm) -> None:
        for number in range(20):
            await firm.ask(key=f"k{number}")
        with pytest.raises(RateLimited):
            await firm.ask(key="one more")
        await firm.ask(key="k0")

    async def test_comments_are_kept_in_order_and_bounded(self, firm: Firm) -> None:
        _, approval = await firm.ask()
        for number in range(20):
            await firm.store.comment(approval.id, f"c{number}", person_id="bo", origin=FROM, now=NOW)
        with pytest.raises(AAuthError, match="At most 20"):
            await firm.store.comment(approval.id, "more", person_id="bo", origin=FROM, now=NOW)
        standing, seat = await firm.store.approval_standing(approval.id, person_id="bo", now=NOW)
        assert seat == "bo"
        assert [entry.text for entry in standing.entries[1:]] == [f"c{number}" for number in range(20)]


def test_what_is_over_stays_over() -> None:
    for state in ApprovalState:
        if state not in (ApprovalState.WAITING, ApprovalState.APPROVED):
            for event in Happened:
                with pytest.raises(IllegalApproval, match=f"{state} cannot {event}"):
                    after(state, event)


async def arrive_and_agree(store: SQLPersonStore, request: Pending, agent: AgentId, opening: Opening) -> Any:
    assert request.handle is not None
    await store.arrive(request.handle, CODE, person_id="alice", callback=None, now=NOW, max_attempts=5)
    return await store.grant(request.digest, decision("alice", agent), now=NOW, opening=opening)
