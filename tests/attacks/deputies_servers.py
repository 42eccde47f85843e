"""What person servers and access servers try."""

from __future__ import annotations

from aauthlib.http import Response

from .deputies import Scene, attempt
from .realm import (
    ACCESS_DWK,
    AP,
    AS,
    CALENDAR,
    EVIL_AS,
    EVIL_PS,
    MAIL,
    PERSON_DWK,
    PS,
    RELAY,
    VAULT,
    PersonToken,
)

# ------------------------------------------------------------------------- a person server


@attempt(
    "person server",
    "agent",
    "#auth-token-response-verification",
    holds="its own signing key",
    tries="answers with an auth token for another resource",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("auth_token", PS, aud=MAIL)):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent took it")


@attempt(
    "person server",
    "agent",
    "#auth-token-response-verification",
    holds="its own signing key, and the identifier of another person",
    tries="answers with an auth token of that person",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("auth_token", PS, sub="somebody-else")):
        await agent.get(f"{CALENDAR}/events")
    raise AssertionError("the agent took it")


@attempt(
    "person server",
    "agent",
    "#person-token-endpoint",
    holds="its own signing key",
    tries="answers with a person token of another person server's people",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("person_token", PS, iss=EVIL_PS)):
        await agent.get(f"{CALENDAR}/me")
    raise AssertionError("the agent took it")


@attempt(
    "person server",
    "agent provider",
    "#agent-token-verification",
    holds="the agent token an agent called with",
    tries="asks for a sub-agent of that agent",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    body = {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()}
    return await s.realm.send(s.city.signed("POST", f"{AP}/subagent", s.realm.key_of(PS), s.victim.token, body=body))


@attempt(
    "person server",
    "agent provider",
    "#two-key-refresh",
    holds="its own name and key",
    tries="refreshes an agent as a server",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(PS, PERSON_DWK, "POST", f"{AP}/refresh", {}))


@attempt(
    "person server",
    "resource",
    "#jwt-trust-verification",
    holds="its own signing key",
    tries="grants by itself what an access server decides",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    token = s.realm.auth(PS, PERSON_DWK, s.victim, aud=VAULT, scope=["vault.read"])
    return await s.victim.call("GET", f"{VAULT}/read", shown=token)


@attempt(
    "person server",
    "resource",
    "#request-context-binding",
    holds="a person token that it issued to an agent",
    tries="calls with it under its own key",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.city.signed("GET", f"{CALENDAR}/me", s.realm.key_of(PS), s.persons[CALENDAR]))


@attempt(
    "person server",
    "resource",
    "#requirement-person-token",
    holds="its own name and key",
    tries="calls as a server for a person of its own",
    refused="401 person-token",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(PS, PERSON_DWK, "GET", f"{CALENDAR}/me"))


@attempt(
    "person server",
    "intermediary",
    "#request-context-binding",
    holds="the upstream token that the service sent it",
    tries="has the service act once more on it",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    url = f"{RELAY}/me?to={MAIL}/me"
    return await s.realm.send(s.city.signed("GET", url, s.realm.key_of(PS), s.persons[RELAY]))


@attempt(
    "person server",
    "person server",
    "#agent-tokens",
    holds="an agent of its own people",
    tries="has it served by the other, though its token names this one",
    refused="400 invalid_request",
)
async def _(s: Scene) -> Response:
    agent = s.realm.agent(AP, "aauth:other@agents.example", ps=EVIL_PS)
    return await agent.ask_person_token(CALENDAR)


@attempt(
    "person server",
    "person server",
    "#upstream-token-verification",
    holds="its own signing key, and a service that asks",
    tries="vouches for the other's person in an `upstream_token`",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    sub = s.city.read(s.persons[RELAY], PersonToken).sub
    token = s.realm.person(EVIL_PS, s.victim, aud=RELAY, sub=sub)
    return await s.realm.service().ask_person_token(MAIL, upstream_token=token)


@attempt(
    "person server",
    "person server",
    "#resource-token-verification",
    holds="its own signing key, and a resource that names whom it likes",
    tries="vouches for the other's person in a presented token",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    token = s.realm.person(EVIL_PS, s.victim, sub=s.city.read(s.persons[CALENDAR], PersonToken).sub)
    asked = s.city.resource_token(s.city.read(token, PersonToken))
    asked = s.city.forged(asked, s.realm.key_of(CALENDAR), aud=PS, ps=PS)
    return await s.victim.ask_auth_token(asked, token)


@attempt(
    "person server",
    "person server",
    "#person-token-endpoint",
    holds="its own name and key",
    tries="asks as a server",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(
        s.realm.as_server(EVIL_PS, PERSON_DWK, "POST", f"{PS}/person-token", {"resource": CALENDAR})
    )


@attempt(
    "person server",
    "access server",
    "#resource-token-verification",
    holds="a resource token that names another person server",
    tries="has it granted to itself",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=EVIL_PS)


@attempt(
    "person server",
    "access server",
    "#resource-token-verification",
    holds="its own signing key, an agent that names it, a resource that was shown its token",
    tries="uses the other person server's person by the same `sub`, with the other's person token",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    own = s.realm.person(EVIL_PS, s.victim, aud=VAULT, sub=s.city.read(s.persons[VAULT], PersonToken).sub)
    token = s.realm.vault_resource_token(own)
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=EVIL_PS, resource_token=token)


@attempt(
    "person server",
    "access server",
    "#ps-to-as-token-request",
    holds="the agent token of an agent of another person server, seen at a resource",
    tries="asks for that agent",
    refused="400 invalid_agent_token",
)
async def _(s: Scene) -> Response:
    own = s.realm.person(EVIL_PS, s.victim, aud=VAULT)
    token = s.realm.vault_resource_token(own)
    return await s.realm.federated(s.victim, own, ps=EVIL_PS, resource_token=token)


# ------------------------------------------------------------------------- an access server


def _delivering(s: Scene, **claims: object):  # type: ignore[no-untyped-def]
    return s.realm.resigned("auth_token", AS, **claims)


@attempt(
    "access server",
    "agent",
    "#auth-token-response-verification",
    holds="its own signing key, and a person server that does not look",
    tries="delivers an auth token of another person",
    refused="ChallengeInvalid",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("auth_token", AS, at=PS, sub="somebody-else")):
        await agent.get(f"{VAULT}/read")
    raise AssertionError("the agent took it")


@attempt(
    "access server",
    "agent provider",
    "#agent-token-verification",
    holds="the agent token that came with a token request",
    tries="asks for a sub-agent of that agent",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    body = {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()}
    return await s.realm.send(s.city.signed("POST", f"{AP}/subagent", s.realm.key_of(AS), s.victim.token, body=body))


@attempt(
    "access server",
    "resource",
    "#jwt-trust-verification",
    holds="its own signing key",
    tries="grants access to a resource that has no access server",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    token = s.realm.auth(AS, ACCESS_DWK, s.victim)
    return await s.victim.call("GET", f"{CALENDAR}/events", shown=token)


@attempt(
    "access server",
    "resource",
    "#jwt-trust-verification",
    holds="its own signing key",
    tries="grants access to a resource of another access server",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    token = s.realm.auth(EVIL_AS, ACCESS_DWK, s.victim, aud=VAULT, scope=["vault.read"])
    return await s.victim.call("GET", f"{VAULT}/read", shown=token)


@attempt(
    "access server",
    "resource",
    "#request-context-binding",
    holds="the person token that came with a token request",
    tries="calls with it under its own key",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.city.signed("GET", f"{VAULT}/me", s.realm.key_of(AS), s.persons[VAULT]))


@attempt(
    "access server",
    "intermediary",
    "#jwt-trust-verification",
    holds="its own signing key, and the upstream token of a token request",
    tries="has the service act downstream on a grant of its own",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    token = s.realm.auth(AS, ACCESS_DWK, s.victim, aud=RELAY, scope=["relay.read"])
    return await s.victim.call("GET", f"{RELAY}/read?to={MAIL}/me", shown=token)


for _what, _claims in (
    ("for another resource", {"aud": MAIL}),
    ("of another person", {"sub": "somebody-else"}),
    ("of another person server's people", {"ps": EVIL_PS}),
    ("of another issuer's", {"iss": EVIL_AS}),
):

    @attempt(
        "access server",
        "person server",
        "#auth-token-delivery",
        holds="its own signing key",
        tries=f"delivers an auth token {_what}",
        refused="502 as_unreachable",
    )
    async def _(s: Scene, claims: dict[str, str] = _claims) -> Response:
        with s.realm.turned(_delivering(s, **claims)):
            return await s.realm.vault_token(s.victim, s.persons[VAULT])


@attempt(
    "access server",
    "person server",
    "#auth-token-delivery",
    holds="its own signing key and another's key",
    tries="delivers an auth token that is bound to that key",
    refused="502 as_unreachable",
)
async def _(s: Scene) -> Response:
    with s.realm.turned(_delivering(s, cnf={"jwk": s.city.thief.public.to_jwk()})):
        return await s.realm.vault_token(s.victim, s.persons[VAULT])


@attempt(
    "access server",
    "person server",
    "#upstream-token-verification",
    holds="its own signing key, and the identifier of a person from a token request",
    tries="vouches for that person to a service that asks the person server",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    sub = s.city.read(s.persons[RELAY], PersonToken).sub
    token = s.realm.auth(AS, ACCESS_DWK, s.victim, aud=RELAY, sub=sub)
    return await s.realm.service().ask_person_token(MAIL, upstream_token=token)


@attempt(
    "access server",
    "access server",
    "#as-token-endpoint",
    holds="a token request that was sent to it, whole",
    tries="sends it on to another access server as itself",
    refused="403 access_denied",
)
async def _(s: Scene) -> Response:
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=EVIL_AS, dwk=ACCESS_DWK)


@attempt(
    "access server",
    "access server",
    "#resource-token-verification",
    holds="a resource token that is addressed to it",
    tries="has a person server take it to another access server",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    token = s.realm.vault_resource_token(s.persons[VAULT], access_server=EVIL_AS)
    return await s.realm.federated(s.victim, s.persons[VAULT], resource_token=token)


@attempt(
    "access server",
    "access server",
    "#resource-token-verification",
    holds="its own signing key",
    tries="has an auth token of its own count as the one presented to the other's resource",
    refused="400 invalid_presented_token",
)
async def _(s: Scene) -> Response:
    presented = s.city.read(s.persons[VAULT], PersonToken)
    token = s.realm.auth(EVIL_AS, ACCESS_DWK, s.victim, aud=VAULT, sub=presented.sub)
    return await s.realm.federated(s.victim, token, resource_token=s.realm.vault_resource_token(token))
