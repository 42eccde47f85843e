"""What a resource says it accepts, and the schemes beyond the AAuth profile that it can be set up to take."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.http import Response
from aauthlib.httpsig import HWK, JWT, Cached, DirectJWKS
from aauthlib.keys import JWKS
from aauthlib.messages.headers import accepted_tokens
from aauthlib.resource import Policy, Route, anonymous, identified
from aauthlib.resource.callers import SCHEMES
from aauthlib.verification import AssertionCache, Level, SchemeSupport
from tests.resource.world import World

URL = "https://client.example/keys.jwks"
HEADERS = ("accept-signature-scheme", "accept-signature-alg")


def accepted(response: Response) -> list[tuple[str, ...] | None]:
    return [accepted_tokens(response.headers, name) for name in HEADERS]


@pytest.mark.spec("signature-key#4.4", "signature-key#4.1", "signature-key#4.2")
@pytest.mark.parametrize(
    ("path", "schemes"),
    [
        ("/hello", ("hwk", "jkt-jwt", "jwt")),
        ("/agents", ("jwt",)),
        ("/me", ("jwt",)),
        ("/private", ("jwt",)),
    ],
)
async def test_a_challenge_says_by_which_scheme_and_algorithms_it_can_be_met(
    world: World, path: str, schemes: tuple[str, ...]
) -> None:
    response = await world.unsigned("GET", path)
    assert response.status == 401
    assert accepted(response) == [schemes, ("Ed25519", "ES256")]


@pytest.mark.spec("signature-key#4.5")
async def test_who_is_slowed_down_learns_that_signing_helps_unless_it_signed(world: World) -> None:
    for _ in range(3):
        await world.unsigned("GET", "/events")
    anonymous_one = await world.unsigned("GET", "/events")
    assert anonymous_one.status == 429
    assert "retry-after" in anonymous_one.headers
    assert accepted(anonymous_one) == [("hwk", "jkt-jwt", "jwt"), ("Ed25519", "ES256")]
    signed = [await world.call(world.signed("GET", "/hello", HWK.of(world.agent.public))) for _ in range(6)]
    assert signed[-1].status == 429
    assert accepted(signed[-1]) == [None, None]


@pytest.mark.spec("signature-key#4.5", "signature-key#4.7")
@pytest.mark.parametrize("status", [401, 402, 429])
async def test_an_applications_own_refusal_invites_an_unsigned_caller_to_sign(status: int) -> None:
    world = World(policy=Policy([Route("GET", "/*", anonymous())]))
    world.app.answer = lambda scope: (status, b"pay first")
    response = await world.unsigned("GET", "/open")
    assert (response.status, response.body) == (status, b"pay first")
    assert accepted(response) == [("hwk", "jkt-jwt", "jwt"), ("Ed25519", "ES256")]
    response = await world.call(world.signed("GET", "/open", HWK.of(world.agent.public)))
    assert accepted(response) == [None, None]


@pytest.mark.spec("signature-key#5.3")
@pytest.mark.parametrize("status", [200, 403, 404])
async def test_any_other_answer_of_an_application_is_left_alone(status: int) -> None:
    world = World(policy=Policy([Route("GET", "/*", anonymous())]))
    world.app.answer = lambda scope: (status, b"")
    assert accepted(await world.unsigned("GET", "/open")) == [None, None]


# --------------------------------------------------------------------------- beyond the profile


def caching(**settings: Any) -> World:
    return World(schemes=(*SCHEMES, "cached"), scheme_support=SchemeSupport(assertions=AssertionCache()), **settings)


@pytest.mark.spec("signature-key#6", "signature-key#3.11", "signature-key#4.1")
async def test_a_resource_that_caches_says_so_gives_identifiers_and_takes_them() -> None:
    world = caching()
    assert accepted(await world.unsigned("GET", "/agents"))[0] == ("jwt", "cached")
    token = world.agent_token()
    response = await world.call(world.signed("GET", "/agents", JWT(token, cache=True)))
    cid = (response.headers.get("signature-key-cache") or "").split('"')[1]
    assert response.headers.get("cache-control") == "no-store"
    again = await world.call(world.signed("GET", "/agents", Cached(cid)))
    assert (again.status, again.headers.get("signature-key-cache")) == (200, None)
    assert world.app.grants[0] == world.app.grants[1]


@pytest.mark.spec("signature-key#6.1", "#presenting-a-revoked-token")
async def test_a_cached_token_that_was_revoked_is_refused_as_a_token_in_full_is() -> None:
    world = caching()
    token = world.agent_token()
    response = await world.call(world.signed("GET", "/agents", JWT(token, cache=True)))
    cid = (response.headers.get("signature-key-cache") or "").split('"')[1]
    grant = world.app.grants[0]
    now = world.clock()
    iss, jti = str(grant.claims["iss"]), str(grant.claims["jti"])
    await world.store.revoke(iss, jti, now + 3600, now, most=10, most_of_all=1000)
    for key in (JWT(token), Cached(cid)):
        refused = await world.call(world.signed("GET", "/agents", key))
        assert (refused.headers.get("signature-error") or "").startswith("error=revoked_jwt")


@pytest.mark.spec("signature-key#6.2")
async def test_a_resource_caches_nothing_unless_it_was_set_up_to(world: World) -> None:
    response = await world.call(world.signed("GET", "/agents", JWT(world.agent_token(), cache=True)))
    assert (response.status, response.headers.get("signature-key-cache")) == (200, None)
    response = await world.call(world.signed("GET", "/agents", Cached("2f9c")))
    assert (response.headers.get("signature-error") or "") == "error=unsupported_scheme"
    assert accepted(response)[0] == SCHEMES


@pytest.mark.spec("signature-key#3.7")
async def test_a_signer_known_by_its_key_set_is_let_in_by_its_url() -> None:
    policy = Policy([Route("GET", "/partners", identified(allow=[URL])), Route("GET", "/agents", identified())])
    world = World(policy=policy, schemes=("jwks", "jwt"))
    world.directory._located[URL] = JWKS.of(world.agent, world.other)
    request = world.signed("GET", "/partners", DirectJWKS(URL, world.agent.thumbprint))
    assert (await world.call(request)).status == 200
    assert (world.app.grants[0].signer, world.app.grants[0].level) == (("jwks", URL), Level.IDENTIFIED)
    other = "https://stranger.example/keys.jwks"
    world.directory._located[other] = JWKS.of(world.agent)
    request = world.signed("GET", "/partners", DirectJWKS(other, world.agent.thumbprint))
    assert (await world.call(request)).status == 403


@pytest.mark.parametrize("scheme", ["cached", "x509", "self-jwt", "x510"])
def test_a_scheme_needs_what_it_is_verified_with(scheme: str) -> None:
    with pytest.raises(ConfigurationError, match=scheme):
        World(schemes=("jwt", scheme))
