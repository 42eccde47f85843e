from __future__ import annotations

from typing import Any

import pytest

from aauthlib.errors import (
    AAuthError,
    ClockSkew,
    ExpiredJWT,
    InvalidInput,
    InvalidJWT,
    InvalidKey,
    InvalidSignature,
    IssuerMismatch,
    IssuerMissing,
    SignatureError,
    UnknownKey,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, SignatureKey, SignaturePolicy, content_digest, sign
from aauthlib.keys import SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, TokenCache, VerificationPolicy, issue_jkt_jwt
from aauthlib.verification import Caller, Level, authenticate
from tests.tokens.minting import AGENT_KEY, AP, CLAIMS, ISSUER_KEY, NOW, OTHER_KEY, PS, RESOURCE, Issuers, mint

ALL_SCHEMES = SignaturePolicy(schemes=("jwt", "hwk", "jkt-jwt", "jwks_uri"))
ALL_TOKENS = (AgentToken, PersonToken, AuthToken)
LEVELS = {
    "aa-agent+jwt": Level.IDENTIFIED,
    "aa-person+jwt": Level.PERSON,
    "aa-auth+jwt": Level.AUTHORIZED,
}
TYPES = pytest.mark.parametrize("typ", LEVELS)
DURABLE = SigningKey.generate("ES256")


def request(method: str = "GET", target: str = "/calendar?day=1", body: bytes = b"", **headers: str) -> Request:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if body:
        fields.setdefault("content-type", "application/json")
    return Request(method, RESOURCE + target, Fields(fields), body)


def signed(
    scheme: SignatureKey, key: SigningKey = AGENT_KEY, message: Request | None = None, **options: Any
) -> Request:
    return sign(message or request(), key, scheme, **{"created": int(NOW), **options})


def caller_of(
    message: Request,
    issuers: Issuers | None = None,
    *,
    policy: SignaturePolicy = ALL_SCHEMES,
    tokens: VerificationPolicy = VerificationPolicy(),  # noqa: B008
    accepted: Any = ALL_TOKENS,
    cache: TokenCache | None = None,
    now: float = NOW,
) -> Caller:
    flow = authenticate(message, now=now, signature=policy, tokens=tokens, accepted=accepted, cache=cache)
    return (issuers or Issuers()).run(flow)


def refuse(
    message: Request, error: type[AAuthError], *, fetches: int = 0, issuers: Issuers | None = None, **options: Any
) -> SignatureError:
    """`message` is refused with exactly `error`, after `fetches` keys were asked for, and is answered with `401`."""
    issuers = issuers or Issuers()
    with pytest.raises(SignatureError) as caught:
        caller_of(message, issuers, **options)
    assert type(caught.value) is error
    assert len(issuers.asked) == fetches
    response = error_response(caught.value)
    assert response.status == 401
    assert f"error={caught.value.code}" in (response.headers.get("signature-error") or "")
    return caught.value


# --------------------------------------------------------------------------- who is calling


def test_an_unsigned_request_is_an_anonymous_caller() -> None:
    caller = caller_of(request())

    assert (caller.level, caller.key, caller.token, caller.pseudonym) == (Level.ANONYMOUS, None, None, None)


@TYPES
@pytest.mark.spec("#verification", "signature-key#3.8")
def test_a_token_and_a_signature_by_its_key_make_a_caller(typ: str) -> None:
    caller = caller_of(signed(JWT(mint(typ))))

    assert caller.level is LEVELS[typ]
    assert caller.key == AGENT_KEY.public
    assert caller.token is not None
    assert caller.token.typ == typ
    assert caller.pseudonym == AGENT_KEY.thumbprint


@pytest.mark.spec("#resource-token")
def test_a_resource_token_can_be_issued_against_a_person_or_auth_token_only() -> None:
    presented = {typ: caller_of(signed(JWT(mint(typ)))).presented for typ in LEVELS}

    assert presented["aa-agent+jwt"] is None
    assert isinstance(presented["aa-person+jwt"], PersonToken)
    assert isinstance(presented["aa-auth+jwt"], AuthToken)


@pytest.mark.spec("signature-key#3.4")
def test_an_inline_key_makes_a_pseudonymous_caller() -> None:
    caller = caller_of(signed(HWK.of(AGENT_KEY.public)))

    assert (caller.level, caller.pseudonym, caller.token) == (Level.PSEUDONYM, AGENT_KEY.thumbprint, None)


@pytest.mark.parametrize("typ", ["jkt-s256+jwt", "jkt-s512+jwt"])
@pytest.mark.spec("signature-key#3.5")
def test_the_durable_key_is_the_pseudonym_of_a_delegation(typ: str) -> None:
    text = issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="j", now=NOW, typ=typ)

    caller = caller_of(signed(JKTJWT(text)))

    assert (caller.level, caller.pseudonym) == (Level.PSEUDONYM, DURABLE.thumbprint)
    assert caller.key == AGENT_KEY.public


@pytest.mark.parametrize("dwk", ["aauth-agent.json", "aauth-person.json", "aauth-resource.json", "aauth-access.json"])
@pytest.mark.spec("#keying-material", "signature-key#3.6")
def test_a_server_signs_in_its_own_right(dwk: str) -> None:
    issuers = Issuers()

    caller = caller_of(signed(JWKSURI(PS, dwk, ISSUER_KEY.kid), ISSUER_KEY), issuers)

    assert caller.level is Level.IDENTIFIED
    assert caller.server is not None
    assert (caller.server.id, caller.server.dwk) == (PS, dwk)
    assert [(asked.issuer, asked.dwk, asked.kid) for asked in issuers.asked] == [(PS, dwk, ISSUER_KEY.kid)]


def test_a_higher_credential_satisfies_every_lower_level() -> None:
    assert sorted(Level) == [
        Level.ANONYMOUS, Level.PSEUDONYM, Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED,
    ]  # fmt: skip


# --------------------------------------------------------------------------- stolen and confused


@TYPES
@pytest.mark.spec("#proof-of-possession")
def test_a_stolen_token_signed_by_another_key_is_refused(typ: str) -> None:
    refuse(signed(JWT(mint(typ)), OTHER_KEY), InvalidSignature, fetches=1)


@pytest.mark.spec("#proof-of-possession", "signature-key#3.5")
def test_a_stolen_delegation_signed_by_another_key_is_refused() -> None:
    text = issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="j", now=NOW)

    refuse(signed(JKTJWT(text), OTHER_KEY), InvalidSignature)


@pytest.mark.spec("signature-key#3.4")
def test_an_inline_key_that_did_not_sign_is_refused() -> None:
    refuse(signed(HWK.of(AGENT_KEY.public), OTHER_KEY), InvalidSignature)


@pytest.mark.spec("#keying-material")
def test_nobody_signs_for_a_server_without_its_key() -> None:
    refuse(signed(JWKSURI(PS, "aauth-person.json", ISSUER_KEY.kid), OTHER_KEY), InvalidSignature, fetches=2)


@TYPES
@pytest.mark.spec("#proof-of-possession")
def test_a_token_taken_from_a_cache_is_still_bound_to_its_key(typ: str) -> None:
    cache = TokenCache()
    caller_of(signed(JWT(mint(typ))), cache=cache)

    refuse(signed(JWT(mint(typ)), OTHER_KEY), InvalidSignature, cache=cache)


@TYPES
@pytest.mark.spec("#proof-of-possession")
def test_a_token_as_a_bearer_credential_buys_nothing(typ: str) -> None:
    caller = caller_of(request(authorization=f"Bearer {mint(typ)}"))

    assert caller.level is Level.ANONYMOUS


@pytest.mark.spec("#proof-of-possession")
def test_a_token_in_signature_key_without_a_signature_is_refused() -> None:
    message = signed(JWT(mint("aa-auth+jwt")))

    refuse(message.with_headers(signature=None), InvalidSignature)
    refuse(message.with_headers(signature=None, signature_input=None), InvalidSignature)


@pytest.mark.parametrize("scheme", ["hwk", "jkt-jwt", "jwks_uri"])
@pytest.mark.spec("#scheme-rejection", "signature-key#4.1")
def test_another_scheme_where_a_token_is_required_is_refused_and_the_accepted_one_named(scheme: str) -> None:
    keys: dict[str, SignatureKey] = {
        "hwk": HWK.of(AGENT_KEY.public),
        "jkt-jwt": JKTJWT(issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="j", now=NOW)),
        "jwks_uri": JWKSURI(PS, "aauth-person.json", ISSUER_KEY.kid),
    }

    error = refuse(signed(keys[scheme]), UnsupportedScheme, policy=SignaturePolicy())

    assert error_response(error).headers.get("accept-signature-scheme") == "jwt"


@pytest.mark.parametrize("value", ['sig=x509;x5u="https://a.example/c"', 'sig=self-jwt;jwt="x"', "sig=novel", "sig=7"])
@pytest.mark.spec("#verification", "#scheme-rejection")
def test_an_unknown_scheme_is_refused_in_no_scheme_specific_manner(value: str) -> None:
    message = signed(JWT(mint("aa-agent+jwt"))).with_headers(signature_key=value)

    refuse(message, UnsupportedScheme)


@pytest.mark.spec("#person-token-not-authorization")
def test_a_person_token_where_an_auth_token_is_required_is_refused() -> None:
    refuse(signed(JWT(mint("aa-person+jwt"))), InvalidJWT, accepted=(AuthToken,))


@pytest.mark.spec("#verification")
def test_a_resource_token_is_no_credential() -> None:
    refuse(signed(JWT(mint("aa-resource+jwt"))), InvalidJWT)


@pytest.mark.spec("signature-key#3.5")
def test_a_self_issued_delegation_is_no_token_of_an_issuer() -> None:
    text = issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="j", now=NOW)

    refuse(signed(JWT(text)), InvalidJWT)
    refuse(signed(JKTJWT(mint("aa-agent+jwt"))), InvalidJWT)


# --------------------------------------------------------------------------- altered on the way


@pytest.mark.parametrize(
    "alter",
    [
        lambda m: Request("POST", m.url, m.headers, m.body),
        lambda m: Request(m.method, m.url.replace("resource.", "other."), m.headers, m.body),
        lambda m: Request(m.method, m.url.replace("/calendar", "/mail"), m.headers, m.body),
        lambda m: Request(m.method, m.url.replace("/calendar", "/%63alendar"), m.headers, m.body),
        lambda m: Request(m.method, m.url.replace("/calendar", "//calendar"), m.headers, m.body),
        lambda m: Request(m.method, m.url.replace("/calendar", "/calendar/"), m.headers, m.body),
        lambda m: m.with_headers(authorization="AAuth another"),
    ],
)
@pytest.mark.spec("#covered-components", "rfc9421#3.2")
def test_what_the_signature_covers_cannot_be_altered(alter: Any) -> None:
    message = signed(JWT(mint("aa-agent+jwt")), message=request(authorization="AAuth token"))
    assert caller_of(message).level is Level.IDENTIFIED

    refuse(alter(message), InvalidSignature, fetches=1)


@pytest.mark.spec("signature-key#7.8")
def test_a_signature_cannot_be_moved_to_another_token_of_the_same_key() -> None:
    message = signed(JWT(mint("aa-agent+jwt")))
    stolen = message.with_headers(signature_key=f'sig=jwt;jwt="{mint("aa-auth+jwt")}"')

    refuse(stolen, InvalidSignature, fetches=1)


@pytest.mark.spec("signature-key#7.8")
def test_a_signature_cannot_be_moved_to_the_same_key_under_another_scheme() -> None:
    message = signed(JWT(mint("aa-agent+jwt")))
    moved = message.with_headers(signature_key=signed(HWK.of(AGENT_KEY.public)).headers.get("signature-key"))

    refuse(moved, InvalidSignature)


@pytest.mark.parametrize("component", ["@method", "@authority", "@path", "signature-key"])
@pytest.mark.spec("#covered-components", "#verification")
def test_a_signature_that_leaves_out_a_base_component_is_refused_and_told_what_to_cover(component: str) -> None:
    message = signed(JWT(mint("aa-agent+jwt")))
    value = (message.headers.get("signature-input") or "").replace(f'"{component}"', "").replace("  ", " ")
    stripped = message.with_headers(signature_input=value.replace("( ", "(").replace(" )", ")"))

    error = refuse(stripped, InvalidInput)

    assert isinstance(error, InvalidInput)
    assert component in error.required_input


@pytest.mark.spec("#aauth-access", "#covered-components")
def test_a_session_token_must_be_covered() -> None:
    message = signed(JWT(mint("aa-agent+jwt")))
    added = Request(message.method, message.url, message.headers.added([("authorization", "AAuth stolen")]))

    refuse(added, InvalidInput)


@pytest.mark.spec("#covered-components")
def test_a_body_must_be_covered_where_the_endpoint_asks_for_it() -> None:
    policy = SignaturePolicy(cover_body=True)
    message = request("POST", "/token", b'{"a":1}')

    assert caller_of(signed(JWT(mint("aa-agent+jwt")), message=message), policy=policy).level is Level.IDENTIFIED
    error = refuse(signed(JWT(mint("aa-agent+jwt")), message=message, cover_body=False), InvalidInput, policy=policy)
    assert isinstance(error, InvalidInput)
    assert {"content-digest", "content-type"} <= set(error.required_input)


@pytest.mark.parametrize("digest", ["kept", "recomputed", "removed"])
@pytest.mark.spec("#covered-components")
def test_a_covered_body_cannot_be_altered(digest: str) -> None:
    message = signed(JWT(mint("aa-agent+jwt")), message=request("POST", "/token", b'{"amount":1}'))
    evil = b'{"amount":1000}'
    headers = message.headers
    if digest != "kept":
        headers = headers.with_(content_digest=content_digest(evil) if digest == "recomputed" else None)

    refuse(Request(message.method, message.url, headers, evil), InvalidSignature, fetches=1)


@pytest.mark.spec("#covered-components")
def test_the_type_of_a_covered_body_cannot_be_altered() -> None:
    message = signed(JWT(mint("aa-agent+jwt")), message=request("POST", "/token", b"{}"))

    refuse(message.with_headers(content_type="text/plain"), InvalidSignature, fetches=1)


# --------------------------------------------------------------------------- freshness


@pytest.mark.parametrize(("created", "error"), [(-61, InvalidSignature), (61, ClockSkew)])
@pytest.mark.spec("#verification", "#freshness-and-replay")
def test_a_signature_outside_the_window_is_refused(created: int, error: type[AAuthError]) -> None:
    refuse(signed(JWT(mint("aa-agent+jwt")), created=int(NOW) + created), error)


@pytest.mark.parametrize("created", [-60, 60])
@pytest.mark.spec("#verification")
def test_a_signature_at_the_edge_of_the_window_is_taken(created: int) -> None:
    assert caller_of(signed(JWT(mint("aa-agent+jwt")), created=int(NOW) + created)).level is Level.IDENTIFIED


@pytest.mark.spec("#freshness-and-replay")
def test_expires_is_honoured() -> None:
    message = signed(JWT(mint("aa-agent+jwt")), expires=int(NOW) + 5)

    assert caller_of(message).level is Level.IDENTIFIED
    refuse(message, InvalidSignature, now=NOW + 5)


@pytest.mark.parametrize("header", ["signature", "signature_input", "signature_key"])
@pytest.mark.spec("#verification")
def test_a_missing_signature_header_is_an_invalid_signature(header: str) -> None:
    refuse(signed(JWT(mint("aa-agent+jwt"))).with_headers(**{header: None}), InvalidSignature)


# --------------------------------------------------------------------------- the token's own failures


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"exp": int(NOW)}, ExpiredJWT),
        ({"iat": int(NOW) + 61}, ClockSkew),
        ({"iss": "nonsense"}, InvalidJWT),
        ({"dwk": "aauth-person.json"}, InvalidJWT),
        ({"cnf": {}}, InvalidJWT),
        ({"cnf": {"jwk": {"kty": "OKP", "alg": "Ed25519"}}}, InvalidJWT),
        ({"cnf": {"jwk": {**AGENT_KEY.public.to_jwk(), "x": "AA"}}}, InvalidKey),
        ({"cnf": {"jwk": {**AGENT_KEY.public.to_jwk(), "alg": "EdDSA"}}}, UnsupportedAlgorithm),
        ({"sub": "aauth:somebody@elsewhere.example"}, InvalidJWT),
    ],
)
@pytest.mark.spec("#verification", "#common-verification")
def test_nothing_is_fetched_for_a_token_that_would_be_refused_anyway(
    claims: dict[str, Any], error: type[AAuthError]
) -> None:
    refuse(signed(JWT(mint("aa-agent+jwt", **claims))), error)


@pytest.mark.spec("#verification", "signature-key#4.2")
def test_an_unsupported_algorithm_is_answered_with_exactly_what_is_accepted() -> None:
    jwk = {**AGENT_KEY.public.to_jwk(), "alg": "EdDSA"}

    error = refuse(signed(JWT(mint("aa-agent+jwt", cnf={"jwk": jwk}))), UnsupportedAlgorithm)

    assert error_response(error).headers.get("accept-signature-alg") == "Ed25519, ES256"


@pytest.mark.parametrize("scheme", ["jwt", "hwk", "jkt-jwt", "jwks_uri"])
@pytest.mark.spec("#verification", "signature-key#7.4")
def test_no_scheme_brings_in_an_algorithm_that_is_not_accepted(scheme: str) -> None:
    keys: dict[str, tuple[SignatureKey, SigningKey]] = {
        "jwt": (JWT(mint("aa-agent+jwt")), AGENT_KEY),
        "hwk": (HWK.of(AGENT_KEY.public), AGENT_KEY),
        "jkt-jwt": (JKTJWT(issue_jkt_jwt(DURABLE, AGENT_KEY.public, jti="j", now=NOW)), AGENT_KEY),
        "jwks_uri": (JWKSURI(PS, "aauth-person.json", ISSUER_KEY.kid), ISSUER_KEY),
    }
    key, signer = keys[scheme]
    policy = SignaturePolicy(schemes=ALL_SCHEMES.schemes, algorithms=("ES256",))

    issuers = Issuers()
    with pytest.raises(UnsupportedAlgorithm) as caught:
        caller_of(signed(key, signer), issuers, policy=policy)

    assert caught.value.accepted == ("ES256",)


@pytest.mark.parametrize("error", [UnknownKey, IssuerMissing, IssuerMismatch, InvalidKey])
@pytest.mark.spec("#verification", "#metadata-documents")
def test_what_finding_the_issuers_key_says_is_what_the_caller_is_told(error: type[SignatureError]) -> None:
    refuse(signed(JWT(mint("aa-agent+jwt"))), error, fetches=1, issuers=Issuers(fail=error("no")))
    refuse(
        signed(JWKSURI(PS, "aauth-person.json", ISSUER_KEY.kid), ISSUER_KEY),
        error,
        fetches=1,
        issuers=Issuers(fail=error("no")),
    )


@pytest.mark.spec("#jwks-discovery")
def test_a_token_whose_signature_fails_gets_one_more_look_at_the_keys() -> None:
    forged = mint("aa-agent+jwt", key=SigningKey.generate(kid=ISSUER_KEY.kid))

    refuse(signed(JWT(forged)), InvalidJWT, fetches=2)


@pytest.mark.spec("#jwks-discovery")
def test_a_server_that_re_keyed_under_the_same_kid_is_recognised() -> None:
    new = SigningKey.generate(kid=ISSUER_KEY.kid)
    issuers = Issuers(renewed={(PS, ISSUER_KEY.kid): new.public})

    caller = caller_of(signed(JWKSURI(PS, "aauth-person.json", new.kid), new), issuers)

    assert caller.key == new.public
    assert [asked.changed_since_use for asked in issuers.asked] == [False, True]


@pytest.mark.parametrize(
    "id_", ["http://ps.example", "https://ps.example/", "https://127.0.0.1", "ps.example", "https://PS.example"]
)
@pytest.mark.spec("#server-identifiers", "#keying-material")
def test_a_signing_server_that_is_no_server_identifier_is_refused_without_a_fetch(id_: str) -> None:
    refuse(signed(JWKSURI(id_, "aauth-person.json", "k"), ISSUER_KEY), InvalidKey)


@pytest.mark.parametrize("dwk", ["openid-configuration", "../secret.json", "aauth-agent.json/.."])
@pytest.mark.spec("#keying-material")
def test_no_other_document_than_aauths_own_is_fetched_for_a_key(dwk: str) -> None:
    refuse(signed(JWKSURI(PS, dwk, "k"), ISSUER_KEY), UnknownKey)


@pytest.mark.parametrize("change", [{"x": "AAAA"}, {"crv": "X25519"}, {"d": "AAAA"}, {"kid": "k"}])
@pytest.mark.spec("#verification", "signature-key#3.4")
def test_an_inline_key_that_is_none_is_an_invalid_key(change: dict[str, str]) -> None:
    refuse(signed(HWK({**AGENT_KEY.public.jwk, **change})), InvalidKey)


# --------------------------------------------------------------------------- keyid, labels


def with_keyid(keyid: str) -> Request:
    """Signed by hand, since our own signer never writes `keyid`."""
    message = signed(JWT(mint("aa-agent+jwt")))
    params = (message.headers.get("signature-input") or "").partition("=")[2] + f';keyid="{keyid}"'
    lines = [
        '"@method": GET', '"@authority": resource.example', '"@path": /calendar',
        f'"signature-key": {message.headers.get("signature-key")}', f'"@signature-params": {params}',
    ]  # fmt: skip
    from base64 import b64encode

    signature = b64encode(AGENT_KEY.sign("\n".join(lines).encode())).decode()
    return message.with_headers(signature_input=f"sig={params}", signature=f"sig=:{signature}:")


@pytest.mark.spec("#signature-parameters")
def test_a_keyid_must_name_the_same_key_as_signature_key() -> None:
    assert caller_of(with_keyid(AGENT_KEY.thumbprint)).level is Level.IDENTIFIED

    error = refuse(with_keyid(OTHER_KEY.thumbprint), InvalidSignature, fetches=1)
    assert "keyid" in error.detail


def two(first: Request, second: Request) -> Request:
    """Both signatures on one request. Each covers `signature-key`, so only what covers the whole value verifies."""
    return first.with_headers(
        **{
            name: f"{first.headers.get(name.replace('_', '-'))}, {second.headers.get(name.replace('_', '-'))}"
            for name in ("signature", "signature_input", "signature_key")
        }
    )


@pytest.mark.spec("signature-key#3.2", "signature-key#7.8")
def test_a_signature_that_did_not_cover_the_label_added_beside_it_is_refused() -> None:
    ours = signed(JWT(mint("aa-agent+jwt")), label="sig")
    strangers = signed(HWK.of(OTHER_KEY.public), OTHER_KEY, label="other")

    refuse(two(ours, strangers), InvalidSignature, fetches=1)


@pytest.mark.spec("signature-key#3.1")
def test_a_label_that_is_not_in_all_three_headers_is_not_verified() -> None:
    message = signed(JWT(mint("aa-agent+jwt")), label="sig")
    value = (message.headers.get("signature-key") or "").replace("sig=", "gis=", 1)

    refuse(message.with_headers(signature_key=value), InvalidSignature)


@pytest.mark.spec("signature-key#3.2")
def test_a_label_of_an_accepted_scheme_is_chosen_over_one_that_is_not() -> None:
    """The stranger's label comes first; ours is chosen, and fails only because the stranger's was added later."""
    ours = signed(JWT(mint("aa-agent+jwt")), label="sig")
    strangers = signed(HWK.of(OTHER_KEY.public), OTHER_KEY, label="other")

    refuse(two(strangers, ours), InvalidSignature, fetches=1, policy=SignaturePolicy())


# --------------------------------------------------------------------------- the cache


@TYPES
@pytest.mark.spec("signature-key#7.2")
def test_the_second_request_with_a_token_asks_for_no_key(typ: str) -> None:
    cache, issuers = TokenCache(), Issuers()

    for _ in range(3):
        assert caller_of(signed(JWT(mint(typ))), issuers, cache=cache).level is LEVELS[typ]

    assert len(issuers.asked) == 1


@pytest.mark.spec("#person-token-not-authorization")
def test_a_cached_person_token_is_still_none_where_an_auth_token_is_required() -> None:
    cache = TokenCache()
    message = signed(JWT(mint("aa-person+jwt")))
    caller_of(message, cache=cache)

    refuse(message, InvalidJWT, cache=cache, accepted=(AuthToken,))


@pytest.mark.spec("#common-verification")
def test_a_cached_token_expires_between_two_requests() -> None:
    cache = TokenCache()
    exp = CLAIMS["aa-person+jwt"]["exp"]
    caller_of(signed(JWT(mint("aa-person+jwt")), created=exp - 1), cache=cache, now=exp - 1)

    refuse(signed(JWT(mint("aa-person+jwt")), created=exp), ExpiredJWT, cache=cache, now=exp)


@pytest.mark.spec("#agent-identity")
def test_no_error_tells_what_the_token_was() -> None:
    text = mint("aa-agent+jwt", iss=AP, exp=int(NOW))

    error = refuse(signed(JWT(text)), ExpiredJWT)

    assert text not in str(error)
    assert text not in error_response(error).body.decode()
