"""The challenge loop against honest servers: every rung of the ladder, and what is remembered on the way up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aauthlib.agent import AgentContext, ChallengeUnmet, GrantPreferences, NoProgress
from aauthlib.deferred.polling import UnsupportedRequirement
from aauthlib.errors import Denied, ServerError, UserUnreachable
from aauthlib.http import Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.verification import Caller, Level
from tests.agent.world import (
    PS,
    RESOURCE,
    PersonServer,
    Resource,
    World,
    claims_of,
    make_agent,
    ok,
    problem,
    requires,
)

Fetch = Callable[..., Response]


def needs_person(request: Request, caller: Caller) -> Response:
    return ok() if caller.level >= Level.PERSON else requires("person-token")


def needs_grant(resource: Resource, scope: str = "calendar.read") -> Callable[[Request, Caller], Response]:
    """A route that wants `scope`."""

    def respond(request: Request, caller: Caller) -> Response:
        if caller.auth_token is not None and set(scope.split()) <= set(caller.auth_token.scope or ()):
            return ok()
        return resource.challenge(caller, scope) if caller.presented else requires("person-token")

    return respond


# --------------------------------------------------------------------------- signing


@pytest.mark.spec("#signing-agent", "#agent-token-usage")
def test_a_request_is_signed_with_the_agent_token(resource: Resource, fetch: Fetch) -> None:
    assert fetch().status == 200
    (caller,) = resource.callers
    assert caller.agent_token is not None and caller.agent_token.sub == "aauth:assistant@agent.example"


@pytest.mark.spec("#aauth-capabilities")
def test_capabilities_are_said_to_resources_and_not_in_a_header_to_the_person_server(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    fetch()
    assert all(request.headers.get("aauth-capabilities") == "interaction" for request in world.sent_to(RESOURCE))
    (request,) = world.sent_to(PS)
    assert "aauth-capabilities" not in request.headers
    assert ps.bodies[0][1]["capabilities"] == ["interaction"]


@pytest.mark.spec("#aauth-capabilities", "#auth-token-request")
def test_an_agent_alone_says_that_it_can_do_nothing(
    agent: AgentContext, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    agent.capabilities = ()
    fetch()
    assert ps.bodies[0][1]["capabilities"] == [], "silence would mean those at the mission's approval"


@pytest.mark.spec("#covered-components")
def test_a_body_to_a_resource_is_covered_and_sent_again_unchanged_on_a_retry(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    resource.policy = {"cover_body": True}
    assert fetch(method="POST", body=b'{"a":1}', headers={"content-type": "application/json"}).status == 200
    assert [request.body for request in world.sent_to(RESOURCE)] == [b'{"a":1}', b'{"a":1}']


@pytest.mark.spec("#covered-components")
def test_a_body_without_a_declared_type_is_covered_too(world: World, resource: Resource, fetch: Fetch) -> None:
    resource.policy = {"cover_body": True}
    assert fetch(method="PUT", body=b"x").status == 200


@pytest.mark.spec("#requirement-values")
@pytest.mark.parametrize("status", [301, 307, 403, 404, 500, 503])
def test_an_answer_the_protocol_has_no_use_for_is_returned_as_it_is(
    world: World, resource: Resource, fetch: Fetch, status: int
) -> None:
    resource.respond = lambda request, caller: Response(status)
    assert fetch().status == status
    assert len(world.sent) == 1


@pytest.mark.spec("#requirement-values")
def test_a_plain_401_is_returned_as_it_is(world: World, resource: Resource, fetch: Fetch) -> None:
    resource.respond = lambda request, caller: Response(401)
    assert fetch().status == 401
    assert len(world.sent) == 1


@pytest.mark.spec("#pending-response")
def test_an_ordinary_202_of_an_api_is_returned_as_it_is(world: World, resource: Resource, fetch: Fetch) -> None:
    resource.respond = lambda request, caller: json_response(202, {"job": 7}, headers=[("location", "/jobs/7")])
    assert fetch().status == 202
    assert len(world.sent) == 1


# --------------------------------------------------------------------------- lower rungs


@pytest.mark.spec("#scheme-rejection")
def test_an_anonymous_agent_signs_with_a_pseudonym_when_it_meets_a_rate_limit(
    world: World, resource: Resource, agent_key: SigningKey, fetch: Fetch
) -> None:
    anonymous = make_agent(world, agent_key, opening=Level.ANONYMOUS)
    resource.respond = lambda request, caller: (
        ok()
        if caller.level >= Level.PSEUDONYM
        else problem(429, "rate_limited", retry_after="30", accept_signature_scheme="hwk, jkt-jwt, jwt")
    )
    assert fetch(by=anonymous).status == 200
    assert resource.levels == [Level.ANONYMOUS, Level.PSEUDONYM]
    assert world.slept == []
    # The rung is remembered for the next request.
    fetch(by=anonymous)
    assert resource.levels[2:] == [Level.PSEUDONYM]


@pytest.mark.spec("#scheme-rejection")
def test_a_signed_request_that_is_rate_limited_is_returned_with_its_retry_after(
    resource: Resource, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: problem(
        429, "rate_limited", retry_after="30", accept_signature_scheme="hwk, jwt"
    )
    response = fetch()
    assert (response.status, response.headers.get("retry-after")) == (429, "30")
    assert len(resource.callers) == 1


@pytest.mark.spec("#requirement-values")
def test_a_pseudonym_is_another_key_for_every_resource_and_never_the_agent_key(
    world: World, agent_key: SigningKey, fetch: Fetch
) -> None:
    resources = [Resource(world, issuer) for issuer in ("https://one.example", "https://two.example")]
    anonymous = make_agent(world, agent_key, opening=Level.ANONYMOUS)
    for resource in resources:
        resource.respond = lambda request, caller: ok() if caller.level else requires("pseudonym")
        fetch(resource.issuer + "/", by=anonymous)
        fetch(resource.issuer + "/", by=anonymous)
    pseudonyms = [[caller.pseudonym for caller in resource.callers if caller.level] for resource in resources]
    assert len(set(pseudonyms[0])) == len(set(pseudonyms[1])) == 1
    assert len({pseudonyms[0][0], pseudonyms[1][0], agent_key.thumbprint}) == 3


@pytest.mark.spec("#requirement-agent-token")
def test_an_agent_token_is_presented_when_a_resource_asks_a_pseudonym_for_it(
    world: World, resource: Resource, agent_key: SigningKey, fetch: Fetch
) -> None:
    pseudonymous = make_agent(world, agent_key, opening=Level.PSEUDONYM)
    resource.respond = lambda request, caller: ok() if caller.agent_token else requires("agent-token")
    assert fetch(by=pseudonymous).status == 200
    assert resource.levels == [Level.PSEUDONYM, Level.IDENTIFIED]


@pytest.mark.spec("#requirement-agent-token")
def test_an_agent_token_is_presented_instead_of_a_person_token_when_it_is_what_a_route_wants(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    fetch()
    resource.respond = lambda request, caller: ok() if caller.agent_token else requires("agent-token")
    assert fetch().status == 200


@pytest.mark.spec("#requirement-agent-token")
def test_a_resource_that_asks_for_the_agent_token_it_was_just_shown_ends_the_exchange(
    resource: Resource, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: requires("agent-token")
    with pytest.raises(NoProgress, match=r"asks for agent-token, this agent presented its agent token"):
        fetch()
    assert len(resource.callers) == 1


# --------------------------------------------------------------------------- person tokens


@pytest.mark.spec("#requirement-person-token", "#person-token-endpoint")
def test_a_person_token_is_obtained_presented_and_kept(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    assert fetch().status == 200
    assert resource.levels == [Level.IDENTIFIED, Level.PERSON]
    assert fetch().status == 200
    assert resource.levels[2:] == [Level.PERSON]
    assert ps.bodies == [("/person", {"resource": RESOURCE, "capabilities": ["interaction"]})]


@pytest.mark.spec("#person-token-endpoint")
def test_what_the_agent_says_of_itself_goes_to_the_person_server(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_grant(resource)
    wishes = GrantPreferences(
        justification="Find a **free** slot.", platform="desktop", device="Laptop", tenant="acme", prompt="consent"
    )
    fetch(preferences=wishes)
    for _, body in ps.bodies:
        said = {name: body[name] for name in ("justification", "platform", "device", "tenant", "prompt")}
        assert said == {
            "justification": "Find a **free** slot.",
            "platform": "desktop",
            "device": "Laptop",
            "tenant": "acme",
            "prompt": "consent",
        }


@pytest.mark.spec("#person-token-endpoint")
def test_person_tokens_are_kept_per_resource_and_mission(world: World, ps: PersonServer, fetch: Fetch) -> None:
    one, two = Resource(world, "https://one.example"), Resource(world, "https://two.example")
    one.respond = two.respond = needs_person
    mission = GrantPreferences(mission_s256="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    for _ in range(2):
        fetch(one.issuer + "/")
        fetch(two.issuer + "/")
        fetch(one.issuer + "/", preferences=mission)
    asked = [(body["resource"], body.get("mission_s256")) for _, body in ps.bodies]
    assert asked == [(one.issuer, None), (two.issuer, None), (one.issuer, mission.mission_s256)]


@pytest.mark.spec("#requirement-person-token")
def test_an_agent_without_a_person_server_says_what_it_lacks_and_what_to_do(
    world: World, resource: Resource, agent: AgentContext, agent_key: SigningKey, fetch: Fetch
) -> None:
    resource.respond = needs_person
    with pytest.raises(ChallengeUnmet, match=r"can give a person token.*has none.*aauth init --ps"):
        fetch(by=make_agent(world, agent_key, ps=None))


@pytest.mark.spec("#requirement-person-token")
def test_a_kept_person_token_that_is_refused_is_replaced_once(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    fetch()
    # The resource lost its memory: the token it knew is not enough any more.
    resource.respond = lambda request, caller: (
        ok() if caller.person_token and caller.person_token.jti == "pt2" else requires("person-token")
    )
    assert fetch().status == 200
    resource.respond = lambda request, caller: requires("person-token")
    with pytest.raises(NoProgress, match=r"asks for person-token, this agent presented a person token"):
        fetch()


@pytest.mark.spec("#token-endpoint-error-codes")
def test_a_refusal_of_the_person_server_reaches_the_application_as_what_it_is(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    ps.refuse = lambda path, body: problem(403, "user_unreachable")
    with pytest.raises(UserUnreachable):
        fetch()
    ps.refuse = lambda path, body: problem(500, "server_error")
    with pytest.raises(ServerError):
        fetch()


@pytest.mark.spec("#deferred-response-state-machine")
def test_a_person_server_that_is_busy_is_asked_again_when_it_said(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    busy = [problem(503, "temporarily_unavailable", retry_after="7")] * 2
    ps.refuse = lambda path, body: busy.pop() if busy else None
    assert fetch().status == 200
    assert world.slept == [7.0, 7.0]


# --------------------------------------------------------------------------- auth tokens


@pytest.mark.spec("#requirement-auth-token", "#auth-token-usage")
def test_a_challenge_is_redeemed_and_the_auth_token_presented_from_then_on(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_grant(resource)
    assert fetch().status == 200
    assert resource.levels == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]
    assert fetch().status == 200
    assert resource.levels[3:] == [Level.AUTHORIZED]
    assert [path for path, _ in ps.bodies] == ["/person", "/token"]


@pytest.mark.spec("#auth-token-request")
def test_the_presented_token_is_the_one_the_resource_saw(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = needs_grant(resource)
    fetch()
    body = ps.bodies[1][1]
    assert claims_of(body["presented_token"])["jti"] == claims_of(body["resource_token"])["presented_jti"] == "pt1"


@pytest.mark.spec("#requirement-auth-token")
def test_a_step_up_presents_the_auth_token(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = needs_grant(resource)
    fetch()
    resource.respond = needs_grant(resource, "calendar.read calendar.write")
    assert fetch(method="POST", body=b"{}").status == 200
    assert resource.levels[3:] == [Level.AUTHORIZED, Level.AUTHORIZED]
    assert claims_of(ps.bodies[2][1]["presented_token"])["jti"] == "at2"


@pytest.mark.spec("#resource-token-structure")
def test_a_login_hint_of_the_resource_is_passed_on_unchanged(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: (
        ok()
        if caller.auth_token
        else resource.challenge(caller, login_hint="Ada <ada@example.org>")
        if caller.presented
        else requires("person-token")
    )
    fetch(preferences=GrantPreferences(login_hint="somebody else"))
    assert ps.bodies[0][1]["login_hint"] == "somebody else"
    assert ps.bodies[1][1]["login_hint"] == "Ada <ada@example.org>"


@pytest.mark.spec("#access-server-federation")
def test_an_auth_token_of_the_access_server_is_accepted(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    access, key = "https://as.example", ps.key
    world.publish(access, key)
    ps.auth_claims = {"iss": access, "dwk": "aauth-access.json"}
    resource.respond = lambda request, caller: (
        ok()
        if caller.auth_token and caller.auth_token.iss == access
        else resource.challenge(caller, access_server=access)
        if caller.presented
        else requires("person-token")
    )
    assert fetch().status == 200


@pytest.mark.spec("#polling-error-codes")
def test_a_person_who_says_no_is_an_error_of_that_name(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    resource.respond = needs_grant(resource)
    ps.refuse = lambda path, body: problem(403, "denied") if path == "/token" else None
    with pytest.raises(Denied):
        fetch()


@pytest.mark.spec("#token-endpoint-error-codes")
@pytest.mark.parametrize("code", ["expired_presented_token", "revoked_presented_token"])
def test_a_presented_token_that_ended_is_replaced_and_a_fresh_resource_token_redeemed(
    resource: Resource, ps: PersonServer, fetch: Fetch, code: str
) -> None:
    resource.respond = needs_grant(resource)
    ps.refuse = lambda path, body: (
        problem(400, code) if path == "/token" and claims_of(body["presented_token"])["jti"] == "pt1" else None
    )
    assert fetch().status == 200
    assert [path for path, _ in ps.bodies] == ["/person", "/token", "/person", "/token"]
    assert resource.tokens_issued == 2


@pytest.mark.spec("#token-endpoint-error-codes")
@pytest.mark.parametrize("code", ["expired_resource_token", "revoked_resource_token"])
def test_a_resource_token_that_ended_is_replaced_by_calling_the_resource_again(
    resource: Resource, ps: PersonServer, fetch: Fetch, code: str
) -> None:
    resource.respond = needs_grant(resource)
    ps.refuse = lambda path, body: (
        problem(400, code) if path == "/token" and claims_of(body["resource_token"])["jti"] == "rt1" else None
    )
    assert fetch().status == 200
    assert resource.tokens_issued == 2


@pytest.mark.spec("#requirement-auth-token")
def test_a_resource_that_challenges_again_for_the_scope_it_was_given_ends_the_exchange(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: (
        resource.challenge(caller) if caller.presented else requires("person-token")
    )
    with pytest.raises(NoProgress, match=r"auth-token \(calendar.read\), this agent presented an auth token"):
        fetch()
    assert [path for path, _ in ps.bodies] == ["/person", "/token"]


@pytest.mark.spec("#requirement-values")
def test_a_resource_that_never_stops_asking_is_left_after_twelve_requests(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    def respond(request: Request, caller: Caller) -> Response:
        return resource.challenge(caller, f"s{len(resource.callers)}") if caller.presented else requires("person-token")

    resource.respond = respond
    with pytest.raises(NoProgress, match="after 12 requests"):
        fetch()
    assert len(resource.callers) == 12


@pytest.mark.spec("#requirement-values")
@pytest.mark.parametrize("value", ["retina-scan", "interaction", "claims"])
def test_a_requirement_this_agent_does_not_know_is_surfaced(resource: Resource, fetch: Fetch, value: str) -> None:
    resource.respond = lambda request, caller: requires(value)
    with pytest.raises(UnsupportedRequirement, match=value):
        fetch()


# --------------------------------------------------------------------------- sessions


@pytest.mark.spec("#aauth-access")
def test_a_session_token_is_sent_back_covered_and_the_newest_is_used(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    def respond(request: Request, caller: Caller) -> Response:
        assert caller.signed is not None
        assert ("authorization" in caller.signed.covered) == ("authorization" in request.headers)
        return ok(aauth_access=f"session-{len(resource.callers)}")

    resource.respond = respond
    for _ in range(3):
        fetch()
    sessions = [request.headers.get("authorization") for request in world.sent]
    assert sessions == [None, "AAuth session-1", "AAuth session-2"]


@pytest.mark.spec("#aauth-access")
def test_a_session_stays_with_its_resource_and_its_key(world: World, resource: Resource, fetch: Fetch) -> None:
    other = Resource(world, "https://other.example")
    resource.respond = lambda request, caller: ok(aauth_access="mine")
    fetch()
    fetch(other.issuer + "/")
    assert "authorization" not in world.sent[-1].headers
    # A new agent token under a new key cannot speak for the session of the old one.
    stranger = make_agent(world, SigningKey.generate(kid="a1"))
    stranger.credentials.at(RESOURCE).session = ("mine", "thumbprint of another key")
    world.publish("https://agent.example", stranger.source.key)  # type: ignore[attr-defined]
    fetch(by=stranger)
    assert "authorization" not in world.sent[-1].headers


@pytest.mark.spec("#aauth-access")
def test_a_session_that_ended_is_dropped_and_the_request_sent_without_it(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: ok(aauth_access="one")
    fetch()
    resource.respond = lambda request, caller: Response(401) if "authorization" in request.headers else ok()
    assert fetch().status == 200
    assert [request.headers.get("authorization") for request in world.sent] == [None, "AAuth one", None]


@pytest.mark.spec("#aauth-access")
def test_an_authorization_of_the_application_is_left_alone_and_covered(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: ok(aauth_access="one")
    fetch()
    fetch(headers={"authorization": "Basic Zm9vOmJhcg=="})
    caller = resource.callers[-1]
    assert world.sent[-1].headers.get("authorization") == "Basic Zm9vOmJhcg=="
    assert caller.signed is not None and "authorization" in caller.signed.covered


# --------------------------------------------------------------------------- refreshing


@pytest.mark.spec("#agent-token-acquisition-overview")
def test_an_agent_token_is_refreshed_when_fewer_than_five_minutes_remain(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    fetch()
    world.now += 3600 - 301
    fetch()
    world.now += 2
    fetch()
    expiries = [caller.agent_token.exp for caller in resource.callers if caller.agent_token]
    assert expiries[0] == expiries[1]
    assert expiries[2] == world.now + 3600


@pytest.mark.spec("#re-authorization")
def test_a_person_token_is_refreshed_from_the_top_of_the_chain(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    fetch()
    world.now += 3400
    fetch()
    assert resource.levels[2:] == [Level.PERSON]
    tokens = [caller.agent_token for caller in ps.callers]
    assert [token.iat for token in tokens if token] == [world.now - 3400, world.now]


@pytest.mark.spec("#re-authorization")
def test_an_auth_token_that_ends_is_dropped_and_the_resource_challenges_the_fresh_person_token(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_grant(resource)
    fetch()
    world.now += 3400
    assert fetch().status == 200
    assert resource.levels[3:] == [Level.PERSON, Level.AUTHORIZED]
    assert claims_of(ps.bodies[-1][1]["presented_token"])["iat"] == int(world.now)


@pytest.mark.spec("#re-authorization", "#authorization-endpoint-request")
def test_an_auth_token_that_ends_is_renewed_through_the_authorization_endpoint(
    world: World, ps: PersonServer, fetch: Fetch
) -> None:
    resource = Resource(world, metadata={"authorization_endpoint": f"{RESOURCE}/authorize"})

    def respond(request: Request, caller: Caller) -> Response:
        if request.path != "/authorize":
            return needs_grant(resource)(request, caller)
        assert caller.person_token is not None, "the authorization endpoint is shown a person token"
        assert request.body == b'{"scope":"calendar.read"}'
        return json_response(200, {"resource_token": resource.resource_token(caller)})

    resource.respond = respond
    fetch()
    world.now += 3400
    assert fetch().status == 200
    assert resource.levels[3:] == [Level.PERSON, Level.AUTHORIZED]
    assert [request.path for request in world.sent_to(RESOURCE)][3:] == ["/authorize", "/calendar"]


@pytest.mark.spec("#re-authorization")
def test_a_short_lived_token_is_not_refreshed_before_half_its_life(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_person
    ps.lifetime_s = 240
    fetch()
    world.now += 100
    fetch()
    assert len(ps.bodies) == 1
    world.now += 30
    fetch()
    assert len(ps.bodies) == 2


@pytest.mark.spec("#re-authorization")
def test_a_new_key_ends_every_token_of_the_old_one(
    world: World, resource: Resource, ps: PersonServer, agent: AgentContext, fetch: Fetch
) -> None:
    resource.respond = needs_person
    fetch()
    new_key = SigningKey.generate(kid="a2")
    agent.source.key = new_key  # type: ignore[attr-defined]
    world.publish("https://agent.example", new_key)
    agent.credentials.adopt(world.drive(agent.source.obtain()))
    assert fetch().status == 200
    assert resource.callers[-1].key == new_key.public
    assert [path for path, _ in ps.bodies] == ["/person", "/person"]


@pytest.mark.spec("#scheme-rejection")
def test_a_pseudonym_that_is_rate_limited_stays_one(
    world: World, resource: Resource, agent_key: SigningKey, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: problem(429, "rate_limited", accept_signature_scheme="jwt")
    assert fetch(by=make_agent(world, agent_key, opening=Level.PSEUDONYM)).status == 429
    assert resource.levels == [Level.PSEUDONYM]


@pytest.mark.spec("#auth-token-usage")
def test_an_auth_token_of_one_mission_is_not_used_in_another(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = needs_grant(resource)
    missions = [GrantPreferences(mission_s256=digest * 43) for digest in "ab"]
    for mission in missions:
        fetch(preferences=mission)
    granted = [caller.auth_token.mission_s256 for caller in resource.callers if caller.auth_token]
    assert granted == [mission.mission_s256 for mission in missions]


def test_memory_is_bounded(world: World, agent: AgentContext) -> None:
    for number in range(3000):
        agent.credentials.at(f"https://r{number}.example")
    assert len(agent.credentials) == 1000
    assert agent.credentials.at("https://r2999.example").level is Level.IDENTIFIED
