"""Pending URLs and interaction codes at the person server (#deferred-responses, #pending-url-security)."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib import errors
from aauthlib.deferred.pending import Pending
from aauthlib.keys import SigningKey
from aauthlib.person.consent import AgentOfAnotherPerson
from aauthlib.tokens import PersonToken

from .parties import (
    ALICE,
    BOB,
    OTHER_AP,
    PS,
    Agent,
    World,
    approve,
    arrive,
    invitation,
    requirement_of,
    resource_token,
)


@pytest.mark.spec("#pending-url-security", "#polling-with-get")
async def test_the_answer_is_given_once_and_then_the_url_is_gone(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response)
    assert (await agent.poll(response)).status == 200
    with pytest.raises(errors.Gone):
        await agent.poll(response)


@pytest.mark.spec("#pending-url-security")
async def test_two_polls_at_once_get_one_token(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response)
    results = await asyncio.gather(*(agent.poll(response) for _ in range(5)), return_exceptions=True)
    tokens = [result for result in results if not isinstance(result, BaseException)]
    assert len(tokens) == 1
    assert all(isinstance(result, errors.Gone) for result in results if isinstance(result, BaseException))
    issued = await world.server.store.history(ALICE, limit=50)
    assert [record.action for record in issued].count("issue person_token") == 1


@pytest.mark.spec("#pending-url-security")
async def test_another_agent_cannot_poll_or_cancel(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response)
    same_name_elsewhere = Agent(world, "aauth:helper@other-ap.example", iss=OTHER_AP)
    for stranger in (world.agent("stranger"), same_name_elsewhere):
        with pytest.raises(errors.NotFound):
            await stranger.poll(response)
        with pytest.raises(errors.NotFound):
            await stranger.cancel(response)
    assert (await agent.poll(response)).status == 200


@pytest.mark.spec("#pending-url-security")
async def test_an_unsigned_poll_is_refused(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await approve(world, response)
    location = response.headers.get("location") or ""
    bare = agent.signed("GET", location).with_headers(signature=None, signature_input=None, signature_key=None)
    with pytest.raises(errors.InvalidSignature):
        await world.server.poll(bare, location.rpartition("/")[2])


@pytest.mark.spec("#pending-url-security")
async def test_an_agent_that_rotated_its_key_may_still_poll_and_gets_nothing_for_another_key(world: World) -> None:
    agent = world.agent()
    first_key = agent.key
    response = await agent.ask_person_token()
    agent.key = SigningKey.generate()
    agent.renew()
    assert (await agent.poll(response)).status == 202
    await approve(world, response)
    with pytest.raises(errors.Expired, match="another key"):
        await agent.poll(response)
    again = await agent.ask_person_token()
    token: PersonToken = await world.verified(again.json()["person_token"], PersonToken)
    assert token.cnf.thumbprint == agent.key.thumbprint != first_key.thumbprint


@pytest.mark.spec("#pending-response")
async def test_the_poll_says_when_the_person_has_arrived_and_never_repeats_the_code(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    waiting = await agent.poll(response)
    assert waiting.json() == {"status": "pending"}
    assert waiting.headers.get("aauth-requirement") is None
    await arrive(world, response)
    assert (await agent.poll(response)).json() == {"status": "interacting"}


@pytest.mark.spec("#polling-with-get")
async def test_a_poll_that_waits_is_answered_as_soon_as_the_person_decides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    waiting, wait_pending = asyncio.Event(), world.server.store.wait_pending

    async def wait(pending: Pending, timeout_s: float) -> None:
        waiting.set()
        await wait_pending(pending, timeout_s)

    monkeypatch.setattr(world.server.store, "wait_pending", wait)
    poll = asyncio.create_task(agent.poll(response, prefer="wait=30"))
    await waiting.wait()
    await world.server.approve(digest, person_id=ALICE)
    assert (await asyncio.wait_for(poll, 5)).status == 200


@pytest.mark.spec("#polling-error-codes")
async def test_polling_without_pause_is_told_to_slow_down(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    with pytest.raises(errors.SlowDown):
        for _ in range(30):
            await agent.poll(response)


@pytest.mark.spec("#cancel-request")
async def test_a_cancelled_request_is_gone_and_cannot_be_approved(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    assert (await agent.cancel(response)).status == 204
    with pytest.raises(errors.Gone):
        await agent.poll(response)
    with pytest.raises(errors.AAuthError, match="withdrawn"):
        await world.server.approve(digest, person_id=ALICE)
    assert await world.server.agents(ALICE) == []


@pytest.mark.spec("#polling-error-codes")
async def test_denied_is_denied_once(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await world.server.deny(await arrive(world, response), person_id=ALICE)
    with pytest.raises(errors.Denied):
        await agent.poll(response)
    with pytest.raises(errors.Gone):
        await agent.poll(response)


@pytest.mark.spec("#polling-error-codes")
async def test_a_person_who_leaves_has_abandoned(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    await world.server.abandon(await arrive(world, response), person_id=ALICE)
    with pytest.raises(errors.Abandoned):
        await agent.poll(response)


@pytest.mark.spec("#polling-error-codes")
async def test_a_request_nobody_decided_is_expired(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response)
    world.clock.now += 900
    with pytest.raises(errors.Expired):
        await world.server.approve(digest, person_id=ALICE)
    with pytest.raises(errors.Expired):
        await agent.poll(response)
    assert await world.server.agents(ALICE) == []


@pytest.mark.spec("#agent-response-to-clarification")
@pytest.mark.parametrize(
    "body",
    [{}, {"action": "dance"}, {"action": "clarification_response", "clarification_response": "x"}, {"action": 1}],
)
async def test_a_post_that_answers_no_question_is_refused(world: World, body: dict[str, object]) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    location = response.headers.get("location") or ""
    with pytest.raises(errors.InvalidRequest):
        await world.server.answer(agent.signed("POST", location, body), location.rpartition("/")[2])
    with pytest.raises(errors.NotFound):
        await world.server.answer(world.agent("other").signed("POST", location, body), location.rpartition("/")[2])
    assert (await agent.poll(response)).status == 202


@pytest.mark.spec("#ps-response")
async def test_requests_of_one_agent_are_independent(world: World) -> None:
    agent = world.agent()
    first, second = await agent.ask_person_token(), await agent.ask_person_token("https://mail.example")
    await world.server.deny(await arrive(world, first), person_id=ALICE)
    await approve(world, second)
    assert (await agent.poll(second)).status == 200
    with pytest.raises(errors.Denied):
        await agent.poll(first)


# ---- codes


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_is_single_use(world: World) -> None:
    response = await world.agent().ask_person_token()
    await arrive(world, response)
    for person in (ALICE, BOB):
        with pytest.raises(errors.InvalidCode):
            await arrive(world, response, person)


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_is_read_as_people_type_it(world: World) -> None:
    response = await world.agent().ask_person_token()
    handle, code = invitation(response)
    assert len(code.replace("-", "")) >= 8
    typed = f" {code.lower().replace('0', 'o').replace('1', 'l').replace('-', ' - ')} "
    await world.server.check_code(handle, typed)
    assert await world.server.arrive(handle, typed, person_id=ALICE)


@pytest.mark.spec("#interaction-code-format")
async def test_checking_a_code_does_not_consume_it(world: World) -> None:
    response = await world.agent().ask_person_token()
    handle, code = invitation(response)
    await world.server.check_code(handle, code)
    await world.server.check_code(handle, code)
    assert await world.server.arrive(handle, code, person_id=ALICE)


@pytest.mark.spec("#interaction-code-format", "#interaction-code-misdirection", "#polling-error-codes")
async def test_five_wrong_codes_end_the_request(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    handle, code = invitation(response)
    wrong = "ZZZZ-ZZZZ" if code != "ZZZZ-ZZZZ" else "YYYY-YYYY"
    for attempt in range(5):
        with pytest.raises(errors.InvalidCode):
            if attempt % 2:
                await world.server.arrive(handle, wrong, person_id=BOB)
            else:
                await world.server.check_code(handle, wrong)
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(handle, code, person_id=ALICE)
    with pytest.raises(errors.InvalidCode) as caught:
        await agent.poll(response)
    assert caught.value.status == 410


@pytest.mark.spec("#interaction-code-format")
async def test_guesses_made_at_once_are_all_counted(world: World) -> None:
    response = await world.agent().ask_person_token()
    handle, code = invitation(response)
    wrong = "ZZZZ-ZZZZ" if code != "ZZZZ-ZZZZ" else "YYYY-YYYY"
    guesses = [world.server.check_code(handle, wrong) for _ in range(8)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(result, errors.InvalidCode) for result in results)
    with pytest.raises(errors.InvalidCode):
        await world.server.check_code(handle, code)


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_of_one_interaction_opens_no_other(world: World) -> None:
    agent = world.agent()
    first, second = await agent.ask_person_token(), await agent.ask_person_token()
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(invitation(first)[0], invitation(second)[1], person_id=ALICE)
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive("nothere1", invitation(second)[1], person_id=ALICE)


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_presented_too_late_is_expired(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    world.clock.now += 900
    for _ in range(2):
        with pytest.raises(errors.Expired):
            await arrive(world, response)
    with pytest.raises(errors.Expired):
        await agent.poll(response)


@pytest.mark.spec("#interaction-code-format", "#ps-approval-endpoint-auth")
async def test_the_code_alone_decides_nothing(world: World) -> None:
    agent = world.agent()
    response = await agent.ask_person_token()
    digest = await arrive(world, response, ALICE)
    for action in (world.server.approve, world.server.deny, world.server.abandon, world.server.consent):
        with pytest.raises(errors.NotFound):
            await action(digest, person_id=BOB)  # type: ignore[operator]
    assert (await agent.poll(response)).json() == {"status": "interacting"}


@pytest.mark.spec("#user-interaction", "#interaction-code-format")
async def test_the_person_may_decide_without_the_code_and_it_is_consumed(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    response = await agent.ask_person_token("https://mail.example")
    (view,) = await world.server.pending_for(ALICE)
    await world.server.approve(view.digest, person_id=ALICE)
    with pytest.raises(errors.InvalidCode):
        await arrive(world, response)
    assert (await agent.poll(response)).status == 200


@pytest.mark.spec("#agent-person-binding")
async def test_somebody_else_cannot_arrive_for_a_connected_agent_and_the_code_stays(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    response = await agent.ask_person_token("https://mail.example")
    with pytest.raises(AgentOfAnotherPerson):
        await arrive(world, response, BOB)
    assert await arrive(world, response, ALICE)


@pytest.mark.spec("#interaction-required")
async def test_what_is_shown_to_the_agent_is_unguessable_and_different_each_time(world: World) -> None:
    agent = world.agent()
    responses = [await agent.ask_person_token() for _ in range(5)]
    locations = {response.headers.get("location") or "" for response in responses}
    assert len(locations) == len({invitation(response)[1] for response in responses}) == 5
    assert all(len(location.removeprefix(PS + "/pending/")) == 43 for location in locations)
    assert all(requirement_of(response).url not in locations for response in responses)


@pytest.mark.spec("#polling-error-codes", "#revocation-cascade")
async def test_an_auth_token_request_waits_no_longer_than_its_tokens_live(world: World) -> None:
    agent = world.agent(lifetime_s=86_400)
    presented = await agent.person_token()
    world.clock.now = presented.exp - 100
    response = await agent.ask_auth_token(resource_token(world, presented), presented)
    world.clock.now += 100
    with pytest.raises(errors.Expired):
        await arrive(world, response)
