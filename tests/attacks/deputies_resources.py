"""What resources and intermediaries try."""

from __future__ import annotations

import msgspec

from aauthlib.http import Fields, Request, Response
from aauthlib.messages.requirement import Requirement

from .deputies import Scene, attempt
from .realm import (
    AGENT_DWK,
    AP,
    AS,
    CALENDAR,
    EVIL_PS,
    EVIL_RELAY,
    MAIL,
    PS,
    RELAY,
    RESOURCE_DWK,
    VAULT,
    PersonToken,
)

# ------------------------------------------------------------------------- a resource


def _challenging(s: Scene, *, signer: str = CALENDAR, **claims: object):  # type: ignore[no-untyped-def]
    """The calendar's challenges, with other claims in the resource token, signed by `signer`."""
    key = s.realm.key_of(signer)

    def tamper(request: Request, response: Response) -> Response | None:
        header = response.headers.get("aauth-requirement")
        if request.origin != CALENDAR or header is None or "resource-token" not in header:
            return None
        token = Requirement.parse(header).resource_token or ""
        changed = s.city.forged(token, key, header={"kid": key.kid}, **claims)
        return Response(
            response.status, Fields({"aauth-requirement": f'requirement=auth-token;resource-token="{changed}"'})
        )

    return tamper


@attempt(
    "resource",
    "agent",
    "#resource-challenge-verification",
    holds="a resource token that another resource issued for this agent",
    tries="challenges the agent with it",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(_challenging(s, signer=MAIL, iss=MAIL)):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent redeemed it")


@attempt(
    "resource",
    "agent",
    "#resource-challenge-verification",
    holds="the key thumbprint of another agent",
    tries="has the agent redeem a resource token that is for the other",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(_challenging(s, agent_jkt=s.mallory.key.public.thumbprint)):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent redeemed it")


@attempt(
    "resource",
    "agent",
    "#resource-challenge-verification",
    holds="the identifier of another person at this resource",
    tries="has the agent ask for a grant by that person",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(_challenging(s, sub="somebody-else")):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent redeemed it")


@attempt(
    "resource",
    "agent",
    "#resource-challenge-verification",
    holds="a person server of the attacker's",
    tries="has the agent take the resource token to that person server",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(_challenging(s, aud=EVIL_PS, ps=EVIL_PS)):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent redeemed it")


@attempt(
    "resource",
    "agent provider",
    "#agent-token-verification",
    holds="the agent token an agent called with",
    tries="asks for a sub-agent of that agent",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    body = {"discriminator": "x", "jwk": s.city.evil.public.to_jwk()}
    return await s.realm.send(
        s.city.signed("POST", f"{AP}/subagent", s.realm.key_of(CALENDAR), s.victim.token, body=body)
    )


@attempt(
    "resource",
    "agent provider",
    "#two-key-refresh",
    holds="its own name and key",
    tries="signs as a resource",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(CALENDAR, RESOURCE_DWK, "POST", f"{AP}/refresh", {}))


@attempt(
    "resource",
    "resource",
    "#request-context-binding",
    holds="the person or auth token an agent presented to it, with the request",
    tries="sends the request on to another resource",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    request = s.city.signed("GET", f"{CALENDAR}/events", s.victim.key, s.auths[CALENDAR])
    return await s.city.send(request, at=MAIL)


@attempt(
    "resource",
    "resource",
    "#verification",
    holds="the person token an agent presented to it",
    tries="presents it at another resource under its own key",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.city.signed("GET", f"{MAIL}/me", s.realm.key_of(CALENDAR), s.persons[CALENDAR]))


@attempt(
    "resource",
    "intermediary",
    "#verification",
    holds="the person token an agent presented to it",
    tries="has the service act for that person",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    url = f"{RELAY}/me?to={MAIL}/me"
    return await s.realm.send(s.city.signed("GET", url, s.realm.key_of(CALENDAR), s.persons[CALENDAR]))


@attempt(
    "resource",
    "person server",
    "#upstream-token-verification",
    holds="a person token that another resource was shown",
    tries="sends it as `upstream_token` under an agent token of its own",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    own = s.realm.agent(EVIL_RELAY, "aauth:service@evil-relay.example")
    return await own.ask_person_token(MAIL, upstream_token=s.persons[RELAY])


@attempt(
    "resource",
    "person server",
    "#resource-token-verification",
    holds="the tokens of an agent that called, and its own key",
    tries="redeems its own resource token without the agent",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    body = {
        "resource_token": s.city.resource_token(s.city.read(s.persons[CALENDAR], PersonToken)),
        "presented_token": s.persons[CALENDAR],
    }
    return await s.realm.send(
        s.city.signed("POST", f"{PS}/auth-token", s.realm.key_of(CALENDAR), s.victim.token, body=body)
    )


@attempt(
    "resource",
    "person server",
    "#person-token-endpoint",
    holds="its own name and key",
    tries="asks for a person as a resource",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(
        s.realm.as_server(CALENDAR, RESOURCE_DWK, "POST", f"{PS}/person-token", {"resource": MAIL})
    )


@attempt(
    "resource",
    "access server",
    "#as-token-endpoint",
    holds="everything a token request has, and its own name",
    tries="asks its access server itself, without a person server",
    refused="403 access_denied",
)
async def _(s: Scene) -> Response:
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=VAULT, dwk=RESOURCE_DWK)


@attempt(
    "resource",
    "access server",
    "#resource-token-verification",
    holds="a person token that was presented to the access server's resource",
    tries="issues a resource token in that resource's name",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    token = s.realm.vault_resource_token(s.persons[VAULT], key=s.realm.key_of(MAIL))
    return await s.realm.federated(s.victim, s.persons[VAULT], resource_token=token)


@attempt(
    "resource",
    "access server",
    "#resource-token-verification",
    holds="a person token for itself",
    tries="issues its own resource token and has another resource's person token go along",
    refused="400 invalid_presented_token",
)
async def _(s: Scene) -> Response:
    own = s.city.resource_token(s.city.read(s.persons[MAIL], PersonToken), issuer=MAIL, access_server=AS)
    return await s.realm.federated(s.victim, s.persons[VAULT], resource_token=own)


# ------------------------------------------------------------------------- an intermediary


@attempt(
    "intermediary",
    "agent",
    "#pending-response",
    holds="the caller's request, which it may answer with `202`",
    tries="has the caller poll, and so sign for, a URL elsewhere",
    refused="AAuthError",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    await agent.person_token(RELAY)

    def tamper(request: Request, response: Response) -> Response | None:
        if request.origin != RELAY:
            return None
        fields = {"location": f"{MAIL}/me", "cache-control": "no-store", "retry-after": "0"}
        return Response(202, Fields(fields), msgspec.json.encode({"status": "pending"}))

    with s.realm.turned(tamper):
        await agent.get(f"{RELAY}/me")
    raise AssertionError("the agent polled it")


@attempt(
    "intermediary",
    "agent",
    "#resource-challenge-verification",
    holds="the resource token it was challenged with downstream",
    tries="challenges its caller with it",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    await agent.person_token(RELAY)
    below = s.city.resource_token(s.city.read(s.persons[CALENDAR], PersonToken))

    def tamper(request: Request, response: Response) -> Response | None:
        if request.origin != RELAY:
            return None
        return Response(401, Fields({"aauth-requirement": f'requirement=auth-token;resource-token="{below}"'}))

    with s.realm.turned(tamper):
        await agent.get(f"{RELAY}/me")
    raise AssertionError("the agent redeemed it")


@attempt(
    "intermediary",
    "agent provider",
    "#agent-token-verification",
    holds="an agent token that it issued to itself",
    tries="has an agent provider make it a sub-agent",
    refused="401 unknown_key",
)
async def _(s: Scene) -> Response:
    body = {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()}
    return await s.realm.service().call("POST", f"{AP}/subagent", body)


@attempt(
    "intermediary",
    "resource",
    "#call-chaining",
    holds="its caller's token",
    tries="presents it downstream as its own",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.realm.service().call("GET", f"{MAIL}/me", shown=s.persons[RELAY])


@attempt(
    "intermediary",
    "resource",
    "#call-chaining",
    holds="its own agent token",
    tries="calls downstream without the person it acts for",
    refused="401 person-token",
)
async def _(s: Scene) -> Response:
    return await s.realm.service().call("GET", f"{MAIL}/me")


@attempt(
    "intermediary",
    "intermediary",
    "#person-token-verification",
    holds="its caller's token",
    tries="has another service act on it",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    own = s.realm.agent(EVIL_RELAY, "aauth:service@evil-relay.example")
    token = s.realm.person(PS, own, aud=EVIL_RELAY, key=s.realm.key_of(PS))
    return await own.call("GET", f"{RELAY}/me?to={MAIL}/me", shown=token)


@attempt(
    "intermediary",
    "person server",
    "#upstream-token-verification",
    holds="a token of a caller of another service",
    tries="acts downstream for that caller's person",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    return await s.realm.service().ask_person_token(MAIL, upstream_token=s.persons[CALENDAR])


@attempt(
    "intermediary",
    "person server",
    "#call-chaining",
    holds="a person token that it only challenged: the request was never served",
    tries="acts downstream on it all the same; the person is asked, and told who asks and for whom",
    refused="202 interaction",
)
async def _(s: Scene) -> Response:
    fresh = await s.city.newcomer()
    token = await fresh.person_token(RELAY)
    challenged = await fresh.call("GET", f"{RELAY}/read", shown=token)
    assert (challenged.status, challenged.headers.get("aauth-requirement") is not None) == (401, True)
    return await s.realm.service().ask_person_token(VAULT, upstream_token=token)


@attempt(
    "intermediary",
    "person server",
    "#resource-token-verification",
    holds="its caller's token, and the resource token of a call downstream",
    tries="redeems it with the caller's token as the one presented",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    token = s.city.resource_token(s.city.read(s.mallorys[MAIL], PersonToken), issuer=MAIL)
    return await s.realm.service().ask_auth_token(token, s.mallorys[MAIL], upstream_token=s.persons[RELAY])


@attempt(
    "intermediary",
    "access server",
    "#as-token-endpoint",
    holds="everything a token request has, and its own name as an agent provider",
    tries="asks the access server itself",
    refused="403 access_denied",
)
async def _(s: Scene) -> Response:
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=RELAY, dwk=AGENT_DWK)


@attempt(
    "intermediary",
    "access server",
    "#upstream-token-verification",
    holds="a caller's token of another service",
    tries="has it go along as `upstream_token`",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    service = s.realm.service()
    presented = s.realm.person(PS, service, aud=VAULT, sub=s.city.read(s.persons[VAULT], PersonToken).sub)
    return await s.realm.federated(service, presented, upstream_token=s.persons[CALENDAR])
