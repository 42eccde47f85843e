"""`verify` on plain values: a request and a way to find keys, nothing else of AAuth."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aauthlib.errors import ClockSkew, InvalidSignature, UnknownKey, UnsupportedAlgorithm, UnsupportedScheme
from aauthlib.http import Fields, Request
from aauthlib.httpsig import (
    HWK,
    INLINE,
    JWKSURI,
    JWT,
    Resolver,
    SignatureKey,
    SignaturePolicy,
    inline_key,
    sign,
    verify,
)
from aauthlib.keys import PublicKey, SigningKey

NOW = 1_800_000_000
KEY, OTHER = SigningKey.generate(kid="k1"), SigningKey.generate(kid="k2")
BY_URI = SignaturePolicy(schemes=("jwks_uri",))
POST = Request("POST", "https://api.example/x?a=1", Fields({"content-type": "text/plain"}), b"body")


def signed(request: Request = POST, key: SigningKey = KEY, shown: SignatureKey | None = None) -> Request:
    return sign(request, key, shown or HWK.of(key.public), created=NOW)


def known(*keys: SigningKey) -> Resolver:
    """Finds keys by the `kid` of a `jwks_uri` value."""

    def find(value: SignatureKey) -> PublicKey:
        assert isinstance(value, JWKSURI)
        for key in keys:
            if key.kid == value.kid:
                return key.public
        raise UnknownKey("No such key here.")

    return find


def never(value: SignatureKey) -> PublicKey:
    pytest.fail("The resolver was asked although the request was to be refused anyway.")


@pytest.mark.spec("#verification")
def test_it_says_who_signed_what_and_when() -> None:
    verified = verify(signed(), inline_key, INLINE, NOW)
    assert verified.key == KEY.public
    assert verified.covered == ("@method", "@authority", "@path", "signature-key", "content-digest", "content-type")
    assert verified.covers_body
    assert (verified.created, verified.label) == (NOW, "sig")
    assert isinstance(verified.scheme, HWK)


@pytest.mark.spec("#covered-components")
def test_a_body_that_is_not_covered_is_not_said_to_be() -> None:
    request = sign(POST, KEY, HWK.of(KEY.public), created=NOW, cover_body=False)
    verified = verify(request, inline_key, INLINE, NOW)
    assert not verified.covers_body


@pytest.mark.spec("#verification")
def test_the_resolver_is_given_the_scheme_value_and_decides_the_key() -> None:
    shown = JWKSURI("https://a.example", "aauth-agent.json", "k1")
    assert verify(signed(shown=shown), known(OTHER, KEY), BY_URI, NOW).key == KEY.public
    with pytest.raises(UnknownKey):
        verify(signed(shown=shown), known(OTHER), BY_URI, NOW)
    with pytest.raises(InvalidSignature):
        verify(signed(key=OTHER, shown=shown), known(KEY), BY_URI, NOW)


@pytest.mark.spec("#verification")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: Request("PUT", request.url, request.headers, request.body),
        lambda request: Request("POST", "https://api.example/y", request.headers, request.body),
        lambda request: Request("POST", "https://b.example/x", request.headers, request.body),
        lambda request: Request("POST", request.url, request.headers, b"other"),
    ],
)
def test_a_changed_request_is_refused(spoil: Callable[[Request], Request]) -> None:
    with pytest.raises(InvalidSignature):
        verify(spoil(signed()), inline_key, INLINE, NOW)


@pytest.mark.spec("#verification")
def test_nothing_is_looked_up_for_a_request_that_is_refused_anyway() -> None:
    for request, now in ((POST, NOW), (signed(), NOW + 61), (signed(), NOW - 61), (signed(shown=JWT("a.b.c")), NOW)):
        with pytest.raises((InvalidSignature, ClockSkew, UnsupportedScheme)):
            verify(request, never, INLINE, now)


@pytest.mark.spec("#signature-algorithms")
def test_a_resolver_brings_in_no_algorithm_that_is_not_accepted() -> None:
    key = SigningKey.generate("ES384", kid="k1")
    shown = JWKSURI("https://a.example", "aauth-agent.json", "k1")
    with pytest.raises(UnsupportedAlgorithm) as caught:
        verify(signed(key=key, shown=shown), known(key), BY_URI, NOW)
    assert caught.value.accepted == BY_URI.algorithms
    wider = SignaturePolicy(schemes=("jwks_uri",), algorithms=("ES384",))
    assert verify(signed(key=key, shown=shown), known(key), wider, NOW).key == key.public


@pytest.mark.spec("#scheme-rejection")
def test_an_inline_key_is_the_only_one_the_inline_resolver_knows() -> None:
    policy = SignaturePolicy(schemes=("hwk", "jwt"))
    with pytest.raises(UnsupportedScheme) as raised:
        verify(signed(shown=JWT("a.b.c")), inline_key, policy, NOW)
    assert raised.value.accepted == ("hwk",)


@pytest.mark.spec("#signature-algorithms")
def test_an_inline_key_is_of_an_algorithm_that_is_accepted() -> None:
    value = HWK.of(SigningKey.generate("ES256").public)

    assert inline_key(value).alg == "ES256"
    with pytest.raises(UnsupportedAlgorithm) as caught:
        inline_key(value, accepted=("Ed25519",))
    assert caught.value.accepted == ("Ed25519",)


@pytest.mark.spec("#verification")
def test_keyid_and_the_key_shown_name_one_key() -> None:
    shown = JWKSURI("https://a.example", "aauth-agent.json", "k1")

    for keyid in (None, "k1", KEY.thumbprint):
        request = sign(POST, KEY, shown, created=NOW, keyid=keyid)
        assert verify(request, known(KEY), BY_URI, NOW).key == KEY.public
    for keyid in ("k2", OTHER.thumbprint, ""):
        with pytest.raises(InvalidSignature, match="keyid"):
            verify(sign(POST, KEY, shown, created=NOW, keyid=keyid), known(KEY), BY_URI, NOW)
