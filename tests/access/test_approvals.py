"""So many approvals, in this order, in time: what waits for people, and what comes of it (#approval-pending).

Here the approvers are an application's own, by name; accounts with roles are in `tests/web/access_pages`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from aauthlib import errors
from aauthlib.access import (
    Allow,
    Approvers,
    AskClaims,
    CallablePolicy,
    Decision,
    Deny,
    Facts,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    Step,
)
from aauthlib.access.trust import Limits
from aauthlib.http import Response
from aauthlib.keys import SigningKey
from aauthlib.store.access_approval_records import ApprovalChanged
from aauthlib.store.access_approval_tables import access_approvals
from aauthlib.store.access_tables import exchanges
from aauthlib.store.approval_records import DecidedAlready, Origin
from aauthlib.tokens import PersonToken

from .parties import World, requirement_of

pytestmark = pytest.mark.spec("#approval-pending", "#as-response")

TWO = NeedApproval("finance", needed=2)
IN_ORDER = NeedApproval(
    approvers=Approvers(
        steps=(Step(groups=("finance",), deadline_s=3600.0), Step(groups=("board",), deadline_s=3600.0)),
    )
)


def wants(world: World, demand: NeedApproval) -> None:
    world.policy.decide = lambda facts: Allow() if facts.approved_by else demand


async def only(world: World) -> str:
    (view,) = await world.server.approvals()
    return view.id


async def approve(world: World, by: str, **how: Any) -> bool:
    return await world.server.decide_approval(await only(world), by=by, approved=True, **how)


async def told(world: World, id_: str) -> list[tuple[str, str]]:
    """What happened, and who did it."""
    view = await world.server.approval(id_)
    return [(entry.kind, entry.name) for entry in view.standing.entries]


async def test_as_many_must_approve_as_the_policy_wants_and_the_last_voice_grants(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    assert requirement_of(waiting).value == "approval"
    id_ = await only(world)
    assert await approve(world, "ada"), "others are still waited for"
    assert (await world.poll(waiting)).status == 202
    assert not await approve(world, "ben")
    await world.token_of(await world.poll(waiting))
    assert world.policy.seen[-1].approved_by == "ada, ben"
    assert await told(world, id_) == [("opened", ""), ("approved", "ada"), ("approved", "ben"), ("granted", "")]


async def test_each_voice_is_kept_with_who_when_from_where_and_by_which_policy(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    await world.ask()
    id_, at = await only(world), world.clock()
    origin = Origin(network="203.0.113.0/24", browser="Firefox on Linux", method="passkey")
    await approve(world, "ada", origin=origin)
    entry = (await world.server.approval(id_)).standing.entries[-1]
    assert (entry.name, entry.at, entry.origin, entry.version) == ("ada", at, origin, "test")
    (record,) = await world.server.store.history(by_people=True)
    assert (record.decision, record.decided_by, record.at, record.version) == ("approved", "ada", at, "test")


async def test_nobody_is_counted_twice(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    await approve(world, "ada")
    with pytest.raises(DecidedAlready):
        await approve(world, "ada")
    assert (await world.poll(waiting)).status == 202
    assert len(await world.server.store.history(by_people=True)) == 1


async def test_the_same_voice_twice_at_once_is_one(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    found = await asyncio.gather(*(approve(world, "ada") for _ in range(4)), return_exceptions=True)
    assert [type(each) for each in found].count(DecidedAlready) == 3
    assert (await world.poll(waiting)).status == 202


async def test_two_who_complete_it_at_once_grant_once(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    id_ = await only(world)
    await asyncio.gather(approve(world, "ada"), approve(world, "ben"))
    await world.token_of(await world.poll(waiting))
    assert [kind for kind, _ in await told(world, id_)].count("granted") == 1


async def test_steps_follow_each_other_and_nobody_is_heard_in_two(any_world: World) -> None:
    world = any_world
    wants(world, IN_ORDER)
    waiting = await world.ask()
    assert [view.by for view in await world.server.approvals()] == ["finance"]
    await approve(world, "fin")
    assert [view.by for view in await world.server.approvals()] == ["board"]
    with pytest.raises(DecidedAlready):
        await approve(world, "fin")
    await approve(world, "bea")
    await world.token_of(await world.poll(waiting))


async def test_the_first_no_ends_it_and_holds_for_a_while(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    key = SigningKey.generate()
    waiting = await world.ask(world.bundle(key))
    await approve(world, "ada")
    await world.server.decide_approval(await only(world), by="ben", approved=False, reason="Not this quarter.")
    with pytest.raises(errors.Denied, match="Not this quarter"):
        await world.poll(waiting)
    with pytest.raises(errors.Denied, match="Not this quarter"):
        await world.ask(world.bundle(key))
    assert await world.server.approvals() == []
    world.clock.now += 900
    assert (await world.ask(world.bundle(key))).status == 202, "later they are asked again"


async def test_what_nobody_approves_in_time_expires_and_the_poll_says_so(any_world: World) -> None:
    world = any_world
    wants(world, NeedApproval("finance", deadline="10m"))
    waiting = await world.ask()
    world.clock.now += 600
    with pytest.raises(errors.Expired, match="Nobody approved"):
        await world.poll(waiting)
    assert await world.server.approvals() == []


async def test_after_the_deadline_others_are_asked_in_their_place(any_world: World) -> None:
    world = any_world
    step = Step(groups=("finance",), deadline_s=300.0, escalate=Step(groups=("board",), deadline_s=300.0))
    wants(world, NeedApproval(approvers=Approvers(steps=(step,))))
    waiting = await world.ask()
    id_ = await only(world)
    world.clock.now += 300
    await world.server.settle_approvals()
    assert (await world.server.approval(id_)).by == "board"
    assert (await world.poll(waiting)).status == 202
    assert ("escalated", "") in await told(world, id_)
    await approve(world, "bea")
    await world.token_of(await world.poll(waiting))


async def test_a_deadline_that_nobody_looks_at_is_seen_to(any_world: World) -> None:
    world = any_world
    wants(world, NeedApproval("finance", deadline="10m"))
    await world.ask()
    id_ = await only(world)
    world.clock.now += 601
    await world.server.settle_approvals()
    assert (await told(world, id_))[-1] == ("expired", "")


async def test_an_approval_outlives_the_tokens_of_the_request_and_the_same_made_anew_finds_it(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    key = SigningKey.generate()
    waiting = await world.ask(world.bundle(key))
    await approve(world, "ada")
    world.clock.now += 7200
    with pytest.raises(errors.Expired):
        await world.poll(waiting)
    again = await world.ask(world.bundle(key))
    assert again.status == 202
    assert not await approve(world, "ben"), "what was approved before counts"
    await world.token_of(await world.poll(again))
    world.clock.now += 1800
    await world.granted(world.bundle(key))
    world.clock.now += 1800
    assert (await world.ask(world.bundle(key))).status == 202, "it holds for an hour"


async def test_what_was_approved_is_not_approved_for_anything_else(any_world: World) -> None:
    world = any_world
    wants(world, NeedApproval())
    key = SigningKey.generate()
    await world.ask(world.bundle(key))
    await approve(world, "ada")
    await world.granted(world.bundle(key))
    others = [
        world.bundle(key, scope="calendar.read calendar.write"),
        world.bundle(key, agent_token=world.agent(key, "aauth:other@ap.example")),
        world.bundle(key, presented_token=world.person(key, sub="bob-at-calendar")),
        world.bundle(key, presented_token=world.person(key, tenant="corp")),
    ]
    for other in others:
        assert (await world.ask(other)).status == 202


async def test_what_was_said_of_the_person_is_part_of_what_was_approved(any_world: World) -> None:
    world = any_world

    def decide(facts: Facts) -> Decision:
        if not facts.claims_asked:
            return AskClaims(("email",))
        return Allow() if facts.approved_by else NeedApproval()

    world.policy.decide = decide
    key = SigningKey.generate()
    await world.post(await world.ask(world.bundle(key)), {"email": "ada@corp.example"})
    await approve(world, "boss")
    again = await world.post(await world.ask(world.bundle(key)), {"email": "ada@corp.example"})
    assert again.status == 200
    other = await world.post(await world.ask(world.bundle(key)), {"email": "eve@evil.example"})
    assert other.status == 202


async def test_what_was_learned_of_a_person_is_forgotten_with_the_decision(any_world: World) -> None:
    world = any_world

    def decide(facts: Facts) -> Decision:
        if not facts.claims_asked:
            return AskClaims(("email",))
        return Allow() if facts.approved_by else NeedApproval()

    async def stored() -> str:
        async with world.database.transaction() as connection:
            return str(await connection.scalar(select(access_approvals.c.shown)))

    world.policy.decide = decide
    await world.post(await world.ask(), {"email": "ada@corp.example"})
    assert "ada@corp.example" in await stored()
    await approve(world, "boss")
    assert "ada@corp.example" not in await stored()


async def test_a_voice_under_another_policy_counts_for_nothing(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    id_ = await only(world)
    await approve(world, "ada", round=1)
    world.server.decider = CallablePolicy(world.policy, version="next")
    with pytest.raises(ApprovalChanged):
        await approve(world, "ben", round=1)
    assert (await world.poll(waiting)).status == 202
    assert await approve(world, "ben", round=2), "ada has to approve again"
    assert ("restarted", "") in await told(world, id_)
    assert not await approve(world, "ada", round=2)
    await world.token_of(await world.poll(waiting))


async def test_a_policy_that_wants_no_approval_any_more_decides_at_the_next_poll(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    waiting = await world.ask()
    world.policy.decide = lambda facts: Deny("Closed.")
    world.server.decider = CallablePolicy(world.policy, version="next")
    with pytest.raises(errors.Denied, match="Closed"):
        await world.poll(waiting)
    assert await world.server.approvals() == [], "nobody is asked what nobody waits for"


async def test_a_request_that_is_withdrawn_is_not_decided_any_more(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    await world.cancel(await world.ask())
    assert await world.server.approvals() == []


async def test_what_two_requests_wait_for_goes_on_for_the_second(any_world: World) -> None:
    world = any_world
    wants(world, TWO)
    key = SigningKey.generate()
    first, second = await world.ask(world.bundle(key)), await world.ask(world.bundle(key))
    await world.cancel(first)
    await approve(world, "ada")
    await approve(world, "ben")
    await world.token_of(await world.poll(second))


@pytest.mark.spec("#revocation-cascade")
async def test_a_revoked_person_token_takes_back_what_was_approved(any_world: World) -> None:
    world = any_world
    wants(world, NeedApproval())
    key = SigningKey.generate()
    presented = world.person(key)
    waiting = await world.ask(world.bundle(key, presented_token=presented))
    await approve(world, "ada")
    await world.token_of(await world.poll(waiting))
    await world.revoke(world.read(presented, PersonToken).jti)
    assert (await world.ask(world.bundle(key))).status == 202
    second = world.person(key)
    await world.ask(world.bundle(key, presented_token=second))
    assert len(await world.server.approvals()) == 1


@pytest.mark.spec("#deferred-responses")
async def test_a_decision_whose_effect_was_lost_with_the_process_is_found_by_the_poll(
    any_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = any_world
    wants(world, NeedApproval())
    waiting = await world.ask()

    async def ended(exchange: object) -> None:
        raise ConnectionError("the process ended")

    with monkeypatch.context() as patch:
        patch.setattr(world.server, "go_on", ended)
        with pytest.raises(ConnectionError):
            await approve(world, "ada")
    await world.token_of(await world.poll(waiting))


@pytest.mark.spec("#deferred-responses")
async def test_a_request_that_waits_for_an_approval_nobody_opened_gets_one(any_world: World) -> None:
    """As one does that an older version of this server left."""
    world = any_world
    wants(world, NeedApproval())
    waiting = await world.ask()
    async with world.database.transaction() as connection:
        await connection.execute(update(exchanges).values(approval=None))
        await connection.execute(update(access_approvals).values(state="withdrawn", open_key=None))
    assert (await world.poll(waiting)).status == 202
    await approve(world, "ada")
    await world.token_of(await world.poll(waiting))


@pytest.mark.spec("#deferred-responses")
@pytest.mark.parametrize("lost", ["settlement", "interactive"])
async def test_what_this_server_cannot_take_any_more_ends_instead_of_waiting(world: World, lost: str) -> None:
    world.policy.decide = lambda facts: NeedPayment("5", "EUR-cent") if lost == "settlement" else NeedInteraction()
    waiting: Response = await world.ask()
    assert waiting.status in (202, 402)
    setattr(world.server, lost, None if lost == "settlement" else False)
    with pytest.raises(errors.Denied):
        await world.poll(waiting)


async def test_what_approvers_are_asked_about_is_bounded_though_its_requests_are_over(world: World) -> None:
    wants(world, NeedApproval())
    world.server.turnstile.limits = Limits(open_first_contact=2)
    for sub in ("a", "b"):
        await world.ask(world.bundle(key := SigningKey.generate(), presented_token=world.person(key, sub=sub)))
    world.clock.now += 7200
    with pytest.raises(errors.RateLimited):
        await world.ask()
    await world.server.decide_approval((await world.server.approvals())[0].id, by="ada", approved=False)
    assert (await world.ask()).status == 202
