"""What the agent does about a refused signature: once, and never more than that."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest

from aauthlib.agent import AgentContext, ChallengeUnmet, RequestRefused
from aauthlib.errors import (
    ClockSkew,
    ExpiredJWT,
    InvalidSignature,
    RevokedJWT,
    SignatureError,
    UnknownKey,
    UnsupportedAlgorithm,
)
from aauthlib.http import Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.verification import Caller, Level
from tests.agent.world import NOW, PS, RESOURCE, PersonServer, Resource, World, make_agent, ok, requires

Fetch = Callable[..., Response]


def with_date(response: Response, when: float) -> Response:
    return Response(response.status, response.headers.added([("date", formatdate(when, usegmt=True))]), response.body)


def raw_error(text: str, **headers: str) -> Response:
    fields = [("signature-error", text), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return json_response(401, {}, headers=fields)


@pytest.mark.spec("#covered-components")
def test_components_the_server_requires_are_covered_on_the_retry_and_from_then_on(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.policy = {"components": ("@query", "x-tenant")}
    assert fetch(headers={"x-tenant": "acme"}).status == 200
    assert len(world.sent) == 2
    assert fetch(headers={"x-tenant": "acme"}).status == 200
    assert len(world.sent) == 3


@pytest.mark.spec("#covered-components")
def test_a_date_the_server_requires_is_added(world: World, resource: Resource, fetch: Fetch) -> None:
    resource.policy = {"components": ("date",)}
    assert fetch().status == 200
    assert world.sent[-1].headers.get("date") == formatdate(NOW, usegmt=True)


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize("name", ["x-tenant", "@status", "signature", "authorization"])
def test_a_component_the_request_does_not_have_is_named_with_what_to_do(
    world: World, resource: Resource, fetch: Fetch, name: str
) -> None:
    resource.handle = lambda request: raw_error(f'error=invalid_input, required_input=("{name}")')  # type: ignore[method-assign]
    world.servers[RESOURCE] = resource.handle
    with pytest.raises(RequestRefused, match=rf"cover {name}, which this request does not carry. Add the header"):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#covered-components")
def test_a_component_learned_for_one_request_and_missing_in_the_next_is_named(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.policy = {"components": ("x-tenant",)}
    fetch(headers={"x-tenant": "acme"})
    with pytest.raises(ChallengeUnmet, match="x-tenant"):
        fetch()


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize(
    "required",
    ['("@method")', "()", '("BAD NAME")', '("x" "x\\"y")', "(" + " ".join(f'"x{n}"' for n in range(40)) + ")", "7"],
)
def test_a_demand_that_changes_nothing_is_not_retried(world: World, fetch: Fetch, required: str) -> None:
    world.servers[RESOURCE] = lambda request: raw_error(f"error=invalid_input, required_input={required}")
    with pytest.raises(RequestRefused):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#covered-components")
def test_ever_new_components_are_not_chased(world: World, fetch: Fetch) -> None:
    def handle(request: Request) -> Response:
        return raw_error(f'error=invalid_input, required_input=("x{len(world.sent)}")')

    world.servers[RESOURCE] = handle
    with pytest.raises(RequestRefused):
        fetch(headers={f"x{n}": "1" for n in range(20)})
    assert len(world.sent) == 2


@pytest.mark.spec("#presenting-a-revoked-token")
def test_a_revoked_auth_token_ends_in_a_fresh_person_token_and_a_fresh_grant(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    revoked: set[str] = set()

    def respond(request: Request, caller: Caller) -> Response:
        if caller.auth_token is None:
            return resource.challenge(caller) if caller.presented else requires("person-token")
        if caller.auth_token.jti in revoked:
            answer = error_response(RevokedJWT())
            return Response(401, answer.headers.added([("aauth-requirement", "requirement=person-token")]))
        return ok()

    resource.respond = respond
    fetch()
    revoked.add("at2")
    assert fetch().status == 200
    assert [path for path, _ in ps.bodies] == ["/person", "/token", "/person", "/token"]


@pytest.mark.spec("#authentication-errors")
def test_an_agent_token_the_server_finds_expired_is_replaced(world: World, resource: Resource, fetch: Fetch) -> None:
    fetch()
    resource.respond = lambda request, caller: (
        ok() if caller.agent_token and caller.agent_token.iat > NOW else error_response(ExpiredJWT())
    )
    world.now += 10
    assert fetch().status == 200


@pytest.mark.spec("#authentication-errors")
@pytest.mark.parametrize("error", [ExpiredJWT(), RevokedJWT(), UnknownKey()])
def test_a_server_that_refuses_the_fresh_token_too_is_believed(
    resource: Resource, fetch: Fetch, error: ExpiredJWT | RevokedJWT | UnknownKey
) -> None:
    resource.respond = lambda request, caller: error_response(error)
    with pytest.raises(RequestRefused, match=error.code) as caught:
        fetch()
    assert caught.value.reason.code == error.code
    assert caught.value.response is not None and caught.value.response.status == 401
    assert len(resource.callers) == 2


@pytest.mark.spec("#authentication-errors")
def test_a_revoked_agent_token_at_the_person_server_is_replaced_before_asking_again(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: ok() if caller.person_token else requires("person-token")
    ps.refuse = lambda path, body: (
        error_response(RevokedJWT()) if ps.callers[-1].agent_token is ps.callers[0].agent_token else None
    )
    fetch_again = fetch()
    assert fetch_again.status == 200
    first, second = (caller.agent_token for caller in ps.callers)
    assert first is not None and second is not None and first.jti != second.jti


@pytest.mark.spec("#verification", "#authentication-errors")
@pytest.mark.parametrize("ahead_s", [600, -600])
def test_a_wrong_clock_is_corrected_by_the_servers_date_and_remembered(
    world: World, resource: Resource, agent_key: SigningKey, fetch: Fetch, ahead_s: int
) -> None:
    # The server lives at NOW; the agent's clock is off. A pseudonym's request has no token whose times matter.
    agent = make_agent(world, agent_key, opening=Level.PSEUDONYM)
    agent.clock = lambda: world.now + ahead_s
    honest = resource.handle
    world.servers[RESOURCE] = lambda request: with_date(honest(request), world.now)
    assert fetch(by=agent).status == 200
    assert len(world.sent) == 2
    assert fetch(by=agent).status == 200
    assert len(world.sent) == 3


@pytest.mark.spec("#authentication-errors")
@pytest.mark.parametrize(
    "date", [None, "yesterday", formatdate(NOW + 200_000, usegmt=True), formatdate(NOW, usegmt=True)]
)
def test_a_clock_skew_that_the_date_does_not_explain_is_surfaced(world: World, fetch: Fetch, date: str | None) -> None:
    answer = error_response(ClockSkew())
    if date is not None:
        answer = Response(401, answer.headers.added([("date", date)]))
    world.servers[RESOURCE] = lambda request: answer
    with pytest.raises(RequestRefused, match="NTP"):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#authentication-errors")
def test_a_resource_cannot_move_the_clock_by_which_tokens_are_judged(
    world: World, agent: AgentContext, fetch: Fetch
) -> None:
    world.servers[RESOURCE] = lambda request: with_date(error_response(ClockSkew()), NOW - 80_000)
    with pytest.raises(RequestRefused):
        fetch()
    assert agent.now() == NOW


@pytest.mark.spec("#authentication-errors")
def test_the_person_server_can_set_the_clock_and_a_self_issued_token_is_dated_anew(
    world: World, ps: PersonServer, agent: AgentContext, fetch: Fetch
) -> None:
    agent.clock = lambda: world.now + 600
    agent.source.clock = agent.clock  # type: ignore[attr-defined]
    world.servers[RESOURCE] = lambda request: requires("person-token") if len(world.sent_to(RESOURCE)) == 1 else ok()
    honest = ps.handle
    world.servers[PS] = lambda request: with_date(honest(request), world.now)
    assert fetch().status == 200
    assert agent.now() == pytest.approx(world.now, abs=1)


def ahead(ps: PersonServer, seconds: float) -> None:
    """From now on the person server's clock is ahead by `seconds`."""
    ps.person_claims = {"iat": int(NOW + seconds), "exp": int(NOW + seconds + 3600)}


@pytest.mark.spec("#common-verification", "#authentication-errors")
@pytest.mark.parametrize("dated", [True, False], ids=["with-date", "without-date"])
def test_a_token_that_a_clock_ahead_issued_is_replaced_once_that_clock_is_right(
    world: World, ps: PersonServer, resource: Resource, fetch: Fetch, dated: bool
) -> None:
    honest = resource.handle
    world.servers[RESOURCE] = lambda request: with_date(honest(request), world.now) if dated else honest(request)
    resource.respond = lambda request, caller: ok() if caller.level is Level.PERSON else requires("person-token")
    ahead(ps, 420)
    with pytest.raises(RequestRefused, match=rf"{PS} issued the token 420 s ahead of this machine's clock"):
        fetch()
    ps.person_claims = {}
    assert fetch().status == 200
    assert ps.issued == 2, "what was just issued is not asked for again at once"


@pytest.mark.spec("#common-verification", "#authentication-errors")
def test_no_token_is_dropped_for_a_resource_whose_own_clock_is_behind(
    world: World, ps: PersonServer, resource: Resource, fetch: Fetch
) -> None:
    def behind(request: Request) -> Response:
        world.now -= 420
        answer = with_date(resource.handle(request), world.now)
        world.now += 420
        return answer

    world.servers[RESOURCE] = behind
    resource.respond = lambda request, caller: ok() if caller.level is Level.PERSON else requires("person-token")
    resource.policy = {"schemes": ("jwt",)}
    with pytest.raises(RequestRefused, match="clock_skew"):
        fetch()
    assert len(world.sent) == 2, "the time was corrected, and nothing else can help"


@pytest.mark.spec("#common-verification", "#authentication-errors")
def test_an_agent_token_from_a_clock_that_was_ahead_is_refreshed(
    world: World, agent: AgentContext, resource: Resource, fetch: Fetch
) -> None:
    source = agent.source
    right, source.clock = source.clock, lambda: NOW + 420  # type: ignore[attr-defined]
    with pytest.raises(RequestRefused, match="420 s ahead"):
        fetch()
    assert len(world.sent) == 1, "what was just issued is not asked for again at once"
    source.clock = right  # type: ignore[attr-defined]
    assert fetch().status == 200


@pytest.mark.spec("#common-verification", "#authentication-errors")
def test_a_self_issued_token_is_dated_anew_when_the_person_servers_clock_was_ahead(
    world: World, agent: AgentContext, resource: Resource, fetch: Fetch
) -> None:
    agent.credentials.clock_offset_s = 420.0
    assert fetch().status == 200
    assert agent.now() == NOW


@pytest.mark.spec("#scheme-rejection")
def test_a_server_that_takes_no_bare_key_is_shown_the_agent_token(
    world: World, resource: Resource, agent_key: SigningKey, fetch: Fetch
) -> None:
    resource.policy = {"schemes": ("jwt",)}
    assert fetch(by=make_agent(world, agent_key, opening=Level.PSEUDONYM)).status == 200
    assert resource.levels == [Level.IDENTIFIED]


@pytest.mark.spec("#scheme-rejection")
def test_a_server_outside_aauth_that_takes_only_bare_keys_is_shown_one(resource: Resource, fetch: Fetch) -> None:
    resource.policy = {"schemes": ("hwk",)}
    assert fetch().status == 200
    assert resource.levels == [Level.PSEUDONYM]


@pytest.mark.spec("#scheme-rejection")
@pytest.mark.parametrize("schemes", ["x509", "jwt", "jwt, hwk", ""])
def test_a_server_that_accepts_nothing_this_agent_can_do_is_left(world: World, fetch: Fetch, schemes: str) -> None:
    world.servers[RESOURCE] = lambda request: raw_error("error=unsupported_scheme", accept_signature_scheme=schemes)
    with pytest.raises(RequestRefused, match="unsupported_scheme"):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#authentication-errors")
@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (UnsupportedAlgorithm(accepted=["ES256"]), "algorithm it accepts"),
        (InvalidSignature(), "changes the request"),
    ],
)
def test_what_cannot_be_helped_is_surfaced_with_advice(
    world: World, fetch: Fetch, error: SignatureError, advice: str
) -> None:
    world.servers[RESOURCE] = lambda request: error_response(error)
    with pytest.raises(RequestRefused, match=advice):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#authentication-errors", "#jwks-discovery")
def test_a_key_that_is_not_found_for_a_fresh_token_either_is_surfaced_with_advice(world: World, fetch: Fetch) -> None:
    world.servers[RESOURCE] = lambda request: error_response(UnknownKey())
    with pytest.raises(RequestRefused, match="metadata and JWKS are published"):
        fetch()
    assert len(world.sent) == 2
