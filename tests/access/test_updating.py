"""An updated request in answer to a question of the access server's (#updated-request, #ps-to-as-token-request)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib import errors
from aauthlib.access import Allow, AskQuestion, Decision, Facts, NeedApproval
from aauthlib.http import Response
from aauthlib.keys import SigningKey
from aauthlib.tokens import AGENT_DWK, RESOURCE_DWK, PersonToken, ResourceToken

from .parties import AP, CALENDAR, MAIL, OTHER_PS, PS, World, requirement_of

pytestmark = pytest.mark.spec("#agent-response-to-clarification", "#updated-request", "#ps-to-as-token-request")

WHY = "Why does it write?"


def asks_about_writing(facts: Facts) -> Decision:
    return AskQuestion(WHY) if "calendar.write" in facts.scope and WHY not in facts.answers else Allow()


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
async def asked(world: World, key: SigningKey) -> Response:
    """A request to read and write, which the policy asks about."""
    world.policy.decide = asks_about_writing
    return await world.ask(world.bundle(key, scope="calendar.read calendar.write"))


def update(world: World, key: SigningKey, scope: str = "calendar.read", **changes: Any) -> dict[str, Any]:
    """The body of an update, whole and right unless `changes` say otherwise."""
    presented = changes.pop("presented", None) or world.person(key, **changes.pop("person", {}))
    return {
        "action": "updated_request",
        "resource_token": world.resource_token(presented, scope=scope, **changes.pop("token", {})),
        "presented_token": presented,
        "justification": "Reading is enough.",
        **changes,
    }


async def test_an_update_replaces_what_is_asked_and_the_policy_decides_anew(
    world: World, key: SigningKey, asked: Response
) -> None:
    assert requirement_of(asked).value == "clarification"
    token = await world.token_of(await world.post(asked, update(world, key)))
    assert token.scope == ("calendar.read",)
    assert world.policy.seen[-1].scope == ("calendar.read",)


async def test_the_token_hangs_on_the_tokens_of_the_update(world: World, key: SigningKey, asked: Response) -> None:
    presented = world.person(key, not_after=world.clock() + 900)
    token = await world.token_of(await world.post(asked, update(world, key, presented=presented)))
    assert token.exp <= world.read(presented, PersonToken).exp
    await world.revoke(world.read(presented, PersonToken).jti)
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert record.revoked_at is not None


async def test_a_token_of_the_update_that_is_revoked_ends_what_waits_for_it(
    world: World, key: SigningKey, asked: Response
) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    body = update(world, key)
    assert requirement_of(await world.post(asked, body)).value == "approval"
    jti = world.read(body["resource_token"], ResourceToken).jti
    await world.revoke(jti, issuer=CALENDAR, dwk=RESOURCE_DWK)
    with pytest.raises(errors.Revoked):
        await world.poll(asked)


async def test_repeating_an_update_changes_nothing(world: World, key: SigningKey, asked: Response) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    body = update(world, key)
    first, again = await world.post(asked, body), await world.post(asked, body)
    assert (first.status, again.status) == (202, 202)
    (view,) = await world.server.approvals()
    assert view.updates == ("Reading is enough.",)


async def test_what_must_stay_the_same_must_stay_the_same(world: World, key: SigningKey, asked: Response) -> None:
    other = SigningKey.generate()
    mail = world.person(key, aud=MAIL)
    for name, body in {
        "sub": update(world, key, person={"sub": "bob-at-calendar"}),
        "iss": update(world, key, presented=mail, token={"iss": MAIL}),
        "tenant": update(world, key, person={"tenant": "corp"}),
        "mission_s256": update(world, key, person={"mission_s256": "A" * 43}),
        "key": update(world, other),
        "person server": update(world, key, person={"iss": OTHER_PS}),
        "to another server": update(world, key, token={"access_server": OTHER_PS}),
    }.items():
        with pytest.raises(errors.InvalidResourceToken, match=name):
            await world.post(asked, body)
    assert requirement_of(await world.poll(asked)).value == "clarification"


async def test_the_pair_is_verified_as_the_first_one_was(world: World, key: SigningKey, asked: Response) -> None:
    presented = world.person(key)
    await world.revoke(world.read(presented, PersonToken).jti)
    with pytest.raises(errors.RevokedPresentedToken):
        await world.post(asked, update(world, key, presented=presented))
    fresh, unnamed = world.person(key), world.person(key)
    with pytest.raises(errors.InvalidResourceToken):
        await world.post(asked, update(world, key, presented=fresh) | {"presented_token": unnamed})
    for missing in ("resource_token", "presented_token"):
        body = update(world, key)
        del body[missing]
        with pytest.raises(errors.InvalidRequest, match="presented_token"):
            await world.post(asked, body)
    with pytest.raises(errors.InvalidPresentedToken):
        await world.post(asked, update(world, key) | {"presented_token": "a.b.c"})
    assert requirement_of(await world.poll(asked)).value == "clarification"


async def test_an_update_answers_a_question_and_nothing_else(world: World, key: SigningKey) -> None:
    world.policy.decide = lambda facts: NeedApproval()
    asked = await world.ask(world.bundle(key))
    with pytest.raises(errors.InvalidRequest, match="waits for approval"):
        await world.post(asked, update(world, key))


async def test_an_approval_and_answers_do_not_carry_over_to_more_than_was_asked(world: World, key: SigningKey) -> None:
    def decide(facts: Facts) -> Decision:
        if facts.approved_by is None:
            return NeedApproval()
        return Allow() if "calendar.write" in facts.scope else AskQuestion(WHY)

    world.policy.decide = decide
    asked = await world.ask(world.bundle(key))
    (view,) = await world.server.approvals()
    await world.server.decide_approval(view.id, by="boss", approved=True)
    assert requirement_of(await world.poll(asked)).value == "clarification"
    more = update(world, key, "calendar.read calendar.write")
    assert requirement_of(await world.post(asked, more)).value == "approval"
    assert world.policy.seen[-1].approved_by is None


async def test_an_approval_holds_for_less_of_what_was_asked(world: World, key: SigningKey) -> None:
    def decide(facts: Facts) -> Decision:
        return asks_about_writing(facts) if facts.approved_by else NeedApproval()

    world.policy.decide = decide
    asked = await world.ask(world.bundle(key, scope="calendar.read calendar.write"))
    (view,) = await world.server.approvals()
    await world.server.decide_approval(view.id, by="boss", approved=True)
    assert (await world.post(asked, update(world, key))).status == 200


@pytest.mark.spec("#clarification-limits")
async def test_there_is_an_end_to_updates(world: World, key: SigningKey) -> None:
    world.policy.decide = lambda facts: AskQuestion(WHY)
    asked = await world.ask(world.bundle(key))
    for _ in range(5):
        assert (await world.post(asked, update(world, key))).status == 202
    with pytest.raises(errors.InvalidRequest, match="at most 5"):
        await world.post(asked, update(world, key))
    assert requirement_of(await world.poll(asked)).value == "clarification"


async def test_an_update_of_somebody_elses_request_finds_nothing(
    world: World, key: SigningKey, asked: Response
) -> None:
    with pytest.raises(errors.NotFound):
        await world.post(asked, update(world, key), issuer=OTHER_PS)
    with pytest.raises(errors.NotFound):
        await world.post(asked, update(world, key), issuer=AP, dwk=AGENT_DWK)
    assert PS in {facts.person_server for facts in world.policy.seen}
