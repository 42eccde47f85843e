"""What agents and agent providers try."""

from __future__ import annotations

from aauthlib.http import Response

from .deputies import Scene, attempt
from .realm import AGENT_DWK, AP, AS, CALENDAR, EVIL_AP, MAIL, PS, RELAY, VAULT, PersonToken

# ------------------------------------------------------------------------- an agent


@attempt(
    "agent",
    "agent",
    "#resource-token-verification",
    holds="a resource token for its own key, its own person token",
    tries="has another agent, whom the person granted more, redeem them",
    refused="400 invalid_resource_token",
)
async def _(s: Scene) -> Response:
    token = s.city.resource_token(s.city.read(s.mallorys[CALENDAR], PersonToken), scope=["calendar.write"])
    return await s.victim.ask_auth_token(token, s.mallorys[CALENDAR])


@attempt(
    "agent",
    "agent",
    "#sub-agents",
    holds="the agent token of an agent that is nobody's sub-agent",
    tries="asks for it as if it were its own sub-agent",
    refused="400 invalid_subagent_token",
)
async def _(s: Scene) -> Response:
    return await s.mallory.ask_person_token(CALENDAR, subagent_token=s.victim.token)


@attempt(
    "agent",
    "agent",
    "#pending-url-security",
    holds="the pending URL of another agent's request",
    tries="fetches the answer the person gave the other one",
    refused="404 not_found",
)
async def _(s: Scene) -> Response:
    other = await s.city.newcomer()
    return await s.mallory.poll(await other.ask_person_token(CALENDAR))


@attempt(
    "agent",
    "agent provider",
    "#agent-token-verification",
    holds="another agent's agent token, not its key",
    tries="asks for a sub-agent in the other's name",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.thief().call("POST", f"{AP}/subagent", {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()})


@attempt(
    "agent",
    "agent provider",
    "#person-token-not-authorization",
    holds="its person token and its auth token",
    tries="presents it where an agent token is due",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    body = {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()}
    first = await s.victim.call("POST", f"{AP}/subagent", body, shown=s.persons[CALENDAR])
    assert first.status == 401
    return await s.victim.call("POST", f"{AP}/subagent", body, shown=s.auths[CALENDAR])


@attempt(
    "agent",
    "resource",
    "#person-token-verification",
    holds="a person token for one resource",
    tries="presents it at another",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    return await s.victim.call("GET", f"{CALENDAR}/me", shown=s.persons[MAIL])


@attempt(
    "agent",
    "resource",
    "#resource-token-structure",
    holds="the resource token it was challenged with",
    tries="presents it as if it were the grant it asks for",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    token = s.city.resource_token(s.city.read(s.persons[CALENDAR], PersonToken))
    return await s.victim.call("GET", f"{CALENDAR}/events", shown=token)


@attempt(
    "agent",
    "resource",
    "#request-context-binding",
    holds="another agent's auth token, not its key",
    tries="signs with its own key",
    refused="401 invalid_signature",
)
async def _(s: Scene) -> Response:
    return await s.thief().call("GET", f"{VAULT}/read", shown=s.auths[VAULT])


@attempt(
    "agent",
    "intermediary",
    "#person-token-verification",
    holds="a person token for another resource",
    tries="has the service act downstream for that person",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    return await s.victim.call("GET", f"{RELAY}/me?to={MAIL}/me", shown=s.persons[MAIL])


@attempt(
    "agent",
    "intermediary",
    "#call-chaining",
    holds="its agent token, and no person",
    tries="has the service act downstream for nobody",
    refused="401 person-token",
)
async def _(s: Scene) -> Response:
    return await s.mallory.call("GET", f"{RELAY}/me?to={MAIL}/me")


@attempt(
    "agent",
    "person server",
    "#intermediary-agent-identity",
    holds="a person token that was issued to it for a resource",
    tries="sends it as `upstream_token`, as if it were that resource",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    return await s.victim.ask_person_token(MAIL, upstream_token=s.persons[CALENDAR])


@attempt(
    "agent",
    "person server",
    "#resource-token-verification",
    holds="its own person tokens for two resources",
    tries="redeems one resource's token with the other's person token",
    refused="400 invalid_presented_token",
)
async def _(s: Scene) -> Response:
    token = s.city.resource_token(s.city.read(s.persons[CALENDAR], PersonToken))
    return await s.victim.ask_auth_token(token, s.persons[MAIL])


@attempt(
    "agent",
    "access server",
    "#as-token-endpoint",
    holds="resource, person and agent token: all that a token request has",
    tries="asks the access server itself and leaves the person out",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    body = {
        "resource_token": s.realm.vault_resource_token(s.persons[VAULT]),
        "presented_token": s.persons[VAULT],
        "agent_token": s.victim.token,
    }
    return await s.victim.call("POST", f"{AS}/auth-token", body)


@attempt(
    "agent",
    "access server",
    "#as-token-endpoint",
    holds="the same, and a key that it publishes as a provider's",
    tries="signs as a server of another role",
    refused="403 access_denied",
)
async def _(s: Scene) -> Response:
    return await s.realm.federated(s.victim, s.persons[VAULT], ps=EVIL_AP, dwk=AGENT_DWK)


# ------------------------------------------------------------------------- an agent provider


@attempt(
    "agent provider",
    "agent",
    "#agent-token-verification",
    holds="its own signing key",
    tries="gives the agent a token that names an agent of another provider",
    refused="EnrolmentFailed",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("agent_token", AP, sub="aauth:x@evil-agents.example")):
        agent.context.credentials.own = None
        await agent.get(f"{CALENDAR}/agent")
    raise AssertionError("the agent took it")


@attempt(
    "agent provider",
    "agent",
    "#agent-token-verification",
    holds="its own signing key, and a key of the attacker's",
    tries="gives the agent a token that is bound to that key",
    refused="EnrolmentFailed",
)
async def _(s: Scene) -> Response:
    agent = await s.city.whole_agent()
    with s.realm.turned(s.realm.resigned("agent_token", AP, cnf={"jwk": s.city.thief.public.to_jwk()})):
        agent.context.credentials.own = None
        await agent.get(f"{CALENDAR}/agent")
    raise AssertionError("the agent took it")


@attempt(
    "agent provider",
    "agent provider",
    "#agent-token-verification",
    holds="an agent of its own",
    tries="has the other provider make it a sub-agent",
    refused="401 unknown_key",
)
async def _(s: Scene) -> Response:
    own = s.city.evil_agent()
    return await own.call("POST", f"{AP}/subagent", {"discriminator": "x", "jwk": s.city.thief.public.to_jwk()})


@attempt(
    "agent provider",
    "agent provider",
    "#two-key-refresh",
    holds="its own name and key",
    tries="refreshes an agent of the other as a server",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(EVIL_AP, AGENT_DWK, "POST", f"{AP}/refresh", {}))


@attempt(
    "agent provider",
    "resource",
    "#agent-identifiers",
    holds="its own signing key",
    tries="names an agent of another provider",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    agent = s.realm.agent(EVIL_AP, s.sub_of(s.victim))
    return await agent.call("GET", f"{CALENDAR}/agent")


@attempt(
    "agent provider",
    "resource",
    "#person-token-verification",
    holds="its own signing key",
    tries="vouches for a person by its own metadata document",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    mallory = s.city.evil_agent()
    token = s.city.forged(
        s.persons[CALENDAR], s.city.evil, header={"kid": s.city.evil.kid}, iss=EVIL_AP, dwk=AGENT_DWK,
        cnf={"jwk": mallory.key.public.to_jwk()},
    )  # fmt: skip
    return await mallory.call("GET", f"{CALENDAR}/me", shown=token)


@attempt(
    "agent provider",
    "resource",
    "#requirement-person-token",
    holds="its own name and key",
    tries="calls as a server where a person is due",
    refused="401 person-token",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(EVIL_AP, AGENT_DWK, "GET", f"{CALENDAR}/me"))


@attempt(
    "agent provider",
    "intermediary",
    "#agent-identifiers",
    holds="its own signing key",
    tries="issues itself the service's agent identifier and calls the service",
    refused="401 invalid_jwt",
)
async def _(s: Scene) -> Response:
    return await s.realm.agent(EVIL_AP, "aauth:service@relay.example").call("GET", f"{RELAY}/agent")


@attempt(
    "agent provider",
    "person server",
    "#intermediary-agent-identity",
    holds="an agent of its own, and a person token that the service was shown",
    tries="sends that as `upstream_token` by an agent of a local part like the service's",
    refused="400 invalid_upstream_token",
)
async def _(s: Scene) -> Response:
    agent = s.realm.agent(EVIL_AP, "aauth:service@evil-agents.example", ps=PS)
    return await agent.ask_person_token(MAIL, upstream_token=s.persons[RELAY])


@attempt(
    "agent provider",
    "person server",
    "#agent-person-binding",
    holds="an agent of its own with the same local part as one the person connected",
    tries="uses the person's connection and what they remembered",
    refused="202 interaction",
)
async def _(s: Scene) -> Response:
    local = s.sub_of(s.victim).removeprefix("aauth:").partition("@")[0]
    agent = s.realm.agent(EVIL_AP, f"aauth:{local}@evil-agents.example", ps=PS)
    return await agent.ask_person_token(CALENDAR)


@attempt(
    "agent provider",
    "person server",
    "#person-token-endpoint",
    holds="its own name and key",
    tries="asks as a server for a person of its agents",
    refused="401 unsupported_scheme",
)
async def _(s: Scene) -> Response:
    return await s.realm.send(s.realm.as_server(AP, AGENT_DWK, "POST", f"{PS}/person-token", {"resource": CALENDAR}))


@attempt(
    "agent provider",
    "access server",
    "#ps-to-as-token-request",
    holds="its own signing key",
    tries="names another provider's agent in the `agent_token` of the request",
    refused="400 invalid_agent_token",
)
async def _(s: Scene) -> Response:
    named = s.realm.agent(EVIL_AP, s.sub_of(s.victim), key=s.victim.key)
    return await s.realm.federated(s.victim, s.persons[VAULT], agent_token=named.token)
