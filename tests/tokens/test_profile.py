"""What every AAuth token must be, whichever it is (#common-claims, #common-verification)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aauthlib.errors import (
    AAuthError,
    InvalidKey,
    TokenExpired,
    TokenFromFuture,
    TokenInvalid,
    UnknownKey,
    UnsupportedAlgorithm,
)
from aauthlib.keys import SigningKey
from aauthlib.tokens import (
    AgentToken,
    AuthToken,
    PersonToken,
    ResourceToken,
    Token,
    TokenCache,
    VerificationPolicy,
    issue_agent_token,
)
from aauthlib.tokens.profile import confirmation, issue, read

NOW = 1_800_000_000
ALL = (AgentToken, PersonToken, AuthToken, ResourceToken)


@pytest.fixture(params=ALL, ids=[cls.__name__ for cls in ALL])
def cls(request: pytest.FixtureRequest) -> type[Token]:
    kind: type[Token] = request.param
    return kind


@pytest.mark.spec("#common-verification", "#common-claims")
def test_a_good_token_verifies_and_says_who_issued_it(forge: Any, cls: type[Token]) -> None:
    text = forge.mint(cls)
    token = forge.verify(text, cls)
    assert type(token) is cls
    assert (token.raw, token.jti, token.iat, token.exp) == (text, "j1", NOW, NOW + 300)
    assert [(find.issuer, find.dwk, find.kid) for find in forge.fetched] == [
        (token.iss, token.dwk, forge.issuer_key.kid)
    ]


@pytest.mark.spec("#common-verification", "#person-token-not-authorization")
@pytest.mark.parametrize("other", ALL, ids=[cls.__name__ for cls in ALL])
def test_a_token_of_another_type_is_refused_before_anything_is_fetched(
    forge: Any, cls: type[Token], other: type[Token]
) -> None:
    if other is cls:
        return
    with pytest.raises(TokenInvalid, match="type"):
        forge.verify(forge.mint(other), cls)
    # An otherwise good token whose typ alone is another's.
    with pytest.raises(TokenInvalid, match="type"):
        forge.verify(forge.mint(cls, header={"typ": other.typ}), cls)
    assert forge.fetched == []


@pytest.mark.spec("#common-verification")
@pytest.mark.parametrize(
    "typ",
    [
        None,
        "",
        "JWT",
        "at+jwt",
        5,
        ["aa-agent+jwt"],
        "AA-AGENT+JWT",
        "application/aa-agent+jwt",
    ],
)
def test_typ_is_exact_and_is_looked_at_first(forge: Any, cls: type[Token], typ: object) -> None:
    text = forge.mint(cls, header={"typ": forge.absent if typ is None else typ}, exp=1, dwk="other", cnf=5)
    with pytest.raises(TokenInvalid, match="type"):
        forge.verify(text, cls)


@pytest.mark.spec("#common-claims", "#signature-algorithms")
@pytest.mark.parametrize("alg", ["none", "EdDSA", "HS256", "ES256"])
def test_another_alg_than_the_issuers_keys_is_refused(forge: Any, cls: type[Token], alg: str) -> None:
    with pytest.raises(TokenInvalid):
        forge.verify(forge.mint(cls, header={"alg": alg}), cls)


@pytest.mark.spec("#common-verification", "#signature-algorithms")
@pytest.mark.parametrize("alg", ["RS256", "ES384", "Ed448", "ML-DSA-65", "dir", ""])
def test_an_alg_that_is_not_accepted_is_refused_before_anything_is_fetched(
    forge: Any, cls: type[Token], alg: str
) -> None:
    with pytest.raises(UnsupportedAlgorithm, match="Ed25519, ES256") as raised:
        forge.verify(forge.mint(cls, header={"alg": alg}), cls)
    assert raised.value.accepted == ("Ed25519", "ES256")
    assert forge.fetched == []


@pytest.mark.spec("#common-claims")
@pytest.mark.parametrize("name", ["iss", "dwk", "jti", "iat", "exp"])
@pytest.mark.parametrize("value", [None, 5.5, [], {}, True, "", "x" * 5000, "a\0b"])
def test_each_common_claim_is_required_and_has_its_type(forge: Any, cls: type[Token], name: str, value: object) -> None:
    if name in ("iat", "exp") and value == 5.5:
        value = "soon"
    for wrong in (forge.absent, value):
        with pytest.raises(TokenInvalid):
            forge.verify(forge.mint(cls, **{name: wrong}), cls)
    assert forge.fetched == []


@pytest.mark.spec("#common-verification")
def test_a_critical_header_parameter_is_refused(forge: Any, cls: type[Token]) -> None:
    with pytest.raises(TokenInvalid, match="critical"):
        forge.verify(forge.mint(cls, header={"crit": ["b64"], "b64": False}), cls)


@pytest.mark.spec("#common-claims")
@pytest.mark.parametrize("kid", [None, "", 5, ["k"], "x" * 5000])
def test_the_header_needs_a_kid(forge: Any, cls: type[Token], kid: object) -> None:
    with pytest.raises(TokenInvalid, match="kid"):
        forge.verify(forge.mint(cls, header={"kid": forge.absent if kid is None else kid}), cls)


@pytest.mark.spec("#common-verification")
@pytest.mark.parametrize("dwk", ["aauth-other.json", "../aauth-agent.json", "AAUTH-AGENT.JSON", "openid-configuration"])
def test_keys_are_looked_for_only_in_the_types_own_document(forge: Any, cls: type[Token], dwk: str) -> None:
    with pytest.raises(TokenInvalid, match="dwk"):
        forge.verify(forge.mint(cls, dwk=dwk), cls)
    assert forge.fetched == []


@pytest.mark.spec("#common-verification")
@pytest.mark.parametrize(
    ("cls_", "dwks"),
    [
        (AgentToken, {"aauth-agent.json"}),
        (PersonToken, {"aauth-person.json"}),
        (AuthToken, {"aauth-person.json", "aauth-access.json"}),
        (ResourceToken, {"aauth-resource.json"}),
    ],
)
def test_the_documents_of_each_type(cls_: type[Token], dwks: set[str]) -> None:
    assert set(cls_.dwks) == dwks


@pytest.mark.spec("#common-verification", "#server-identifiers")
@pytest.mark.parametrize(
    "iss",
    [
        "http://ap.example",
        "https://ap.example/",
        "https://AP.example",
        "ap.example",
        "https://10.0.0.1",
        "https://localhost",
    ],
)
def test_the_issuer_is_a_server_identifier(forge: Any, cls: type[Token], iss: str) -> None:
    with pytest.raises(TokenInvalid, match="iss"):
        forge.verify(forge.mint(cls, iss=iss), cls)
    assert forge.fetched == []


# --------------------------------------------------------------------------- time


@pytest.mark.spec("#common-verification")
def test_exp_has_no_tolerance(forge: Any, cls: type[Token]) -> None:
    text = forge.mint(cls)
    assert forge.verify(text, cls, now=NOW + 299.999)
    for now in (NOW + 300, NOW + 301):
        with pytest.raises(TokenExpired):
            forge.verify(text, cls, now=now)


@pytest.mark.spec("#common-verification")
def test_an_iat_ahead_of_our_clock_is_tolerated_for_the_window_only(forge: Any, cls: type[Token]) -> None:
    text = forge.mint(cls, iat=NOW + 60)
    assert forge.verify(text, cls)
    with pytest.raises(TokenFromFuture):
        forge.verify(text, cls, now=NOW - 0.5)
    assert forge.verify(text, cls, now=NOW - 3000, policy=VerificationPolicy(iat_window_s=None))


@pytest.mark.spec("#common-verification")
def test_an_old_iat_is_no_reason_to_refuse(forge: Any) -> None:
    assert forge.verify(forge.mint(AgentToken, iat=NOW - 80_000), AgentToken)


@pytest.mark.spec("#common-verification", "#person-token-structure", "#auth-token-structure")
@pytest.mark.parametrize("kind", [PersonToken, AuthToken])
def test_person_and_auth_tokens_live_one_hour_at_most(forge: Any, kind: type[Token]) -> None:
    assert forge.verify(forge.mint(kind, exp=NOW + 3600), kind)
    for claims in ({"exp": NOW + 3601}, {"iat": NOW - 3600, "exp": NOW + 1}, {"iat": 0, "exp": NOW + 10}):
        with pytest.raises(TokenInvalid, match="3600"):
            forge.verify(forge.mint(kind, **claims), kind)
    assert len(forge.fetched) == 1


@pytest.mark.spec("#common-verification", "#untrusted-input")
@pytest.mark.parametrize("value", [-1, 10**30, 10**400, -(10**400), 1e300, 253_402_300_800])
def test_a_time_that_is_no_time_is_refused(forge: Any, cls: type[Token], value: float) -> None:
    for name in ("exp", "iat"):
        text = forge.mint(cls, **{name: 123456789.5}).split(".")
        from aauthlib.base64url import b64url_decode, b64url_encode

        payload = b64url_decode(text[1]).replace(b"123456789.5", str(value).encode())
        signing_input = f"{text[0]}.{b64url_encode(payload)}"
        forged = f"{signing_input}.{b64url_encode(forge.issuer_key.sign(signing_input.encode()))}"
        with pytest.raises(TokenInvalid):
            forge.verify(forged, cls)


@pytest.mark.spec("#common-claims")
def test_times_may_have_fractions(forge: Any, cls: type[Token]) -> None:
    token = forge.verify(forge.mint(cls, iat=NOW + 0.25, exp=NOW + 0.5), cls)
    assert token.exp == NOW + 0.5
    with pytest.raises(TokenExpired):
        forge.verify(token.raw, cls, now=NOW + 0.5)


# --------------------------------------------------------------------------- the issuer's signature


@pytest.mark.spec("#jwks-discovery", "#common-verification")
def test_a_key_that_does_not_fit_is_looked_up_once_more(forge: Any, cls: type[Token]) -> None:
    stale = SigningKey.generate().public
    forge.answers = [stale, forge.issuer_key.public]
    assert forge.verify(forge.mint(cls), cls)
    assert [find.changed_since_use for find in forge.fetched] == [False, True]


@pytest.mark.spec("#jwks-discovery", "#jwt-trust-verification")
def test_a_signature_that_no_key_of_the_issuer_made_is_refused(forge: Any, cls: type[Token]) -> None:
    stale = SigningKey.generate().public
    forge.answers = [stale, stale]
    with pytest.raises(TokenInvalid, match="signature"):
        forge.verify(forge.mint(cls), cls)
    assert len(forge.fetched) == 2


@pytest.mark.spec("#jwks-discovery")
def test_a_key_that_cannot_be_found_ends_the_verification(forge: Any, cls: type[Token]) -> None:
    forge.answers = [forge.unknown()]
    with pytest.raises(UnknownKey):
        forge.verify(forge.mint(cls), cls)


@pytest.mark.spec("#jwks-discovery")
def test_a_key_that_is_gone_when_looked_up_again_is_an_unknown_key(forge: Any, cls: type[Token]) -> None:
    forge.answers = [SigningKey.generate().public, forge.unknown()]
    with pytest.raises(UnknownKey):
        forge.verify(forge.mint(cls), cls)


@pytest.mark.spec("#common-verification")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_one_changed_character_never_verifies(forge: Any, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(ALL))
    text = forge.mint(kind)
    index = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from("ABCDxyz0189-_.").filter(lambda c: c != text[index]))
    with pytest.raises(AAuthError):
        forge.verify(text[:index] + letter + text[index + 1 :], kind)


@pytest.mark.spec("#untrusted-input")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(data=st.data())
def test_no_claims_make_verification_fail_otherwise(forge: Any, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(ALL))
    names = [
        "iss",
        "dwk",
        "jti",
        "iat",
        "exp",
        "sub",
        "aud",
        "ps",
        "cnf",
        "scope",
        "parent_agent",
        "presented_jti",
        "agent_jkt",
    ]
    names += ["interaction", "account", "tenant", "mission_s256", "login_hint"]
    values = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["jwk", "kty", "alg", "url", "code", "x"]), inner, max_size=3)
        ),
        max_leaves=4,
    )
    claims = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=3))
    try:
        text = forge.mint(kind, **claims)
    except (OverflowError, ValueError):
        return  # not JSON
    try:
        token = forge.verify(text, kind)
    except AAuthError as error:
        assert error.detail
        return
    assert type(token) is kind


# --------------------------------------------------------------------------- cnf


@pytest.mark.spec("#request-context-binding", "#proof-of-possession")
@pytest.mark.parametrize("kind", [AgentToken, PersonToken, AuthToken])
@pytest.mark.parametrize("cnf", [None, {}, {"jwk": None}, {"jwk": []}, {"jkt": "x"}, "key", [], {"jwk": {}}])
def test_a_token_that_is_bound_to_no_key_is_a_bearer_token_and_is_refused(
    forge: Any, kind: type[Token], cnf: object
) -> None:
    with pytest.raises(TokenInvalid, match="bound to no key"):
        forge.verify(forge.mint(kind, cnf=forge.absent if cnf is None else cnf), kind)
    assert forge.fetched == []


@pytest.mark.spec("#request-context-binding")
@pytest.mark.parametrize("kind", [AgentToken, PersonToken, AuthToken])
@pytest.mark.parametrize(
    "jwk",
    [
        {"crv": "Ed25519", "x": "AAAA", "alg": "Ed25519"},
        {"kty": 7, "crv": "Ed25519", "x": "AAAA", "alg": "Ed25519"},
        {"kty": "OKP", "x": "AAAA", "alg": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "alg": "ES256"},
        {"kty": "RSA", "n": "AAAA", "alg": "PS256"},
    ],
)
def test_a_structurally_incomplete_key_makes_the_token_invalid_and_is_not_decoded(
    forge: Any, kind: type[Token], jwk: dict[str, Any]
) -> None:
    with pytest.raises(TokenInvalid, match="bound to no key"):
        forge.verify(forge.mint(kind, cnf={"jwk": jwk}), kind)
    assert forge.fetched == []


@pytest.mark.spec("#signature-algorithms", "#common-claims")
@pytest.mark.parametrize("kind", [AgentToken, PersonToken, AuthToken])
def test_the_bound_key_has_a_fully_specified_algorithm_and_is_usable(forge: Any, kind: type[Token]) -> None:
    good = forge.agent_key.public.to_jwk()
    for alg in (forge.absent, "EdDSA", "none", "HS256"):
        jwk = {name: value for name, value in {**good, "alg": alg}.items() if value is not forge.absent}
        with pytest.raises(UnsupportedAlgorithm):
            forge.verify(forge.mint(kind, cnf={"jwk": jwk}), kind)
    for broken in ({"crv": "P-256"}, {"x": "AA"}, {"d": "AA"}, {"alg": "ES256"}):
        with pytest.raises(InvalidKey):
            forge.verify(forge.mint(kind, cnf={"jwk": {**good, **broken}}), kind)


# --------------------------------------------------------------------------- the cache


@pytest.mark.spec("#common-verification")
def test_a_token_seen_before_is_not_verified_again_but_still_expires(forge: Any, cls: type[Token]) -> None:
    cache = TokenCache()
    text = forge.mint(cls)
    first = forge.verify(text, cls, cache=cache)
    assert forge.verify(text, cls, cache=cache) is first
    assert len(forge.fetched) == 1
    with pytest.raises(TokenExpired):
        forge.verify(text, cls, cache=cache, now=NOW + 300)


@pytest.mark.spec("#person-token-not-authorization")
def test_a_cached_token_is_still_asked_for_its_type(forge: Any) -> None:
    cache = TokenCache()
    text = forge.mint(PersonToken)
    forge.verify(text, PersonToken, cache=cache)
    with pytest.raises(TokenInvalid, match="type"):
        forge.verify(text, AuthToken, cache=cache)


def test_a_token_that_failed_is_not_cached(forge: Any) -> None:
    cache = TokenCache()
    forge.answers = [SigningKey.generate().public] * 2
    with pytest.raises(TokenInvalid):
        forge.verify(forge.mint(AgentToken), AgentToken, cache=cache)
    assert len(cache) == 0


def test_the_cache_is_bounded_and_keeps_what_was_used_last(forge: Any) -> None:
    cache = TokenCache(max_entries=2)
    texts = [forge.mint(AgentToken, jti=f"j{n}") for n in range(3)]
    for text in (texts[0], texts[1], texts[0], texts[2]):
        forge.verify(text, AgentToken, cache=cache)
    assert len(cache) == 2
    assert cache.get(texts[1]) is None
    cache.discard(texts[0])
    assert cache.get(texts[0]) is None
    cache.discard(texts[0])


# --------------------------------------------------------------------------- reading and issuing


def test_an_unverified_token_says_so_by_its_type(forge: Any) -> None:
    unverified = read(forge.mint(AgentToken), AgentToken, now=NOW, policy=VerificationPolicy())
    assert not isinstance(unverified, Token)
    assert unverified.token.jti == "j1"


@pytest.mark.spec("#proof-of-possession")
def test_showing_a_token_shows_neither_its_text_nor_its_claims(forge: Any, cls: type[Token]) -> None:
    token = forge.verify(forge.mint(cls, secret_claim="hidden-value"), cls)
    assert token.raw not in repr(token)
    assert "hidden-value" not in repr(token)


@pytest.mark.spec("#common-claims")
def test_an_issuer_does_not_sign_what_breaks_the_types_own_rule(forge: Any) -> None:
    common: dict[str, Any] = {"iss": "https://ps.example", "dwk": "aauth-person.json", "jti": "j", "claims": {}}
    for exp in (NOW, NOW - 1, NOW + 3601):
        with pytest.raises(TokenInvalid):
            issue(PersonToken, forge.issuer_key, now=NOW, exp=exp, **common)


@pytest.mark.spec("#common-claims")
def test_further_claims_cannot_replace_the_tokens_own(forge: Any) -> None:
    text = issue_agent_token(
        forge.issuer_key,
        iss="https://ap.example",
        sub="aauth:a@ap.example",
        cnf=forge.agent_key.public,
        jti="mine",
        now=NOW,
        claims={
            "iss": "https://evil.example",
            "exp": NOW * 2,
            "iat": 0,
            "jti": "theirs",
            "dwk": "other",
            "sub": "aauth:b@ap.example",
            "cnf": {},
            "parent_agent": "aauth:c@ap.example",
            "device": "kept",
        },
    )
    token = forge.verify(text, AgentToken)
    assert (token.iss, token.jti, token.exp, token.sub) == (
        "https://ap.example",
        "mine",
        NOW + 3600,
        "aauth:a@ap.example",
    )
    assert (token.cnf, token.parent_agent, token.claims["device"]) == (forge.agent_key.public, None, "kept")


@pytest.mark.spec("#common-verification")
def test_two_tokens_are_equal_when_their_text_is(forge: Any) -> None:
    text = forge.mint(AgentToken)
    one, same = (forge.verify(text, AgentToken) for _ in range(2))
    other = forge.verify(forge.mint(AgentToken, jti="j2"), AgentToken)

    assert one == same
    assert not one != same  # noqa: SIM202
    assert {one: "found"}[same] == "found"
    assert hash(one) != hash(other)
    assert one != other
    assert one != text


@pytest.mark.spec("#common-verification")
def test_ten_thousand_tokens_are_kept_unless_told_otherwise(forge: Any) -> None:
    token = forge.verify(forge.mint(AgentToken), AgentToken)
    cache = TokenCache()

    for number in range(10_001):
        cache.put(msgspec.structs.replace(token, raw=str(number)))

    assert len(cache) == 10_000
    assert cache.get("0") is None
    assert cache.get("10000") is not None


@pytest.mark.spec("#scopes")
@pytest.mark.parametrize(("length", "taken"), [(4096, True), (4097, False)])
def test_a_scope_claim_has_a_greatest_length(forge: Any, length: int, taken: bool) -> None:
    text = forge.mint(AuthToken, scope="x" * length)

    if taken:
        assert forge.verify(text, AuthToken).scope == ("x" * length,)
    else:
        with pytest.raises(TokenInvalid, match="scope"):
            forge.verify(text, AuthToken)


@pytest.mark.spec("#request-context-binding", "#signature-algorithms")
@pytest.mark.parametrize("jwk", [{"kty": "XYZ", "alg": "Ed25519"}, {"kty": "oct", "k": "AA", "alg": "HS256"}])
def test_a_confirmation_key_of_an_unknown_kind_cannot_be_used(forge: Any, jwk: dict[str, str]) -> None:
    with pytest.raises((InvalidKey, UnsupportedAlgorithm)):
        forge.verify(forge.mint(AgentToken, cnf={"jwk": jwk}), AgentToken)


@pytest.mark.spec("#signature-algorithms")
def test_a_confirmation_key_is_of_an_algorithm_that_is_accepted() -> None:
    claims = {"cnf": {"jwk": SigningKey.generate("ES256").public.to_jwk()}}

    with pytest.raises(UnsupportedAlgorithm) as caught:
        confirmation(claims, VerificationPolicy(algorithms=("Ed25519",)))
    assert caught.value.accepted == ("Ed25519",)


@pytest.mark.spec("#common-claims")
def test_claims_and_kid_may_be_as_long_and_as_late_as_the_limits_say(forge: Any) -> None:
    longest, last_second = "x" * 4096, 253_402_300_799
    text = forge.mint(AgentToken, header={"kid": longest}, jti=longest, exp=last_second)

    token = forge.verify(text, AgentToken)

    assert (token.kid, token.jti, token.exp) == (longest, longest, last_second)
