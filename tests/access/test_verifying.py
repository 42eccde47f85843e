"""Every check of #ps-to-as-token-request and #upstream-token-verification, and who tries to get around it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib import errors, jws
from aauthlib.access import NeedApproval
from aauthlib.http import Fields, Request
from aauthlib.httpsig import JWKSURI, sign
from aauthlib.keys import SigningKey
from aauthlib.tokens import AuthToken, PersonToken, ResourceToken

from .parties import AP, AS, CALENDAR, MAIL, OTHER_PS, PS, World


def rewritten(text: str, key: SigningKey, **claims: Any) -> str:
    """A token with some claims changed (`None` removes one) and signed again."""
    parsed = jws.parse(text)
    payload = {name: value for name, value in {**parsed.payload, **claims}.items() if value is not None}
    return jws.sign(dict(parsed.header), payload, key)


async def refused(world: World, body: dict[str, Any], error: type[errors.AAuthError], **signing: Any) -> str:
    with pytest.raises(error) as found:
        await world.ask(body, **signing)
    assert world.policy.seen == []
    return str(found.value.detail)


# ---------------------------------------------------------------------- the resource token


@pytest.mark.spec("#ps-to-as-token-request", "#resource-token-verification")
async def test_a_resource_token_for_another_server_is_refused(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key)
    for access_server in (None, "https://other-as.example"):
        token = world.resource_token(presented, access_server=access_server)
        body = world.bundle(key, presented_token=presented, resource_token=token)
        await refused(world, body, errors.InvalidResourceToken)


@pytest.mark.spec("#ps-to-as-token-request")
async def test_another_person_server_cannot_use_what_was_issued_for_its_neighbour(world: World) -> None:
    await refused(world, world.bundle(), errors.InvalidResourceToken, issuer=OTHER_PS)


@pytest.mark.spec("#ps-to-as-token-request")
async def test_a_person_server_cannot_name_itself_for_anothers_person(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key)
    token = rewritten(world.resource_token(presented), world.server_keys[CALENDAR], ps=OTHER_PS)
    body = world.bundle(key, presented_token=presented, resource_token=token, agent_token=world.agent(key, ps=None))
    await refused(world, body, errors.InvalidResourceToken, issuer=OTHER_PS)
    await refused(world, body, errors.InvalidResourceToken)


@pytest.mark.spec("#resource-token-verification")
async def test_an_expired_resource_token_is_refused_as_expired(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key)
    token = world.resource_token(presented, lifetime_s=30)
    world.clock.now += 60
    body = world.bundle(key, presented_token=presented, resource_token=token)
    await refused(world, body, errors.ExpiredResourceToken)


@pytest.mark.spec("#resource-token-verification")
async def test_a_forged_resource_token_is_refused(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key)
    token = rewritten(world.resource_token(presented), SigningKey.generate(), scope="admin")
    body = world.bundle(key, presented_token=presented, resource_token=token)
    await refused(world, body, errors.InvalidResourceToken)


@pytest.mark.spec("#scopes")
async def test_a_resource_token_without_a_scope_asks_for_nothing_this_server_knows(world: World) -> None:
    await refused(world, world.bundle(scope=None), errors.InvalidResourceToken)


async def test_a_server_for_some_resources_decides_for_no_other(world: World) -> None:
    world.server.resources = frozenset({MAIL})
    await refused(world, world.bundle(), errors.InvalidResourceToken)


# ---------------------------------------------------------------------- the presented token


@pytest.mark.spec("#ps-to-as-token-request", "#resource-token-verification")
@pytest.mark.parametrize("claim", ["sub", "presented_jti", "mission_s256", "tenant"])
async def test_a_resource_token_that_disagrees_with_the_presented_token_is_refused(world: World, claim: str) -> None:
    key = SigningKey.generate()
    presented = world.person(key, mission_s256="m" * 43, tenant="corp")
    token = rewritten(world.resource_token(presented), world.server_keys[CALENDAR], **{claim: "another"})
    body = world.bundle(key, presented_token=presented, resource_token=token)
    await refused(world, body, errors.InvalidResourceToken)


@pytest.mark.spec("#ps-to-as-token-request")
@pytest.mark.parametrize("claim", ["mission_s256", "tenant"])
async def test_a_mission_or_tenant_cannot_be_stripped(world: World, claim: str) -> None:
    key = SigningKey.generate()
    presented = world.person(key, mission_s256="m" * 43, tenant="corp")
    token = rewritten(world.resource_token(presented), world.server_keys[CALENDAR], **{claim: None})
    await refused(
        world, world.bundle(key, presented_token=presented, resource_token=token), errors.InvalidResourceToken
    )
    stripped = world.person(key)
    whole = world.resource_token(presented)
    await refused(world, world.bundle(key, presented_token=stripped, resource_token=whole), errors.InvalidResourceToken)


@pytest.mark.spec("#resource-token-verification")
async def test_the_presented_token_of_another_agent_or_resource_is_refused(world: World) -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    token = world.resource_token(world.person(key))
    body = world.bundle(key, presented_token=world.person(other), resource_token=token)
    await refused(world, body, errors.InvalidPresentedToken)
    body = world.bundle(key, presented_token=world.person(key, aud=MAIL), resource_token=token)
    await refused(world, body, errors.InvalidPresentedToken)


@pytest.mark.spec("#resource-token-verification")
async def test_an_expired_or_forged_presented_token_is_refused(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key, not_after=world.clock() + 30)
    token = world.resource_token(presented)
    forged = rewritten(presented, SigningKey.generate())
    body = world.bundle(key, presented_token=forged, resource_token=token)
    await refused(world, body, errors.InvalidPresentedToken)
    world.clock.now += 31
    body = world.bundle(key, presented_token=presented, resource_token=token)
    await refused(world, body, errors.ExpiredPresentedToken)


@pytest.mark.spec("#ps-to-as-token-request")
async def test_an_agent_token_is_no_presented_token(world: World) -> None:
    key = SigningKey.generate()
    body = world.bundle(key)
    await refused(world, {**body, "presented_token": body["agent_token"]}, errors.InvalidPresentedToken)


@pytest.mark.spec("#ps-to-as-token-request", "#revocation-cascade")
async def test_a_step_up_presents_an_auth_token_of_this_server_and_goes_back_to_the_person_token(world: World) -> None:
    key = SigningKey.generate()
    person = world.person(key)
    first = await world.granted(world.bundle(key, presented_token=person))
    second = await world.granted(world.bundle(key, presented_token=first.raw, scope="calendar.read calendar.write"))
    record = await world.server.store.issued(second.jti)
    assert record is not None
    assert record.root.jti == world.read(person, PersonToken).jti
    assert world.policy.seen[-1].step_up is True


@pytest.mark.spec("#ps-to-as-token-request")
async def test_an_auth_token_of_this_server_that_it_never_issued_is_refused(world: World) -> None:
    key = SigningKey.generate()
    world.server_keys[AS] = world.server.keys.signing
    forged = world.auth(key, iss=AS, dwk="aauth-access.json")
    await refused(world, world.bundle(key, presented_token=forged), errors.InvalidPresentedToken)


# ---------------------------------------------------------------------- the agent token


@pytest.mark.spec("#ps-to-as-token-request")
async def test_the_agent_token_must_be_bound_to_the_key_the_resource_saw(world: World) -> None:
    key = SigningKey.generate()
    body = world.bundle(key, agent_token=world.agent(SigningKey.generate()))
    await refused(world, body, errors.InvalidAgentToken)


@pytest.mark.spec("#ps-to-as-token-request")
async def test_an_expired_or_forged_agent_token_is_refused(world: World) -> None:
    key = SigningKey.generate()
    forged = rewritten(world.agent(key), SigningKey.generate())
    await refused(world, world.bundle(key, agent_token=forged), errors.InvalidAgentToken)
    old = world.agent(key, lifetime_s=20)
    world.clock.now += 30
    await refused(world, world.bundle(key, agent_token=old), errors.ExpiredAgentToken)


@pytest.mark.spec("#ps-to-as-token-request")
async def test_what_11_asks_for_decides_before_what_12_settles_about_the_agent_token(world: World) -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    agent = rewritten(world.agent(other), other)
    presented = rewritten(world.person(key), other)
    await refused(world, world.bundle(key, agent_token=agent, resource_token="x"), errors.InvalidResourceToken)
    token = world.resource_token(world.person(key))
    body = world.bundle(key, agent_token=agent, presented_token=presented, resource_token=token)
    await refused(world, body, errors.InvalidPresentedToken)
    await refused(world, world.bundle(key, agent_token=agent, upstream_token="x"), errors.InvalidUpstreamToken)
    await refused(world, world.bundle(key, agent_token=agent), errors.InvalidAgentToken)


async def test_an_agent_of_another_person_server_is_refused(world: World) -> None:
    key = SigningKey.generate()
    await refused(world, world.bundle(key, agent_token=world.agent(key, ps=OTHER_PS)), errors.InvalidAgentToken)


@pytest.mark.spec("#ps-to-as-token-request", "#agent-token-structure")
async def test_the_policy_sees_what_the_provider_says_of_the_agent(world: World) -> None:
    key = SigningKey.generate()
    token = rewritten(world.agent(key), world.server_keys[AP], posture={"enclave": True})
    await world.granted(world.bundle(key, agent_token=token))
    facts = world.policy.seen[-1]
    assert facts.agent_claims == {"posture": {"enclave": True}}
    assert (facts.provider, facts.agent, facts.person_server) == (AP, "aauth:helper@ap.example", PS)
    huge = rewritten(world.agent(key), world.server_keys[AP], posture="x" * 20_000)
    with pytest.raises(errors.InvalidAgentToken):
        await world.ask(world.bundle(key, agent_token=huge))


@pytest.mark.spec("#sub-agents", "#ps-to-as-token-request")
async def test_a_sub_agents_token_is_bound_to_the_sub_agents_key(world: World) -> None:
    parent, child = SigningKey.generate(), SigningKey.generate()
    sub = world.agent(child, "aauth:helper+search@ap.example", parent_agent="aauth:helper@ap.example")
    body = world.bundle(child, agent_token=world.agent(parent), subagent_token=sub)
    token = await world.granted(body)
    assert token.cnf.thumbprint == child.thumbprint
    assert world.policy.seen[-1].sub_agent == "aauth:helper+search@ap.example"
    world.policy.seen.clear()
    await refused(world, world.bundle(child, agent_token=sub), errors.InvalidAgentToken)
    stranger = world.agent(parent, "aauth:other@ap.example")
    await refused(world, {**body, "agent_token": stranger}, errors.InvalidSubagentToken)
    mine = world.bundle(parent, subagent_token=sub)
    await refused(world, mine, errors.InvalidResourceToken)


# ---------------------------------------------------------------------- the upstream token


def chained(world: World, **upstream: Any) -> dict[str, Any]:
    """What a person server sends for the calendar acting as an agent on what its caller presented."""
    caller, intermediary = SigningKey.generate(), SigningKey.generate()
    text = upstream.pop("text", None) or world.person(caller, **upstream)
    agent = world.agent(intermediary, "aauth:calendar@calendar.example", iss=CALENDAR, ps=None)
    presented = world.person(intermediary, aud=MAIL, sub="alice-at-mail")
    return world.bundle(intermediary, agent_token=agent, presented_token=presented, upstream_token=text)


@pytest.mark.spec("#upstream-token-verification", "#call-chaining")
async def test_an_upstream_token_caps_what_is_issued_downstream(world: World) -> None:
    end = world.clock() + 200
    token = await world.granted(chained(world, not_after=end))
    assert (token.aud, token.sub, token.exp) == (MAIL, "alice-at-mail", end)
    assert world.policy.seen[-1].chained is True


@pytest.mark.spec("#upstream-token-verification")
async def test_an_upstream_token_must_be_for_the_intermediary_and_of_the_person_server(world: World) -> None:
    await refused(world, chained(world, aud=MAIL), errors.InvalidUpstreamToken)
    await refused(world, chained(world, iss=OTHER_PS), errors.InvalidUpstreamToken)
    agent = world.agent(SigningKey.generate())
    await refused(world, chained(world, text=agent), errors.InvalidUpstreamToken)
    old = world.person(SigningKey.generate(), not_after=world.clock() + 1)
    world.clock.now += 2
    await refused(world, chained(world, text=old), errors.ExpiredUpstreamToken)


@pytest.mark.spec("#upstream-token-verification", "#presenting-a-revoked-token")
async def test_a_revoked_upstream_token_is_refused_as_revoked(world: World) -> None:
    text = world.person(SigningKey.generate())
    await world.revoke(world.read(text, PersonToken).jti)
    await refused(world, chained(world, text=text), errors.RevokedUpstreamToken)


@pytest.mark.spec("#upstream-token-verification", "#revocation-cascade")
async def test_a_waiting_chained_request_ends_when_its_upstream_token_is_revoked(world: World) -> None:
    text = world.person(SigningKey.generate())
    world.policy.decide = lambda facts: NeedApproval("the boss")
    asked = await world.ask(chained(world, text=text))
    await world.revoke(world.read(text, PersonToken).jti)
    with pytest.raises(errors.Revoked):
        await world.poll(asked)


# ---------------------------------------------------------------------- nothing but the schema


@pytest.mark.parametrize("missing", ["resource_token", "agent_token", "presented_token"])
@pytest.mark.spec("#ps-to-as-token-request")
async def test_every_required_token_is_required(world: World, missing: str) -> None:
    body = world.bundle()
    del body[missing]
    await refused(world, body, errors.InvalidRequest)


@pytest.mark.parametrize("parameter", ["resource_token", "agent_token", "presented_token"])
async def test_text_that_is_no_token_is_an_error_of_its_parameter(world: World, parameter: str) -> None:
    with pytest.raises(errors.ProblemError) as found:
        await world.ask({**world.bundle(), parameter: "eyJ.not.a-token"})
    assert found.value.code == f"invalid_{parameter}"


def test_the_kinds_of_tokens_are_told_apart_by_type() -> None:
    assert len({kind.typ for kind in (PersonToken, AuthToken, ResourceToken)}) == 3


@pytest.mark.spec("#covered-components", "#revocation-request")
@pytest.mark.parametrize("endpoint", ["auth_token", "revoke"])
async def test_a_body_that_the_signature_does_not_cover_is_refused(world: World, endpoint: str) -> None:
    body = world.bundle() if endpoint == "auth_token" else {"jti": "x", "exp": int(world.clock() + 60)}
    url = AS + ("/auth-token" if endpoint == "auth_token" else "/revocation")
    key = world.server_keys[PS]
    request = Request("POST", url, Fields({"content-type": "application/json"}), msgspec.json.encode(body))
    named = JWKSURI(PS, "aauth-person.json", key.kid)
    bare = sign(request, key, named, created=int(world.clock()), cover_body=False)
    with pytest.raises(errors.InvalidInput) as caught:
        await getattr(world.server, endpoint)(bare)
    assert {"content-digest", "content-type"} <= set(caught.value.required_input)
