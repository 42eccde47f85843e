"""The auth token endpoint (#ps-token-endpoint) and every step of #resource-token-verification."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib import errors, jws
from aauthlib.keys import JWKS, SigningKey
from aauthlib.tokens import ACCESS_DWK, AuthToken, PersonToken, issue_auth_token, issue_person_token

from .parties import (
    ALICE,
    AS,
    BOB,
    CALENDAR,
    MAIL,
    PS,
    Agent,
    World,
    approve,
    arrive,
    requirement_of,
    resource_token,
)

PROFILE = {"name": "Alice Example", "email": "alice@example.org"}


def rewritten(text: str, key: SigningKey, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token with some claims changed (`None` removes one) and signed again."""
    parsed = jws.parse(text)
    payload = {name: value for name, value in {**parsed.payload, **claims}.items() if value is not None}
    return jws.sign({**parsed.header, **(header or {})}, payload, key)


@pytest.mark.spec("#ps-token-endpoint", "#auth-token-structure", "#ps-response")
async def test_what_the_person_approves_becomes_an_auth_token(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    response = await agent.ask_auth_token(resource_token(world, presented, scope="calendar.read"), presented)
    assert response.status == 202
    assert requirement_of(response).value == "interaction"
    await approve(world, response)
    answer = await agent.poll(response)
    assert answer.json()["expires_in"] == 3600
    token: AuthToken = await world.verified(answer.json()["auth_token"], AuthToken)
    assert (token.iss, token.ps, token.dwk, token.aud) == (PS, PS, "aauth-person.json", CALENDAR)
    assert token.sub == presented.sub
    assert token.scope == ("calendar.read",)
    assert token.cnf.thumbprint == agent.key.thumbprint
    assert token.account is None


@pytest.mark.spec("#ps-token-endpoint")
async def test_remembered_scopes_need_no_person_and_a_new_one_does(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await agent.auth_token(presented, "calendar.read calendar.write")
    again = await agent.ask_auth_token(resource_token(world, presented, scope="calendar.write"), presented)
    assert again.status == 200
    more = await agent.ask_auth_token(resource_token(world, presented, scope="calendar.read admin"), presented)
    assert more.status == 202


@pytest.mark.spec("#scopes", "#auth-token-structure")
async def test_the_person_may_grant_less_than_was_asked(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented, scope="calendar.read calendar.write")
    response = await agent.ask_auth_token(text, presented)
    await approve(world, response, scope=["calendar.read", "never.asked"])
    token: AuthToken = await world.verified((await agent.poll(response)).json()["auth_token"], AuthToken)
    assert token.scope == ("calendar.read",)
    assert (await agent.ask_auth_token(resource_token(world, presented, scope="never.asked"), presented)).status == 202
    assert (await agent.ask_auth_token(text, presented)).status == 202


@pytest.mark.spec("#scopes")
async def test_granting_nothing_is_not_an_approval(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    response = await agent.ask_auth_token(resource_token(world, presented), presented)
    digest = await arrive(world, response)
    with pytest.raises(errors.InvalidRequest):
        await world.server.approve(digest, person_id=ALICE, scope=[])
    assert (await agent.poll(response)).status == 202


@pytest.mark.spec("#auth-token-structure", "#refresh-margin")
async def test_an_auth_token_does_not_outlive_the_presented_token(world: World) -> None:
    agent = world.agent(lifetime_s=7200)
    presented = await agent.person_token()
    world.clock.now += 3000
    token = await agent.auth_token(presented)
    assert token.exp == presented.exp


@pytest.mark.spec("#auth-token-structure", "#re-authorization")
async def test_an_auth_token_does_not_outlive_the_agent_token(world: World) -> None:
    agent = world.agent(lifetime_s=7200)
    presented = await agent.person_token()
    agent.lifetime_s = 900
    agent.renew()
    token = await agent.auth_token(presented)
    assert token.exp == world.clock() + 900


@pytest.mark.spec("#account-binding")
async def test_consent_for_one_account_is_none_for_another(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    token = await agent.auth_token(presented, token={"account": "work"})
    assert token.account == "work"
    for account, status in (("work", 200), ("home", 202), (None, 202)):
        text = resource_token(world, presented, account=account)
        assert (await agent.ask_auth_token(text, presented)).status == status


@pytest.mark.spec("#scopes")
async def test_identity_scopes_release_what_the_profile_has(world: World) -> None:
    await world.server.set_profile(ALICE, PROFILE)
    agent = world.agent()
    presented = await agent.person_token()
    token = await agent.auth_token(presented, "openid email calendar.read")
    assert token.claims["email"] == "alice@example.org"
    assert token.claims["email_verified"] is False
    assert "name" not in token.claims
    assert token.sub == presented.sub


@pytest.mark.spec("#auth-token-request", "#resource-token-structure")
async def test_a_step_up_presents_the_auth_token(world: World) -> None:
    agent = world.agent()
    first = await agent.auth_token(await agent.person_token())
    second = await agent.auth_token(first, "calendar.write")
    assert second.scope == ("calendar.write",)
    assert second.exp <= first.exp


@pytest.mark.spec("#resource-token-verification")
async def test_a_step_up_may_present_an_access_servers_auth_token(world: World) -> None:
    agent = world.agent()
    person = await agent.person_token()
    text = issue_auth_token(
        world.server_keys[AS],
        iss=AS,
        dwk=ACCESS_DWK,
        ps=PS,
        aud=CALENDAR,
        sub=person.sub,
        cnf=agent.key.public,
        jti="as-1",
        now=world.clock(),
        not_after=person.exp,
        scope=["calendar.read"],
    )
    presented: AuthToken = await world.verified(text, AuthToken)
    response = await agent.ask_auth_token(resource_token(world, presented), presented)
    assert response.status == 202


@pytest.mark.spec("#sub-agents", "#parent-mediated-authorization")
async def test_a_parent_obtains_an_auth_token_for_its_sub_agent(world: World) -> None:
    parent = world.agent()
    child = parent.sub_agent()
    presented = await parent.person_token(subagent_token=child.token)
    token = await parent.auth_token(presented, subagent_token=child.token)
    assert token.cnf.thumbprint == child.key.thumbprint


@pytest.mark.spec("#sub-agents", "#resource-token-verification")
async def test_a_sub_agents_resource_token_is_not_bound_to_the_parent(world: World) -> None:
    parent = world.agent()
    child, sibling = parent.sub_agent("one"), parent.sub_agent("two")
    presented = await parent.person_token(subagent_token=child.token)
    text = resource_token(world, presented)
    for body in ({}, {"subagent_token": sibling.token}):
        with pytest.raises(errors.InvalidResourceToken):
            await parent.ask_auth_token(text, presented, **body)


# ---- the resource token


@pytest.mark.spec("#resource-token-verification", "#token-endpoint-error-codes")
async def test_an_expired_resource_token_is_called_expired(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented)
    world.clock.now += 300
    with pytest.raises(errors.ExpiredResourceToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#resource-token-verification", "#common-claims")
@pytest.mark.parametrize(
    "spoiled",
    [
        lambda text, key: "nonsense",
        lambda text, key: text[:-10] + "AAAAAAAAAA",
        lambda text, key: rewritten(text, SigningKey.generate()),
        lambda text, key: rewritten(text, key, header={"typ": "aa-auth+jwt"}),
        lambda text, key: rewritten(text, key, header={"typ": "JWT"}),
        lambda text, key: rewritten(text, key, header={"alg": "none"}),
        lambda text, key: rewritten(text, key, header={"alg": "HS256"}),
        lambda text, key: rewritten(text, key, header={"alg": "EdDSA"}),
        lambda text, key: rewritten(text, key, dwk="aauth-person.json"),
        lambda text, key: rewritten(text, key, iss=MAIL),
        lambda text, key: rewritten(text, key, presented_jti=None),
        lambda text, key: rewritten(text, key, sub=None),
        lambda text, key: rewritten(text, key, exp=None),
    ],
    ids=[
        "nonsense",
        "signature",
        "key",
        "typ-auth",
        "typ-JWT",
        "none",
        "HS256",
        "EdDSA",
        "dwk",
        "iss",
        "jti",
        "sub",
        "exp",
    ],
)
async def test_a_spoiled_resource_token_is_refused(world: World, spoiled: Any) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = spoiled(resource_token(world, presented), world.server_keys[CALENDAR])
    with pytest.raises(errors.InvalidResourceToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#resource-token-verification", "#common-verification")
async def test_a_resource_token_from_the_future_is_clock_skew(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = rewritten(resource_token(world, presented), world.server_keys[CALENDAR], iat=world.clock() + 120)
    with pytest.raises(errors.TokenClockSkew):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#resource-token-verification")
async def test_a_resource_token_of_an_unknown_resource_is_invalid(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented, issuer="https://nowhere.example", key=SigningKey.generate())
    with pytest.raises(errors.InvalidResourceToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#resource-token-verification")
async def test_a_resource_token_issued_to_another_agent_is_refused(world: World) -> None:
    victim, thief = world.agent("victim"), world.agent("thief")
    presented = await victim.person_token()
    await thief.person_token()
    with pytest.raises(errors.InvalidResourceToken):
        await thief.ask_auth_token(resource_token(world, presented), presented)


@pytest.mark.spec("#resource-token-verification")
@pytest.mark.parametrize(
    "changes",
    [
        {"ps": "https://another-ps.example"},
        {"sub": "somebody-else"},
        {"presented_jti": "another-token"},
        {"mission_s256": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        {"tenant": "acme"},
        {"agent_jkt": "another-key"},
    ],
    ids=lambda changes: next(iter(changes)),
)
async def test_a_resource_token_that_disagrees_with_the_presented_token_is_refused(
    world: World, changes: dict[str, str]
) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = rewritten(resource_token(world, presented), world.server_keys[CALENDAR], **changes)
    with pytest.raises(errors.InvalidResourceToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#resource-token-structure", "#scopes")
@pytest.mark.parametrize("scope", [None, "", 'quo"te', "\u0007", "x" * 300, " ".join(map(str, range(60)))])
async def test_a_scope_that_cannot_be_shown_or_enforced_is_refused(world: World, scope: str | None) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = rewritten(resource_token(world, presented), world.server_keys[CALENDAR], scope=scope)
    with pytest.raises(errors.InvalidResourceToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#account-binding", "#untrusted-input")
@pytest.mark.parametrize("account", ["x" * 600, "nul\u0000", "line\nbreak"])
async def test_an_account_that_cannot_be_shown_is_refused(world: World, account: str) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    with pytest.raises(errors.InvalidResourceToken):
        await agent.ask_auth_token(resource_token(world, presented, account=account), presented)


# ---- the presented token


@pytest.mark.spec("#auth-token-request")
async def test_the_presented_token_is_required(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    request = agent.signed("POST", PS + "/auth-token", {"resource_token": resource_token(world, presented)})
    with pytest.raises(errors.InvalidRequest, match="presented_token"):
        await world.server.auth_token(request)


@pytest.mark.spec("#resource-token-verification", "#token-endpoint-error-codes")
async def test_an_expired_presented_token_is_called_expired(world: World) -> None:
    agent = world.agent(lifetime_s=86_400)
    presented = await agent.person_token()
    world.clock.now = presented.exp
    with pytest.raises(errors.ExpiredPresentedToken):
        await agent.ask_auth_token(resource_token(world, presented), presented)


@pytest.mark.spec("#resource-token-verification")
async def test_a_presented_token_that_is_none_is_refused(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented)
    for wrong in ("nonsense", agent.token, text, rewritten(presented.raw, SigningKey.generate())):
        with pytest.raises(errors.InvalidPresentedToken):
            await agent.ask_auth_token(text, wrong)


@pytest.mark.spec("#resource-token-verification")
async def test_a_person_token_for_another_resource_cannot_be_presented(world: World) -> None:
    agent = world.agent()
    mail, calendar = await agent.person_token(MAIL), await agent.person_token(CALENDAR)
    # The calendar honestly issued its token against the calendar's person token; the agent swaps the presented one.
    with pytest.raises(errors.InvalidPresentedToken):
        await agent.ask_auth_token(resource_token(world, calendar), mail)
    # A resource that issues against a token that was meant for another resource.
    with pytest.raises(errors.InvalidPresentedToken):
        await agent.ask_auth_token(resource_token(world, mail, issuer=CALENDAR), mail)


@pytest.mark.spec("#resource-token-verification")
async def test_another_person_token_for_the_same_resource_is_not_the_one_that_was_named(world: World) -> None:
    agent = world.agent()
    first = await agent.person_token()
    second = await agent.person_token()
    assert first.jti != second.jti
    with pytest.raises(errors.InvalidResourceToken, match="presented_jti"):
        await agent.ask_auth_token(resource_token(world, first), second)


@pytest.mark.spec("#resource-token-verification")
async def test_a_pair_that_belongs_to_another_person_server_is_refused(world: World) -> None:
    """Genuine in every respect, and addressed to this server by a confused or hostile resource."""
    agent = world.agent()
    await agent.person_token()
    foreign = SigningKey.generate()
    text = issue_person_token(
        foreign,
        iss=MAIL,
        aud=CALENDAR,
        sub="theirs",
        cnf=agent.key.public,
        jti="theirs-1",
        now=world.clock(),
        not_after=world.clock() + 600,
    )
    world.directory.publish(MAIL, JWKS.of(foreign))
    presented: PersonToken = await world.verified(text, PersonToken)
    misaddressed = rewritten(resource_token(world, presented), world.server_keys[CALENDAR], aud=PS)
    with pytest.raises(errors.InvalidResourceToken, match="another person server"):
        await agent.ask_auth_token(misaddressed, presented)


@pytest.mark.spec("#agent-person-binding", "#resource-token-verification")
async def test_a_presented_token_of_another_person_is_refused(world: World) -> None:
    """Two agents of two people that share a key: the key alone must not carry one person's identity to the other."""
    key = SigningKey.generate()
    alices, bobs = world.agent("alices", key=key), world.agent("bobs", key=key)
    presented = await alices.person_token()
    await bobs.person_token(person=BOB)
    text = resource_token(world, presented)
    with pytest.raises(errors.InvalidPresentedToken, match="another agent"):
        await bobs.ask_auth_token(text, presented)
    sub = presented.sub
    foreign = issue_auth_token(
        world.server_keys[AS],
        iss=AS,
        dwk=ACCESS_DWK,
        ps=PS,
        aud=CALENDAR,
        sub=sub,
        cnf=key.public,
        jti="as-2",
        now=world.clock(),
        not_after=presented.exp,
        scope=["calendar.read"],
    )
    from_as: AuthToken = await world.verified(foreign, AuthToken)
    with pytest.raises(errors.InvalidPresentedToken, match="another person"):
        await bobs.ask_auth_token(resource_token(world, from_as), from_as)


@pytest.mark.spec("#agent-person-binding", "#presenting-a-revoked-token")
async def test_a_token_from_before_the_agent_was_disconnected_is_revoked(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    await world.server.disconnect(ALICE, agent.identity)
    with pytest.raises(errors.RevokedPresentedToken):
        await agent.ask_auth_token(resource_token(world, presented), presented)


@pytest.mark.spec("#person-token-not-authorization")
async def test_an_agent_that_nobody_connected_gets_nothing_for_a_forged_record(world: World) -> None:
    """A token this server's key signed, but never recorded as issued, is not honoured."""
    agent = world.agent()
    real = await agent.person_token()
    unrecorded = rewritten(real.raw, world.server.keys.signing, jti="unrecorded")
    presented: PersonToken = await world.verified(unrecorded, PersonToken)
    with pytest.raises(errors.InvalidPresentedToken, match="no record"):
        await agent.ask_auth_token(resource_token(world, presented), presented)


@pytest.mark.spec("#error-response-format")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resource_token":1,"presented_token":"x"}', b"\xff\xfe"])
async def test_a_malformed_body_is_refused(world: World, body: bytes) -> None:
    agent: Agent = world.agent()
    request = agent.signed("POST", PS + "/auth-token", msgspec.Raw(body) if body else None)
    with pytest.raises(errors.InvalidRequest):
        await world.server.auth_token(request)
