"""All fourteen `Signature-Error` codes, provoked over real HTTP, and an agent that recovers from what can be helped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from aauthlib import jws
from aauthlib.agent import Agent, RequestRefused, SelfIssued
from aauthlib.discovery import Directory
from aauthlib.effects import Send
from aauthlib.errors import SIGNATURE_ERRORS, AccessDenied, ExpiredJWT, MalformedSignedRequest, RevokedJWT
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import HWK, JWKSURI, JWT, X509, Cached, DirectJWKS, SelfJWT, SignatureKey, SignaturePolicy, sign
from aauthlib.keys import SigningKey
from aauthlib.messages.headers import accept_signature, accepted_tokens, parse_signature_error
from aauthlib.messages.problems import error_response
from aauthlib.tokens import AgentToken, VerificationPolicy
from aauthlib.transport import SyncTransport, Wire
from aauthlib.verification import Caller, SchemeSupport, TrustedRoots, authenticate
from aauthlib.verification.certificates import x5t_of
from tests.httpsig.verifier_over_http import SCHEMES, LiveVerifier
from tests.verification.certifying import Authority, pem

KEY, OTHER, ES256 = SigningKey.generate(), SigningKey.generate(), SigningKey.generate("ES256")
WINDOW_S = 60


@pytest.fixture(scope="module")
def server() -> Iterator[LiveVerifier]:
    verifier = LiveVerifier()
    yield verifier
    verifier.close()


@pytest.fixture
def live(server: LiveVerifier) -> LiveVerifier:
    server.policy = SignaturePolicy(schemes=SCHEMES)
    server.judge = lambda request, caller: None
    server.requests.clear()
    return server


@pytest.fixture(scope="module")
def transport() -> Iterator[SyncTransport]:
    with SyncTransport(dev=True) as transport:
        yield transport


def signed(live: LiveVerifier, scheme: SignatureKey, key: SigningKey = KEY, **options: Any) -> Request:
    request = Request("GET", f"{live.issuer}/calendar?day=1", Fields())
    return sign(request, key, scheme, **{"created": int(time.time()), **options})


def by_token(live: LiveVerifier, *, signer: SigningKey = KEY, **changes: Any) -> Request:
    return signed(live, JWT(live.token(KEY, **changes)), signer)


# --------------------------------------------------------------------------- the fourteen


def unsupported_algorithm(live: LiveVerifier) -> Request:
    return signed(live, HWK({**ES256.public.jwk, "alg": "EdDSA"}), ES256)


def unsupported_scheme(live: LiveVerifier) -> Request:
    return signed(live, HWK.of(KEY.public)).with_headers(signature_key="sig=x510;x=1")


def cache_miss(live: LiveVerifier) -> Request:
    return signed(live, Cached("2f9c8a1e-a7b3"))


def invalid_signature(live: LiveVerifier) -> Request:
    return by_token(live, signer=OTHER)


def invalid_input(live: LiveVerifier) -> Request:
    live.policy = replace(live.policy, components=("@query", "x-tenant"))
    return by_token(live)


def invalid_request(live: LiveVerifier) -> Request:
    def judge(request: Request, caller: Caller) -> Response | None:
        if request.query != "day=2":
            raise MalformedSignedRequest("The query parameter day must be 2.")
        return None

    live.judge = judge
    return by_token(live)


def invalid_key(live: LiveVerifier) -> Request:
    return signed(live, HWK({**KEY.public.jwk, "x": "AAAA"}))


def unknown_key(live: LiveVerifier) -> Request:
    return by_token(live, by=SigningKey.generate(kid="unpublished"))


def issuer_missing(live: LiveVerifier) -> Request:
    issuer = live.name("nameless")
    live.publish(issuer)
    live.documents[f"{issuer}/.well-known/aauth-agent.json"] = {"jwks_uri": f"{issuer}/jwks.json"}
    return by_token(live, iss=issuer)


def issuer_mismatch(live: LiveVerifier) -> Request:
    issuer = live.name("impostor")
    live.publish(issuer)
    live.documents[f"{issuer}/.well-known/aauth-agent.json"] = {
        "issuer": live.provider,
        "jwks_uri": f"{issuer}/jwks.json",
    }
    return by_token(live, iss=issuer)


def invalid_jwt(live: LiveVerifier) -> Request:
    return by_token(live, by=SigningKey.generate(kid=live.provider_key.kid))


def expired_jwt(live: LiveVerifier) -> Request:
    return by_token(live, now=time.time() - 7200, lifetime_s=3600)


def revoked_jwt(live: LiveVerifier) -> Request:
    def judge(request: Request, caller: Caller) -> Response | None:
        if caller.agent_token is not None and caller.agent_token.jti == "t1":
            raise RevokedJWT("Its issuer withdrew it.")
        return None

    live.judge = judge
    return by_token(live)


def clock_skew(live: LiveVerifier) -> Request:
    return signed(live, HWK.of(KEY.public), created=int(time.time()) + WINDOW_S + 60)


PROVOCATIONS: tuple[Callable[[LiveVerifier], Request], ...] = (
    unsupported_algorithm,
    unsupported_scheme,
    cache_miss,
    invalid_signature,
    invalid_input,
    invalid_request,
    invalid_key,
    unknown_key,
    issuer_missing,
    issuer_mismatch,
    invalid_jwt,
    expired_jwt,
    revoked_jwt,
    clock_skew,
)


@pytest.mark.spec("signature-key#5.4")
def test_there_are_fourteen_and_none_is_left_out() -> None:
    assert [provoke.__name__ for provoke in PROVOCATIONS] == list(SIGNATURE_ERRORS)
    assert len(PROVOCATIONS) == 14


@pytest.mark.spec("signature-key#5.1", "signature-key#5.2", "signature-key#5.4", "#authentication-errors")
@pytest.mark.parametrize("provoke", PROVOCATIONS, ids=lambda provoke: provoke.__name__)
def test_each_error_is_answered_with_its_code_in_header_and_body(
    live: LiveVerifier, transport: SyncTransport, provoke: Callable[[LiveVerifier], Request]
) -> None:
    code = provoke.__name__
    response = transport.send(Send(provoke(live)))

    assert response.status == 401
    error = parse_signature_error(response.headers)
    assert error is not None
    assert error.code == code
    document = response.json()
    assert response.headers.get("content-type") == "application/problem+json"
    assert document["type"] == f"urn:ietf:params:sig-error:{code}"
    assert (document["status"], document["error"]) == (401, code)
    assert parsedate_to_datetime(response.headers.get("date") or "") is not None
    if code == "invalid_input":
        assert error.members()["required_input"] == (
            "@method",
            "@authority",
            "@path",
            "signature-key",
            "@query",
            "x-tenant",
        )


@pytest.mark.spec("signature-key#4.4", "signature-key#4.1", "signature-key#4.2")
@pytest.mark.parametrize("provoke", [unsupported_scheme, unsupported_algorithm, invalid_signature, cache_miss])
def test_an_error_says_what_would_have_worked(
    live: LiveVerifier, transport: SyncTransport, provoke: Callable[[LiveVerifier], Request]
) -> None:
    headers = transport.send(Send(provoke(live))).headers
    assert accepted_tokens(headers, "accept-signature-scheme") == SCHEMES
    assert accepted_tokens(headers, "accept-signature-alg") == live.policy.algorithms


@pytest.mark.spec("signature-key#5.3")
def test_whoever_is_known_and_not_let_in_gets_none_of_the_headers(live: LiveVerifier, transport: SyncTransport) -> None:
    live.judge = lambda request, caller: error_response(AccessDenied("Not you."))
    response = transport.send(Send(by_token(live)))
    assert response.status == 403
    for name in ("signature-error", "accept-signature-scheme", "accept-signature-alg"):
        assert name not in response.headers


@pytest.mark.spec("signature-key#3.6", "signature-key#3.7", "signature-key#3.9")
def test_the_schemes_that_fetch_their_key_verify_over_http(live: LiveVerifier, transport: SyncTransport) -> None:
    key, url = live.provider_key, f"{live.provider}/jwks.json"
    claims = {"iss": live.provider, "dwk": "aauth-agent.json", "aud": live.issuer, "exp": int(time.time()) + 60}
    event = SelfJWT(jws.sign({"typ": "event+jwt", "kid": key.kid}, claims, key))
    for scheme, signer in (
        (JWKSURI(live.provider, "aauth-agent.json", key.kid), None),
        (DirectJWKS(url, key.kid), ["jwks", url]),
        (event, ["self-jwt", live.provider]),
    ):
        response = transport.send(Send(signed(live, scheme, key)))
        assert (response.status, response.json()) == (200, {"level": "IDENTIFIED", "signer": signer})


@pytest.mark.spec("signature-key#3.7", "signature-key#3.10", "signature-key#7.2")
def test_a_blocking_verifier_fetches_key_sets_and_certificates_once(live: LiveVerifier) -> None:
    root = Authority("Root", at=time.time())
    leaf, url = root.certify(KEY), f"{live.provider}/chain.pem"
    live.documents[url] = pem(leaf)
    support = SchemeSupport(certificates=TrustedRoots([root.certificate]))
    asked: list[str] = []

    class Counting(SyncTransport):
        def send(self, effect: Send) -> Response:
            asked.append(effect.request.url)
            return super().send(effect)

    with Wire(Counting(dev=True), Directory(dev=True)) as wire:
        for scheme, key in (
            (DirectJWKS(f"{live.provider}/jwks.json", "p1"), live.provider_key),
            (X509(url, x5t_of(leaf)), KEY),
        ) * 2:
            flow = authenticate(
                signed(live, scheme, key),
                now=time.time(),
                signature=SignaturePolicy(schemes=("jwks", "x509")),
                tokens=VerificationPolicy(dev=True),
                accepted=(),
                support=support,
            )
            assert wire.run(flow).key == key.public
    assert asked == [f"{live.provider}/jwks.json", url]


# --------------------------------------------------------------------------- a client that recovers, in one retry


def agent_for(live: LiveVerifier, *, ahead_s: float = 0.0, **options: Any) -> Agent:
    clock = lambda: time.time() + ahead_s  # noqa: E731
    source = SelfIssued(live.provider, f"aauth:a@ap.localhost:{live.port}", live.provider_key, clock, dev=True)
    return Agent(source, **{"dev": True, "clock": clock, "on_interaction": None, **options})


def fetch(live: LiveVerifier, agent: Agent) -> int:
    status: int = agent.get(f"{live.issuer}/calendar?day=1").status_code
    return status


def first_token_is(live: LiveVerifier, error: type[ExpiredJWT] | type[RevokedJWT]) -> None:
    refused: list[AgentToken] = []

    def judge(request: Request, caller: Caller) -> Response | None:
        token = caller.agent_token
        if token is not None and (not refused or token == refused[0]):
            refused.append(token)
            raise error("A fresh one would do.")
        return None

    live.judge = judge


def expect_one_retry(live: LiveVerifier, **options: Any) -> list[str]:
    """The agent gets there in two requests; the schemes it signed them with."""
    with agent_for(live, **options) as agent:
        assert fetch(live, agent) == 200
        assert len(live.requests) == 2
        assert fetch(live, agent) == 200
        assert len(live.requests) == 3, "what was learned is remembered"
    return [scheme_of(request) for request in live.requests]


def scheme_of(request: Request) -> str:
    return (request.headers.get("signature-key") or "").partition("=")[2].partition(";")[0]


@pytest.mark.spec("signature-key#5.4", "#covered-components")
def test_invalid_input_is_recovered_from(live: LiveVerifier) -> None:
    live.policy = replace(live.policy, components=("@query",))
    expect_one_retry(live)


@pytest.mark.spec("signature-key#5.4")
@pytest.mark.parametrize("error", [ExpiredJWT, RevokedJWT])
def test_an_expired_or_revoked_token_is_replaced(
    live: LiveVerifier, error: type[ExpiredJWT] | type[RevokedJWT]
) -> None:
    first_token_is(live, error)
    expect_one_retry(live)


@pytest.mark.spec("signature-key#5.4")
@pytest.mark.parametrize("ahead_s", [600.0, -600.0], ids=["clock_skew", "invalid_signature"])
def test_a_wrong_clock_is_corrected(live: LiveVerifier, ahead_s: float) -> None:
    assert expect_one_retry(live, ahead_s=ahead_s, opening="pseudonym") == ["hwk"] * 3


@pytest.mark.spec("signature-key#5.4", "signature-key#4.9")
@pytest.mark.parametrize(
    ("schemes", "opening", "signed_with"),
    [(("jwt",), "pseudonym", ["hwk", "jwt", "jwt"]), (("x510", "hwk"), "agent-token", ["jwt", "hwk", "hwk"])],
)
def test_unsupported_scheme_is_recovered_from(
    live: LiveVerifier, schemes: tuple[str, ...], opening: str, signed_with: list[str]
) -> None:
    live.policy = SignaturePolicy(schemes=schemes)
    assert expect_one_retry(live, opening=opening) == signed_with


@pytest.mark.spec("signature-key#5.4", "signature-key#4.2")
def test_unsupported_algorithm_is_recovered_from_by_a_key_that_fits(live: LiveVerifier) -> None:
    live.policy = replace(live.policy, algorithms=("ES256",))
    expect_one_retry(live, opening="pseudonym")
    assert 'alg="ES256"' in (live.requests[-1].headers.get("signature-key") or "")


@pytest.mark.spec("signature-key#3.11", "signature-key#5.4", "signature-key#6")
def test_a_token_is_sent_once_and_again_after_a_cache_miss(live: LiveVerifier) -> None:
    with agent_for(live) as agent:
        for _ in range(4):
            assert fetch(live, agent) == 200
        assert [scheme_of(request) for request in live.requests] == ["jwt", "jwt", "cached", "cached"]
        cid = (live.requests[-1].headers.get("signature-key") or "").split('"')[1]
        live.assertions.discard(cid)
        assert fetch(live, agent) == 200
        assert [scheme_of(request) for request in live.requests[4:]] == ["cached", "jwt"]
        assert fetch(live, agent) == 200
        assert scheme_of(live.requests[-1]) == "cached"
        assert cid not in (live.requests[-1].headers.get("signature-key") or "")


@pytest.mark.spec("signature-key#6.2")
def test_a_server_that_stopped_caching_is_sent_the_token_again(live: LiveVerifier) -> None:
    with agent_for(live) as agent:
        for _ in range(3):
            fetch(live, agent)
        live.policy = SignaturePolicy(schemes=("jwt",))
        assert fetch(live, agent) == 200
        assert fetch(live, agent) == 200
        assert [scheme_of(request) for request in live.requests[3:]] == ["cached", "jwt", "jwt"]
        assert ";cache" not in (live.requests[-1].headers.get("signature-key") or "")


@pytest.mark.spec("signature-key#4.5", "signature-key#4.7", "signature-key#4.9")
@pytest.mark.parametrize("status", [401, 402, 429])
def test_an_unsigned_request_is_signed_once_when_the_answer_says_that_it_helps(live: LiveVerifier, status: int) -> None:
    headers = [
        *accept_signature(("x510", "hwk"), ("ML-DSA-999", "ES256")),
        ("retry-after", "3600"),
        ("www-authenticate", 'Payment id="1"'),
    ]
    live.judge = lambda request, caller: None if caller.key else json_response(status, {}, headers=headers)
    assert expect_one_retry(live, opening="anonymous") == ["", "hwk", "hwk"]
    assert 'alg="ES256"' in (live.requests[-1].headers.get("signature-key") or "")


@pytest.mark.spec("signature-key#4.9", "signature-key#4.1", "signature-key#4.2")
@pytest.mark.parametrize(
    ("schemes", "algorithms"), [(("x510", "cached"), ()), (("hwk",), ("ML-DSA-999",)), (("HWK",), ()), ((), ("ES256",))]
)
@pytest.mark.parametrize("status", [401, 402, 429])
def test_nothing_is_signed_when_nothing_listed_is_known(
    live: LiveVerifier, status: int, schemes: tuple[str, ...], algorithms: tuple[str, ...]
) -> None:
    headers = accept_signature(schemes, algorithms)
    live.judge = lambda request, caller: json_response(status, {}, headers=headers)
    with agent_for(live, opening="anonymous") as agent:
        assert fetch(live, agent) == status
    assert len(live.requests) == 1


@pytest.mark.spec("signature-key#4.9")
@pytest.mark.parametrize("status", [402, 429])
def test_a_signed_request_that_is_slowed_down_or_to_be_paid_is_not_sent_again(live: LiveVerifier, status: int) -> None:
    headers = accept_signature(("hwk", "jwt"), ())
    live.judge = lambda request, caller: json_response(status, {}, headers=headers)
    with agent_for(live) as agent:
        assert fetch(live, agent) == status
    assert len(live.requests) == 1


@pytest.mark.spec("signature-key#5.4")
@pytest.mark.parametrize("error", [*SIGNATURE_ERRORS.values()], ids=[*SIGNATURE_ERRORS])
def test_no_server_gets_an_agent_to_go_on_for_ever(live: LiveVerifier, error: type) -> None:
    live.judge = lambda request, caller: error_response(error("Never."))
    with agent_for(live) as agent, pytest.raises(RequestRefused, match=error.code):  # type: ignore[attr-defined]
        fetch(live, agent)
    assert len(live.requests) <= 2
