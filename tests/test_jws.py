"""Compact JWS as AAuth uses it: what is accepted, and everything that is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib import jws
from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.errors import TokenInvalid
from aauthlib.keys import SigningKey

VECTORS = json.loads((Path(__file__).parent / "vectors" / "jose.json").read_text())
KEY = SigningKey.generate()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def compact(header: object, payload: object = None, *, key: SigningKey = KEY) -> str:
    """A JWS with any header, signed as if it were in order."""
    parts = []
    for part in (header, {} if payload is None else payload):
        parts.append(b64url_encode(part if isinstance(part, bytes) else msgspec.json.encode(part)))
    signing_input = ".".join(parts)
    return f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"


@pytest.mark.spec("#common-verification")
def test_the_es256_jws_of_rfc_7515_appendix_a_3() -> None:
    vector = VECTORS["rfc7515-A.3"]
    parsed = jws.parse(vector["jws"])
    assert parsed.payload == vector["payload"]
    assert parsed.verify(SigningKey.from_jwk({**vector["private"], "alg": "ES256"}).public)


@pytest.mark.spec("#signature-algorithms", "#common-claims")
def test_the_eddsa_jws_of_rfc_8037_appendix_a_is_refused_for_its_polymorphic_alg() -> None:
    vector = VECTORS["rfc8037-A"]
    header = vector["signing_input"].split(".")[0]
    assert b64url_decode(header) == b'{"alg":"EdDSA"}'
    with pytest.raises(TokenInvalid, match="fully-specified"):
        jws.parse(f"{header}.{b64url_encode(b'{}')}.{vector['signature']}")


@pytest.mark.spec("#common-claims")
@given(st.sampled_from(["Ed25519", "ES256"]), st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_what_is_signed_parses_and_verifies(alg: str, payload: dict[str, Any]) -> None:
    key = SigningKey.generate(alg)
    parsed = jws.parse(jws.sign({"typ": "x+jwt", "kid": "k"}, payload, key))
    assert parsed.payload == payload
    assert parsed.header == {"alg": alg, "typ": "x+jwt", "kid": "k"}
    assert parsed.verify(key.public)
    assert not parsed.verify(SigningKey.generate(alg).public)


@pytest.mark.spec("#common-verification")
@given(st.data())
def test_one_changed_character_never_verifies(data: st.DataObject) -> None:
    token = jws.sign({"typ": "x+jwt"}, {"sub": "someone", "n": 12}, KEY)
    index = data.draw(st.integers(0, len(token) - 1))
    replacement = data.draw(st.sampled_from("ABCxyz012-_.").filter(lambda c: c != token[index]))
    try:
        parsed = jws.parse(token[:index] + replacement + token[index + 1 :])
    except TokenInvalid:
        return
    assert not parsed.verify(KEY.public)


@pytest.mark.spec("#common-claims", "#signature-algorithms")
@pytest.mark.parametrize(
    "alg", [None, "none", "None", "NONE", "nOnE", "EdDSA", "HS256", "HS384", "HS512", 5, ["Ed25519"], {"a": 1}, True]
)
def test_a_token_without_a_fully_specified_asymmetric_alg_is_refused(alg: object) -> None:
    header = {"typ": "x", **({"alg": alg} if alg is not None else {})}
    with pytest.raises(TokenInvalid, match="alg"):
        jws.parse(compact(header))


@pytest.mark.spec("#common-claims")
def test_alg_none_without_a_signature_is_refused() -> None:
    head, body = b64url_encode(b'{"alg":"none"}'), b64url_encode(b"{}")
    for token in (f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.AA"):
        with pytest.raises(TokenInvalid):
            jws.parse(token)


@pytest.mark.spec("signature-key#3.3")
@pytest.mark.parametrize("alg", ["ES256", "RS256", "ed25519", "", "Ed448"])
def test_the_alg_of_the_header_must_be_the_keys(alg: str) -> None:
    assert not jws.parse(compact({"alg": alg})).verify(KEY.public)


@pytest.mark.spec("#common-claims")
@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None])
def test_critical_header_parameters_are_not_understood(crit: object) -> None:
    with pytest.raises(TokenInvalid, match="critical"):
        jws.parse(compact({"alg": "Ed25519", "crit": crit, "b64": False}))


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "part", [b"[]", b"null", b'"text"', b"5", b"", b"{", b"\xff", b"{} {}", b'{"a":NaN}', b"[" * 6000]
)
def test_header_and_payload_are_json_objects(part: bytes) -> None:
    with pytest.raises(TokenInvalid):
        jws.parse(compact({"alg": "Ed25519"}, part))
    with pytest.raises(TokenInvalid):
        jws.parse(compact(part))


@pytest.mark.spec("#untrusted-input")
def test_of_a_member_given_twice_the_last_counts() -> None:
    parsed = jws.parse(compact(b'{"alg":"none","alg":"Ed25519"}', b'{"sub":"a","sub":"b"}'))
    assert parsed.payload == {"sub": "b"}
    assert parsed.verify(KEY.public)
    with pytest.raises(TokenInvalid):
        jws.parse(compact(b'{"alg":"Ed25519","alg":"none"}'))


@pytest.mark.spec("#untrusted-input")
def test_a_second_spelling_of_a_signature_is_no_second_token() -> None:
    token = jws.sign({}, {}, KEY)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    for spelling in (token + "=", token + "==", token[:-1] + alphabet[last ^ 1], token + "\n", " " + token):
        with pytest.raises(TokenInvalid):
            jws.parse(spelling)


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "ä.b.c", "a b.c.d", "a.b.c\n"]
)
def test_what_has_not_three_parts_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        jws.parse(token)


@pytest.mark.spec("#untrusted-input")
def test_a_token_is_bounded_in_length() -> None:
    with pytest.raises(TokenInvalid, match="length"):
        jws.parse(jws.sign({}, {"x": "a" * jws.MAX_JWT_LENGTH}, KEY))


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=60) | st.lists(st.binary(max_size=20).map(b64url_encode), min_size=1, max_size=4).map(".".join))
def test_no_text_makes_parsing_fail_otherwise(token: str) -> None:
    with pytest.raises(TokenInvalid):
        jws.parse(token)


@pytest.mark.spec("#proof-of-possession")
def test_showing_a_parsed_token_does_not_show_the_token() -> None:
    token = jws.sign({"typ": "x"}, {"sub": "someone-secret"}, KEY)
    shown = repr(jws.parse(token))
    assert "someone-secret" not in shown
    assert token.rpartition(".")[2] not in shown
