"""The token endpoint of an access server (#ps-to-as-token-request, #as-response) and its pending URLs."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib import errors
from aauthlib.access import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Facts,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
)
from aauthlib.deferred.pending import id_digest
from aauthlib.keys import SigningKey
from aauthlib.store.access_records import Learned
from aauthlib.tokens import PersonToken

from .parties import AS, CALENDAR, OTHER_PS, PS, SUB, World, invitation, location, requirement_of


@pytest.mark.spec("#as-token-endpoint", "#as-response", "#auth-token-structure")
async def test_a_grant_is_answered_at_once_with_an_auth_token_of_this_server(any_world: World) -> None:
    world, key = any_world, SigningKey.generate()
    presented = world.person(key, mission_s256="m" * 43, tenant="corp")
    body = world.bundle(key, presented_token=presented, scope="calendar.read calendar.write")
    response = await world.ask(body)
    assert response.json()["expires_in"] <= 3600
    token = await world.token_of(response)
    assert (token.iss, token.dwk, token.ps, token.aud, token.sub) == (AS, "aauth-access.json", PS, CALENDAR, SUB)
    assert token.scope == ("calendar.read", "calendar.write")
    assert (token.mission_s256, token.tenant) == ("m" * 43, "corp")
    assert token.cnf.thumbprint == key.thumbprint
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert record.root.jti == world.read(presented, PersonToken).jti


@pytest.mark.spec("#auth-token-structure")
async def test_the_token_expires_with_whatever_it_hangs_on(world: World) -> None:
    key, now = SigningKey.generate(), world.clock()
    short = world.person(key, not_after=now + 500)
    assert (await world.granted(world.bundle(key, presented_token=short))).exp == now + 500
    agent = world.agent(key, lifetime_s=400)
    expires = (await world.granted(world.bundle(key, agent_token=agent))).exp
    assert expires <= now + 410
    assert (await world.granted()).exp <= world.clock() + 3600


@pytest.mark.spec("#scopes")
async def test_the_policy_may_narrow_and_never_widens(world: World) -> None:
    world.policy.decide = lambda facts: Narrow(("calendar.read", "admin"))
    assert (await world.granted(world.bundle(scope="calendar.read calendar.write"))).scope == ("calendar.read",)
    world.policy.decide = lambda facts: Narrow(("admin",))
    with pytest.raises(errors.Denied):
        await world.ask()


@pytest.mark.spec("#as-response", "#polling-error-codes")
async def test_a_denial_says_why_and_is_in_the_log(world: World) -> None:
    world.policy.decide = lambda facts: Deny("Not on Sundays.")
    with pytest.raises(errors.Denied) as denied:
        await world.ask()
    assert denied.value.detail == "Not on Sundays."
    (record,) = await world.server.store.history()
    assert (record.decision, record.reason, record.version, record.ps) == ("deny", "Not on Sundays.", "test", PS)


@pytest.mark.spec("#ps-to-as-token-request", "#keying-material")
async def test_only_person_servers_that_sign_in_their_own_right_may_ask(world: World) -> None:
    with pytest.raises(errors.AccessDenied):
        await world.ask(issuer=CALENDAR, dwk="aauth-resource.json")
    request = world.signed("POST", AS + "/auth-token", world.bundle())
    unsigned = type(request)(request.method, request.url, request.headers.with_(signature=None), request.body)
    with pytest.raises(errors.SignatureError):
        await world.server.auth_token(unsigned)
    changed = type(request)(request.method, request.url, request.headers, request.body + b" ")
    with pytest.raises(errors.SignatureError):
        await world.server.auth_token(changed)
    with pytest.raises(errors.SignatureError):
        await world.ask(key=SigningKey.generate())


@pytest.mark.spec("#freshness-and-replay")
async def test_the_very_same_request_is_taken_once(world: World) -> None:
    request = world.signed("POST", AS + "/auth-token", world.bundle())
    assert (await world.server.auth_token(request)).status == 200
    with pytest.raises(errors.InvalidSignature):
        await world.server.auth_token(request)


async def test_a_policy_that_breaks_grants_nothing_and_leaves_nothing_behind(world: World) -> None:
    world.policy.decide = lambda facts: facts.claims["email"]
    with pytest.raises(KeyError):
        await world.ask()
    assert await world.server.store.history() == []
    assert await world.server.store.open_exchanges(PS, tenant=None, known=[], now=world.clock()) == (0, 0, 0)


# ---------------------------------------------------------------------- claims


def wants_email(facts: Facts) -> Decision:
    if "email" not in facts.claims_asked:
        return AskClaims(("email", "groups"))
    return Allow() if facts.claims.get("email") == "alice@corp.example" else Deny("Not one of ours.")


@pytest.mark.spec("#requirement-claims")
async def test_claims_are_asked_for_and_given_by_a_post_that_answers_with_the_token(any_world: World) -> None:
    world = any_world
    world.policy.decide = wants_email
    asked = await world.ask()
    assert asked.status == 202
    assert requirement_of(asked).value == "claims"
    assert asked.json() == {"status": "pending", "required_claims": ["email", "groups"]}
    assert asked.headers.get("cache-control") == "no-store"
    answer = await world.post(asked, {"email": "alice@corp.example", "shoe_size": 43})
    token = await world.token_of(answer)
    assert "email" not in token.claims
    assert "shoe_size" not in world.policy.seen[-1].claims
    with pytest.raises(errors.Gone):
        await world.poll(asked)


@pytest.mark.spec("#requirement-claims")
async def test_sub_is_neither_asked_for_nor_taken(world: World) -> None:
    with pytest.raises(errors.ConfigurationError):
        AskClaims(("sub",))
    world.policy.decide = wants_email
    asked = await world.ask()
    with pytest.raises(errors.InvalidRequest):
        await world.post(asked, {"email": "alice@corp.example", "sub": "bob"})
    assert (await world.post(asked, {"email": "alice@corp.example"})).status == 200


@pytest.mark.spec("#requirement-claims")
async def test_claims_that_do_not_suffice_end_the_exchange(world: World) -> None:
    world.policy.decide = wants_email
    asked = await world.ask()
    with pytest.raises(errors.Denied):
        await world.post(asked, {"email": "mallory@evil.example"})
    with pytest.raises(errors.Gone):
        await world.poll(asked)


@pytest.mark.spec("#requirement-claims")
async def test_a_policy_that_asks_for_ever_is_a_denial(world: World) -> None:
    world.policy.decide = lambda facts: AskClaims(("email",))
    asked = await world.ask()
    with pytest.raises(errors.Denied):
        await world.post(asked, {})


@pytest.mark.spec("#scopes")
async def test_a_granted_identity_scope_carries_its_claims(world: World) -> None:
    asked = await world.ask(world.bundle(scope="calendar.read email"))
    assert asked.json()["required_claims"] == ["email", "email_verified"]
    answer = await world.post(asked, {"email": "alice@corp.example", "email_verified": True})
    token = await world.token_of(answer)
    assert (token.claims["email"], token.claims["email_verified"]) == ("alice@corp.example", True)
    assert token.sub == SUB


async def test_what_was_learned_of_a_person_is_forgotten_with_the_exchange(world: World) -> None:
    world.policy.decide = lambda facts: wants_email(facts) if not facts.claims else NeedApproval("the boss")
    asked = await world.ask()
    await world.post(asked, {"email": "alice@corp.example"})
    digest = id_digest(location(asked).rpartition("/")[2])
    exchange = await world.server.store.exchange(digest)
    assert exchange is not None
    assert exchange.learned.claims == {"email": "alice@corp.example"}
    await world.cancel(asked)
    forgotten = await world.server.store.exchange(digest)
    assert forgotten is not None
    assert forgotten.learned == Learned()


# ---------------------------------------------------------------------- clarification


@pytest.mark.spec("#requirement-clarification", "#agent-response-to-clarification")
async def test_a_question_is_answered_once(world: World) -> None:
    question = "Which project is this for?"
    world.policy.decide = lambda facts: (
        Allow() if facts.answers.get(question) == "blue" else AskQuestion(question, ("blue", "red"))
    )
    asked = await world.ask()
    assert requirement_of(asked).value == "clarification"
    assert asked.json()["clarification"] == question
    assert asked.json()["options"] == ["blue", "red"]
    assert asked.json()["timeout"] > 0
    with pytest.raises(errors.InvalidRequest):
        await world.post(asked, {"action": "clarification_response", "clarification_response": "green"})
    with pytest.raises(errors.InvalidRequest):
        await world.post(asked, {"action": "updated_request", "resource_token": "x"})
    answer = await world.post(asked, {"action": "clarification_response", "clarification_response": "blue"})
    assert answer.status == 200


# ---------------------------------------------------------------------- interaction


@pytest.mark.spec("#ps-as-trust-establishment", "#requirement-responses", "#interaction-code-format")
async def test_a_person_binds_a_person_server_once(any_world: World) -> None:
    world = any_world
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    asked = await world.ask()
    handle, code = invitation(asked)
    again = await world.poll(asked)
    assert invitation(again) == (handle, code)  # a lost answer loses nothing
    assert (await world.server.view(handle)).person_server == PS
    await world.server.arrive(handle, code, "alice")
    assert (await world.poll(asked)).json()["status"] == "interacting"
    await world.server.approve(handle, "alice")
    assert (await world.poll(asked)).status == 200
    assert (await world.ask()).status == 200
    key = SigningKey.generate()
    other = world.bundle(
        key, presented_token=world.person(key, iss=OTHER_PS), agent_token=world.agent(key, ps=OTHER_PS)
    )
    assert (await world.ask(other, issuer=OTHER_PS)).status == 202
    await world.server.take_back("alice", PS)
    assert (await world.ask()).status == 202


@pytest.mark.spec("#interaction-code-format")
async def test_five_wrong_codes_end_an_interaction(world: World) -> None:
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    asked = await world.ask()
    handle, code = invitation(asked)
    for _ in range(5):
        with pytest.raises(errors.InvalidCode):
            await world.server.check_code(handle, "0000-0000")
    with pytest.raises((errors.InvalidCode, errors.Gone)):
        await world.server.arrive(handle, code, "alice")
    with pytest.raises(errors.InvalidCode):
        await world.poll(asked)


async def test_only_who_arrived_may_confirm(world: World) -> None:
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    asked = await world.ask()
    handle, code = invitation(asked)
    with pytest.raises(errors.Gone):
        await world.server.approve(handle, "alice")
    await world.server.arrive(handle, code, "alice")
    with pytest.raises(errors.Gone):
        await world.server.approve(handle, "mallory")
    with pytest.raises(errors.InvalidCode):
        await world.server.arrive(handle, code, "mallory")
    await world.server.deny(handle, "alice")
    with pytest.raises(errors.Denied):
        await world.poll(asked)


async def test_no_copy_of_the_database_holds_the_code(world: World) -> None:
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    _, code = invitation(await world.ask())
    dump = await _dump(world)
    assert code not in dump
    assert code.replace("-", "") not in dump


async def _dump(world: World) -> str:
    from aauthlib.store.database import schema

    lines = []
    async with world.database.transaction() as connection:
        for table in schema.sorted_tables:
            lines += [str(tuple(row)) for row in await connection.execute(table.select())]
    return "\n".join(lines)


# ---------------------------------------------------------------------- approval


@pytest.mark.spec("#requirement-responses", "#polling-with-get")
async def test_an_approval_wakes_whoever_polls(world: World) -> None:
    world.policy.decide = lambda facts: Allow() if facts.approved_by == "boss" else NeedApproval("the boss")
    asked = await world.ask()
    assert requirement_of(asked).value == "approval"
    waiting = asyncio.create_task(world.poll(asked, prefer="wait=30"))
    (view,) = await world.server.approvals()
    assert (view.by, view.person_server, view.scopes) == ("the boss", PS, ("calendar.read",))
    await world.server.decide_approval(view.id, by="boss", approved=True)
    assert (await asyncio.wait_for(waiting, 10)).status == 200
    assert await world.server.approvals() == []
    with pytest.raises(errors.Gone):
        await world.server.decide_approval(view.id, by="boss", approved=False)


async def test_a_refused_approval_is_a_denial(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval("the boss")
    asked = await world.ask()
    (view,) = await world.server.approvals()
    await world.server.decide_approval(view.id, by="boss", approved=False, reason="Not this quarter.")
    with pytest.raises(errors.Denied, match="Not this quarter"):
        await world.poll(asked)


# ---------------------------------------------------------------------- payment and composition


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_a_payment_is_settled_once_and_remembered(any_world: World) -> None:
    world = any_world
    world.policy.decide = lambda facts: Allow() if facts.paid else NeedPayment("500", "EUR-cent")
    asked = await world.ask()
    assert asked.status == 402
    assert (asked.headers.get("www-authenticate") or "").startswith("Payment id=")
    assert (await world.poll(asked)).status == 402
    world.settlement.pay(asked.json()["payment"]["id"])
    assert (await world.poll(asked)).status == 200
    assert (await world.ask()).status == 200


@pytest.mark.spec("#ps-as-trust-establishment", "#deferred-responses")
async def test_payment_interaction_and_claims_come_one_after_the_other_on_one_location(any_world: World) -> None:
    world = any_world

    def decide(facts: Facts) -> Decision:
        if not facts.paid:
            return NeedPayment("1", "USD-cent")
        if facts.bound_user is None:
            return NeedInteraction()
        return Allow() if "email" in facts.claims_asked else AskClaims(("email",))

    world.policy.decide = decide
    first = await world.ask()
    world.settlement.pay(first.json()["payment"]["id"])
    second = await world.poll(first)
    assert (second.status, location(second)) == (202, location(first))
    handle, code = invitation(second)
    await world.server.arrive(handle, code, "alice")
    await world.server.approve(handle, "alice")
    third = await world.poll(first)
    assert (requirement_of(third).value, location(third)) == ("claims", location(first))
    assert third.json()["status"] == "pending"
    assert (await world.post(first, {"email": "a@b.example"})).status == 200
    decisions = [record.decision for record in reversed(await world.server.store.history())]
    assert decisions == ["payment", "interaction", "confirmed", "claims", "allow"]


# ---------------------------------------------------------------------- pending URLs


@pytest.mark.spec("#pending-url-security", "#polling-with-get")
async def test_only_the_person_server_that_asked_may_poll_answer_or_withdraw(world: World) -> None:
    world.policy.decide = wants_email
    asked = await world.ask()
    for signing in ({"issuer": OTHER_PS}, {"issuer": CALENDAR, "dwk": "aauth-resource.json"}):
        with pytest.raises(errors.NotFound):
            await world.poll(asked, **signing)
        with pytest.raises(errors.NotFound):
            await world.post(asked, {"email": "alice@corp.example"}, **signing)
        with pytest.raises(errors.NotFound):
            await world.cancel(asked, **signing)
    assert (await world.poll(asked)).status == 202


@pytest.mark.spec("#cancel-request")
async def test_a_withdrawn_request_is_gone(world: World) -> None:
    world.policy.decide = wants_email
    asked = await world.ask()
    assert (await world.cancel(asked)).status == 204
    with pytest.raises(errors.Gone):
        await world.poll(asked)


@pytest.mark.spec("#polling-error-codes")
async def test_a_request_expires_no_later_than_the_tokens_it_hangs_on(world: World) -> None:
    world.policy.decide = wants_email
    key = SigningKey.generate()
    asked = await world.ask(world.bundle(key, presented_token=world.person(key, not_after=world.clock() + 100)))
    world.clock.now += 101
    with pytest.raises(errors.Expired):
        await world.poll(asked)


async def test_an_answer_nobody_waits_for_is_refused(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval("the boss")
    asked = await world.ask()
    with pytest.raises(errors.InvalidRequest):
        await world.post(asked, {"email": "x"})


async def test_two_answers_at_once_are_one_exchange(any_world: World) -> None:
    world = any_world
    world.policy.decide = wants_email
    asked = await world.ask()
    url = location(asked)
    requests = [world.signed("POST", url, {"email": "alice@corp.example"}) for _ in range(4)]
    results = await asyncio.gather(
        *(world.server.answer(request, url.rpartition("/")[2]) for request in requests), return_exceptions=True
    )
    delivered = [r for r in results if not isinstance(r, BaseException) and r.status == 200]
    assert len(delivered) == 1
    lost = [r for r in results if r not in delivered]
    assert all(isinstance(r, errors.Gone | errors.InvalidRequest) for r in lost), lost


async def test_no_token_and_no_claim_value_is_stored_or_logged(world: World) -> None:
    world.policy.decide = lambda facts: Allow() if facts.claims_asked else AskClaims(("email",))
    body = world.bundle()
    asked = await world.ask(body)
    answer = await world.post(asked, {"email": "alice@corp.example"})
    dump = await _dump(world)
    for secret in (*body.values(), answer.json()["auth_token"], "alice@corp.example", location(asked)[-20:]):
        assert secret not in dump
