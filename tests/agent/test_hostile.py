"""Resources and person servers that lie: nothing they say leads anywhere it should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aauthlib.agent import AgentContext, AgentError, ChallengeInvalid
from aauthlib.agent.authorization import authorize
from aauthlib.errors import AAuthError
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.verification import Caller
from tests.agent.world import (
    NOW,
    PS,
    RESOURCE,
    PersonServer,
    Resource,
    World,
    ok,
    requires,
    resigned,
)

Fetch = Callable[..., Response]


def challenging(resource: Resource, make: Callable[[Caller], Response]) -> None:
    """The resource asks for a person token first, then sends what `make` makes."""
    resource.respond = lambda request, caller: (
        ok() if caller.auth_token else make(caller) if caller.presented else requires("person-token")
    )


def refused(fetch: Fetch, ps: PersonServer, match: str) -> None:
    """The exchange ends, and the person server never saw the resource token."""
    with pytest.raises(ChallengeInvalid, match=match):
        fetch()
    assert [path for path, _ in ps.bodies if path == "/token"] == []


# --------------------------------------------------------------------------- resource tokens


@pytest.mark.spec("#resource-challenge-verification")
@pytest.mark.parametrize(
    ("claims", "match"),
    [
        ({"agent_jkt": "another-key"}, "bound to another key"),
        ({"sub": "another-person"}, "names another person"),
        ({"presented_jti": "another-token"}, "names another token"),
        ({"ps": "https://evil.example"}, "names another person server"),
        ({"mission_s256": "another-mission"}, "another mission or tenant"),
        ({"tenant": "another-tenant"}, "another mission or tenant"),
        ({"exp": int(NOW) - 1}, "expired"),
        ({"aud": None}, "aud"),
        ({"dwk": "aauth-person.json"}, "dwk"),
    ],
)
def test_a_resource_token_that_does_not_fit_is_not_taken_to_the_person_server(
    resource: Resource, ps: PersonServer, fetch: Fetch, claims: dict[str, Any], match: str
) -> None:
    challenging(resource, lambda caller: resource.challenge(caller, **claims))
    refused(fetch, ps, match)


@pytest.mark.spec("#resource-challenge-verification")
def test_a_resource_token_of_another_resource_is_refused(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    bank = Resource(world, "https://bank.example")

    def bank_token(caller: Caller) -> Response:
        # A confused deputy's dream: the bank's own, valid token for this very agent and person.
        token = resigned(resource.resource_token(caller), bank.key, iss=bank.issuer)
        return requires("auth-token", resource_token=token)

    challenging(resource, bank_token)
    refused(fetch, ps, "issued by another resource")


@pytest.mark.spec("#resource-challenge-verification")
def test_a_resource_token_signed_by_another_key_is_refused(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    forger = SigningKey.generate(kid="r1")
    challenging(
        resource,
        lambda caller: requires("auth-token", resource_token=resigned(resource.resource_token(caller), forger)),
    )
    refused(fetch, ps, "does not verify")


@pytest.mark.spec("#resource-challenge-verification")
@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.e30", "x" * 20_000])
def test_something_that_is_no_token_is_refused(resource: Resource, ps: PersonServer, fetch: Fetch, text: str) -> None:
    challenging(resource, lambda caller: requires("auth-token", resource_token=text))
    refused(fetch, ps, "resource token of https://api.example is refused")


@pytest.mark.spec("#resource-challenge-verification")
def test_another_kind_of_token_is_no_resource_token(resource: Resource, ps: PersonServer, fetch: Fetch) -> None:
    challenging(
        resource,
        lambda caller: requires("auth-token", resource_token=caller.person_token.raw if caller.person_token else ""),
    )
    refused(fetch, ps, "aa-resource")


@pytest.mark.spec("#requirement-auth-token")
def test_an_auth_token_required_without_a_resource_token_breaks_the_protocol(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    challenging(resource, lambda caller: requires("auth-token"))
    refused(fetch, ps, "without sending a resource token")


@pytest.mark.spec("#resource-token")
def test_a_resource_token_for_a_request_that_named_no_person_breaks_the_protocol(
    resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: requires("auth-token", resource_token="e30.e30.e30")
    refused(fetch, ps, "presented its agent token: it has to ask for a person token first")


# --------------------------------------------------------------------------- what the person server sends


@pytest.mark.spec("#auth-token-response-verification")
@pytest.mark.parametrize(
    ("claims", "match"),
    [
        ({"aud": "https://bank.example"}, "another resource"),
        ({"sub": "another-person"}, "another person"),
        ({"scope": "calendar.read calendar.write"}, "more scope"),
        ({"cnf": {"jwk": SigningKey.generate().public.to_jwk()}}, "another key"),
        ({"exp": int(NOW) + 7200}, "3600"),
        ({"exp": int(NOW)}, "expired"),
    ],
)
def test_an_auth_token_that_does_not_fit_is_never_presented(
    resource: Resource, ps: PersonServer, fetch: Fetch, claims: dict[str, Any], match: str
) -> None:
    challenging(resource, resource.challenge)
    ps.auth_claims = claims
    with pytest.raises(ChallengeInvalid, match=match):
        fetch()
    assert all(caller.auth_token is None for caller in resource.callers)


@pytest.mark.spec("#auth-token-response-verification")
def test_an_auth_token_of_another_issuer_is_never_presented(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    evil = "https://evil.example"
    world.publish(evil, ps.key)
    challenging(resource, resource.challenge)
    ps.auth_claims = {"iss": evil, "ps": evil}
    with pytest.raises(ChallengeInvalid, match="issued by another server"):
        fetch()


@pytest.mark.spec("#auth-token-response-verification")
def test_an_auth_token_of_the_access_server_that_names_another_person_server_is_never_presented(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    access = "https://as.example"
    world.publish(access, ps.key)
    challenging(resource, lambda caller: resource.challenge(caller, access_server=access))
    ps.auth_claims = {"iss": access, "dwk": "aauth-access.json", "ps": "https://evil.example"}
    with pytest.raises(ChallengeInvalid, match="another person server"):
        fetch()


@pytest.mark.spec("#person-token-verification")
def test_a_person_token_of_another_person_server_is_never_presented(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    evil = "https://evil.example"
    world.publish(evil, ps.key)
    resource.respond = lambda request, caller: requires("person-token")
    ps.person_claims = {"iss": evil}
    with pytest.raises(ChallengeInvalid, match="another person server"):
        fetch()


@pytest.mark.spec("#authorization-endpoint-request")
def test_a_person_token_is_not_taken_to_an_authorization_endpoint_elsewhere(
    world: World, ps: PersonServer, agent: AgentContext
) -> None:
    Resource(world, metadata={"authorization_endpoint": "https://evil.example/authorize"})
    with pytest.raises(ChallengeInvalid, match="another origin"):
        world.drive(authorize(agent, RESOURCE, "calendar.read"))
    assert world.sent == []


@pytest.mark.spec("#person-token-verification")
@pytest.mark.parametrize(
    ("claims", "match"),
    [
        ({"aud": "https://bank.example"}, "another resource"),
        ({"cnf": {"jwk": SigningKey.generate().public.to_jwk()}}, "another key"),
        ({"mission_s256": "a-mission"}, "another mission"),
        ({"scope": "everything"}, "must not contain scope"),
        ({"exp": int(NOW)}, "expired"),
    ],
)
def test_a_person_token_that_does_not_fit_is_never_presented(
    resource: Resource, ps: PersonServer, fetch: Fetch, claims: dict[str, Any], match: str
) -> None:
    resource.respond = lambda request, caller: requires("person-token")
    ps.person_claims = claims
    with pytest.raises(ChallengeInvalid, match=match):
        fetch()
    assert len(resource.callers) == 1


@pytest.mark.spec("#person-token-endpoint")
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"person_token": 7, "expires_in": 1}', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_no_token_response_is_an_error_of_the_person_server(
    resource: Resource, ps: PersonServer, fetch: Fetch, body: bytes
) -> None:
    resource.respond = lambda request, caller: requires("person-token")
    ps.refuse = lambda path, request_body: Response(200, Fields({"content-type": "application/json"}), body)
    with pytest.raises(ChallengeInvalid, match=f"{PS} answered with something that is no answer"):
        fetch()


# --------------------------------------------------------------------------- headers


@pytest.mark.spec("#aauth-requirement-header-structure")
@pytest.mark.parametrize("header", ["", "requirement", "requirement=", 'requirement="auth-token"', ";;;", "x" * 50_000])
def test_a_requirement_that_cannot_be_read_is_an_error(
    world: World, resource: Resource, fetch: Fetch, header: str
) -> None:
    resource.respond = lambda request, caller: Response(401, Fields({"aauth-requirement": header}))
    with pytest.raises(ChallengeInvalid, match="cannot be read"):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#aauth-access")
@pytest.mark.parametrize(
    "values", [["one", "two"], [""], ["two words"], ["AAuth one"], ["one,two"], ["x" * 9000], ["ein\x00s"]]
)
def test_an_aauth_access_that_is_not_one_token_is_refused(
    world: World, resource: Resource, fetch: Fetch, values: list[str]
) -> None:
    resource.respond = lambda request, caller: Response(200, Fields([("aauth-access", value) for value in values]))
    with pytest.raises(ChallengeInvalid, match="AAuth-Access"):
        fetch()
    resource.respond = lambda request, caller: ok()
    fetch()
    assert "authorization" not in world.sent[-1].headers


@pytest.mark.spec("#authentication-errors")
@pytest.mark.parametrize("header", ["", "error", "error=7", "error=made_up", "((", "x" * 50_000])
def test_a_signature_error_that_cannot_be_read_leaves_a_plain_401(
    world: World, resource: Resource, fetch: Fetch, header: str
) -> None:
    resource.respond = lambda request, caller: Response(401, Fields({"signature-error": header}))
    assert fetch().status == 401
    assert len(world.sent) == 1


# --------------------------------------------------------------------------- pending URLs and interactions

WAITING = [("retry-after", "0"), ("cache-control", "no-store")]


@pytest.mark.spec("#pending-url-security", "#pending-response")
@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/pending",
        "//evil.example/pending",
        "http://api.example/pending",
        "https://api.example:8443/pending",
        "https://api.example@evil.example/pending",
        "javascript:alert(1)",
        "/pending#fragment",
        "",
    ],
)
def test_a_pending_url_elsewhere_is_not_polled(world: World, resource: Resource, fetch: Fetch, location: str) -> None:
    resource.respond = lambda request, caller: requires(
        "approval", status=202, headers=[("location", location), *WAITING]
    )
    with pytest.raises(AAuthError, match=r"Location|pending URL|absolute URL"):
        fetch()
    assert len(world.sent) == 1


@pytest.mark.spec("#interaction-required")
@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://api.example/interact", "A1B2-C3D4"),
        ("https://api.example/interact?next=evil", "A1B2-C3D4"),
        ("https://api.example/interact#x", "A1B2-C3D4"),
        ("https://user@api.example/interact", "A1B2-C3D4"),
        ("javascript:alert(1)", "A1B2-C3D4"),
        ("file:///etc/passwd", "A1B2-C3D4"),
        ("https://api.example/\x1b[2J", "A1B2-C3D4"),
        ("https://api.example/interact", "A1B2&x=1"),
        ("https://api.example/interact", "A1B2 C3D4"),
        ("https://api.example/interact", ""),
    ],
)
def test_a_person_is_sent_nowhere_but_to_a_plain_https_page_with_a_plain_code(
    world: World, resource: Resource, fetch: Fetch, url: str, code: str
) -> None:
    def respond(request: Request, caller: Caller) -> Response:
        if request.method == "DELETE":
            return Response(204)
        header = f'requirement=interaction;url="{url}";code="{code}"'
        return json_response(
            202, {"status": "pending"}, headers=[("aauth-requirement", header), ("location", "/p"), *WAITING]
        )

    resource.respond = respond
    with pytest.raises(AAuthError):
        fetch()
    assert world.directed == []


@pytest.mark.spec("#deferred-responses")
def test_a_server_that_answers_202_at_once_forever_is_asked_once_a_second_until_the_deadline(
    world: World, resource: Resource, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: (
        Response(204)
        if request.method == "DELETE"
        else requires("approval", status=202, headers=[("location", "/p"), *WAITING])
    )
    with pytest.raises(AAuthError, match="No decision within 600 seconds"):
        fetch()
    assert 500 < len(world.sent) < 700
    assert world.sent[-1].method == "DELETE"


@pytest.mark.spec("#deferred-auth-token")
def test_resource_token_after_resource_token_for_a_held_request_ends(
    world: World, resource: Resource, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: (
        Response(204)
        if request.method == "DELETE"
        else Response(
            202,
            Fields([*resource.challenge(caller, status=202).headers, ("location", "/p"), *WAITING]),
            b'{"status":"pending"}',
        )
        if caller.presented
        else requires("person-token")
    )
    with pytest.raises(AgentError, match="resource token after resource token"):
        fetch()
    assert len([path for path, _ in ps.bodies if path == "/token"]) == 12
    assert world.sent[-1].method == "DELETE"


@pytest.mark.spec("#interaction-relay")
def test_an_authority_in_another_case_or_with_the_default_port_is_the_same_resource(
    resource: Resource, world: World, ps: PersonServer, fetch: Fetch
) -> None:
    resource.respond = lambda request, caller: ok() if caller.person_token else requires("person-token")
    for spelling in ("https://API.example", "https://api.example:443"):
        world.servers[spelling] = resource.handle
        fetch(spelling + "/calendar")
    assert [body["resource"] for _, body in ps.bodies] == [RESOURCE]
