from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature, SignatureError, UnsupportedAlgorithm, UnsupportedScheme
from aauthlib.fields import Token, serialize
from aauthlib.httpsig import HWK, JWT, SignaturePolicy
from aauthlib.messages.headers import accepted_tokens
from aauthlib.messages.problems import error_response
from aauthlib.verification import SCHEME_FLOWS, SchemeSupport, TrustedRoots, signature_required
from tests.tokens.minting import AGENT_KEY, mint

from .certifying import Authority
from .conftest import ALL, CHAIN_URL, KEYS_URL, Verifier, signed

ROOTS = TrustedRoots([Authority("Root").certificate])
VALUES = (
    st.sampled_from(
        [KEYS_URL, CHAIN_URL, "https://ap.example", "aauth-agent.json", "k1", mint("aa-agent+jwt"), "a.b.c"]
    )
    | st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
    | st.binary(max_size=40)
    | st.booleans()
    | st.integers(-5, 5)
)
NAMES = ("jwt", "cache", "url", "kid", "id", "dwk", "x5u", "x5t", "cid", "kty", "crv", "x", "alg")


@pytest.mark.spec("#untrusted-input", "signature-key#3")
@given(
    st.sampled_from([*ALL, "x510"]),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6),
    st.binary(max_size=200),
)
def test_whatever_stands_in_signature_key_is_verified_or_a_signature_error(
    scheme: str, parameters: dict[str, object], document: bytes
) -> None:
    verifier = Verifier(documents=[document])
    verifier.support = replace(verifier.support, certificates=ROOTS)
    field = serialize({"sig": (Token(scheme), parameters)})
    request = signed(HWK.of(AGENT_KEY.public)).with_headers(signature_key=field)
    with pytest.raises(SignatureError) as caught:
        verifier.call(request)
    assert error_response(caught.value).status == 401


@pytest.mark.spec("signature-key#3")
def test_every_registered_scheme_has_its_flow() -> None:
    assert set(SCHEME_FLOWS) == {"hwk", "jkt-jwt", "jwks_uri", "jwks", "jwt", "self-jwt", "x509", "cached"}


@pytest.mark.spec("signature-key#4.4", "signature-key#6.2")
def test_an_error_lists_what_can_be_verified_here_and_not_what_merely_was_wished_for(verifier: Verifier) -> None:
    verifier.support = SchemeSupport()
    error = verifier.refuses(signed(HWK.of(AGENT_KEY.public)).with_headers(signature_key="sig=x510"), UnsupportedScheme)
    headers = error_response(error).headers
    assert accepted_tokens(headers, "accept-signature-scheme") == ("jwt", "hwk", "jkt-jwt", "jwks_uri", "jwks")


@pytest.mark.spec("signature-key#4.2", "signature-key#3.3")
def test_the_algorithms_listed_are_exactly_those_accepted_of_the_request(verifier: Verifier) -> None:
    policy = SignaturePolicy(schemes=ALL, algorithms=("ES256",))
    for scheme in (HWK.of(AGENT_KEY.public), JWT(mint("aa-agent+jwt"))):
        error = verifier.refuses(signed(scheme), UnsupportedAlgorithm, policy=policy)
        assert accepted_tokens(error_response(error).headers, "accept-signature-alg") == ("ES256",)


@pytest.mark.spec("signature-key#4.4")
def test_who_must_sign_and_did_not_is_told_how() -> None:
    headers = error_response(signature_required("Sign it.", SignaturePolicy())).headers
    assert headers.get("signature-error") == f"error={InvalidSignature.code}"
    assert accepted_tokens(headers, "accept-signature-scheme") == ("jwt",)
    assert accepted_tokens(headers, "accept-signature-alg") == ("Ed25519", "ES256")
