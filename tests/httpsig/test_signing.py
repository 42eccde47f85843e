"""Signing, and that whatever is signed verifies; with one byte changed, nothing does."""

from __future__ import annotations

import dataclasses
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import AAuthError, InvalidSignature
from aauthlib.fields import parse_dictionary
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JWT, SignaturePolicy, content_digest, select, sign
from aauthlib.keys import SigningKey

NOW = 1_800_000_000
KEYS = {alg: SigningKey.generate(alg) for alg in ("Ed25519", "ES256")}
POLICY = SignaturePolicy(schemes=("hwk",), cover_body=True)

METHOD = st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "QUERY", "x-custom"])
URL = st.builds(
    lambda origin, path, query: origin + path + query,
    st.sampled_from(
        ["https://api.example", "https://API.example:443", "https://api.example:8443", "http://a.localhost:4001"]
    ),
    st.from_regex(r"(/[A-Za-z0-9%._~!$&'()*+,;=:@\-]{0,8}){1,3}", fullmatch=True),
    st.from_regex(r"(\?[A-Za-z0-9%._~!$&'()*+,;=:@/?\-]{0,12})?", fullmatch=True),
)
VALUE = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=16)
HEADERS = st.dictionaries(st.sampled_from(["content-type", "x-a", "x-b", "accept"]), VALUE)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    return Request(draw(METHOD), draw(URL), Fields(draw(HEADERS)), draw(st.binary(max_size=30)))


def verify(request: Request, key: SigningKey, policy: SignaturePolicy = POLICY) -> None:
    select(request, policy, now=NOW).verify(key.public)


@pytest.mark.spec("#signing-agent", "#covered-components", "rfc9421#3.1", "rfc9421#3.2")
@given(
    requests(), st.sampled_from(["Ed25519", "ES256"]), st.sets(st.sampled_from(["x-a", "x-b", "@query", "@target-uri"]))
)
def test_whatever_is_signed_verifies(request: Request, alg: str, components: set[str]) -> None:
    key = KEYS[alg]
    request = request.with_headers(content_type=request.headers.get("content-type") or "text/plain")
    covered = [name for name in components if name.startswith("@") or name in request.headers]
    signed = sign(request, key, HWK.of(key.public), created=NOW, components=covered)
    verify(signed, key, dataclasses.replace(POLICY, components=tuple(covered)))
    assert (signed.method, signed.url, signed.body) == (request.method, request.url, request.body)


@pytest.mark.spec("#covered-components", "signature-key#7.8")
@given(requests(), st.sampled_from(["Ed25519", "ES256"]), st.data())
def test_one_changed_byte_of_anything_covered_fails(request: Request, alg: str, data: st.DataObject) -> None:
    key = KEYS[alg]
    request = request.with_headers(content_type="text/plain", x_a=request.headers.get("x-a") or "1")
    signed = sign(request, key, HWK.of(key.public), created=NOW, components=["x-a", "@query"])
    verify(signed, key)
    parts = ["method", "path", "query", "x-a", "signature-key", "signature-input", "signature"]
    if request.body:
        parts += ["body", "content-type", "content-digest"]
    part = data.draw(st.sampled_from(parts))
    with pytest.raises(AAuthError):
        verify(_change(signed, part, data), key)


def _change(request: Request, part: str, data: st.DataObject) -> Request:
    """`request` with one byte of `part` replaced, or one added."""
    if part == "method":
        return dataclasses.replace(request, method=_changed(request.method, data))
    if part == "body":
        index = data.draw(st.integers(0, len(request.body) - 1))
        other = bytes([request.body[index] ^ data.draw(st.integers(1, 255))])
        return dataclasses.replace(request, body=request.body[:index] + other + request.body[index + 1 :])
    if part == "signature":
        # A bit of the signature itself: base64 has spare bits that say nothing.
        octets = bytearray(b64decode((request.headers.get("signature") or "")[5:-1]))
        octets[data.draw(st.integers(0, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        return request.with_headers(signature=f"sig=:{b64encode(octets).decode()}:")
    if part in ("path", "query"):
        path, _, query = request.target.partition("?")
        changed = (_changed(path[1:], data), query) if part == "path" else (path[1:], _changed(query, data))
        return dataclasses.replace(request, url=f"{request.origin}/{changed[0]}?{changed[1]}")
    value = request.headers.get(part)
    assert value is not None
    return request.with_headers(**{part.replace("-", "_"): _changed(value, data)})


def _changed(text: str, data: st.DataObject) -> str:
    index = data.draw(st.integers(0, len(text)))
    letter = data.draw(st.sampled_from("abzAZ09-=\"';:").filter(lambda c: text[index : index + 1] != c))
    return text[:index] + letter + text[index + 1 :]


@pytest.mark.spec("#covered-components", "rfc9421#2.2")
def test_a_signature_is_good_for_one_host_only() -> None:
    key = KEYS["Ed25519"]
    signed = sign(Request("GET", "https://api.example/x"), key, HWK.of(key.public), created=NOW)
    for url in ("https://evil.example/x", "https://api.example:8443/x", "https://api.example/X"):
        with pytest.raises(InvalidSignature):
            verify(dataclasses.replace(signed, url=url), key)
    verify(dataclasses.replace(signed, url="https://API.example:443/x"), key)


@pytest.mark.spec("#proof-of-possession")
def test_the_signature_of_one_key_does_not_verify_under_another() -> None:
    key, other = KEYS["Ed25519"], SigningKey.generate()
    signed = sign(Request("GET", "https://api.example/x"), key, HWK.of(key.public), created=NOW)
    with pytest.raises(InvalidSignature):
        verify(signed, other)


def covered_by(request: Request) -> list[str]:
    (member,) = parse_dictionary(request.headers.get("signature-input") or "").values()
    return [str(name) for name, _ in member[0]]


@pytest.mark.spec("#covered-components", "#signature-parameters")
def test_what_is_covered_depends_on_what_the_request_carries() -> None:
    key = KEYS["Ed25519"]
    base = ["@method", "@authority", "@path", "signature-key"]
    bare = Request("GET", "https://api.example/x")
    assert covered_by(sign(bare, key, HWK.of(key.public), created=NOW)) == base
    session = bare.with_headers(authorization="AAuth s")
    assert covered_by(sign(session, key, HWK.of(key.public), created=NOW)) == [*base, "authorization"]
    post = Request("POST", "https://api.example/x", Fields({"content-type": "application/json"}), b"{}")
    assert covered_by(sign(post, key, HWK.of(key.public), created=NOW)) == [*base, "content-digest", "content-type"]
    assert covered_by(sign(post, key, HWK.of(key.public), created=NOW, cover_body=False)) == base


@pytest.mark.spec("#signature-parameters")
def test_created_is_there_and_alg_and_keyid_are_not() -> None:
    key = KEYS["Ed25519"]
    signed = sign(Request("GET", "https://api.example/x"), key, HWK.of(key.public), created=NOW, expires=NOW + 9)
    (member,) = parse_dictionary(signed.headers.get("signature-input") or "").values()
    assert member[1] == {"created": NOW, "expires": NOW + 9}


@pytest.mark.spec("#covered-components")
def test_asked_for_components_are_added_once_and_body_ones_only_with_a_body() -> None:
    key = KEYS["Ed25519"]
    asked = ["x-a", "@method", "content-digest", "content-type", "x-a"]
    bare = Request("GET", "https://api.example/x", Fields({"x-a": "1"}))
    signed = sign(bare, key, HWK.of(key.public), created=NOW, components=asked)
    assert covered_by(signed) == ["@method", "@authority", "@path", "signature-key", "x-a"]
    with pytest.raises(InvalidSignature):
        sign(bare, key, HWK.of(key.public), created=NOW, components=["x-absent"])


@pytest.mark.spec("#covered-components")
def test_signing_again_replaces_the_earlier_signature_and_digest() -> None:
    key = KEYS["Ed25519"]
    request = Request("POST", "https://api.example/x", Fields({"content-type": "text/plain"}), b"one")
    first = sign(request, key, JWT("a.b.c"), created=NOW - 500)
    second = sign(dataclasses.replace(first, body=b"two"), key, HWK.of(key.public), created=NOW)
    for name in ("signature", "signature-input", "signature-key", "content-digest"):
        assert len(second.headers.get_all(name)) == 1
    assert second.headers.get("content-digest") == content_digest(b"two")
    verify(second, key)


@pytest.mark.spec("signature-key#3.2")
def test_the_label_is_the_callers_choice() -> None:
    key = KEYS["ES256"]
    for label in ("sig", "a1", "*odd.label-x"):
        signed = sign(Request("GET", "https://api.example/x"), key, HWK.of(key.public), created=NOW, label=label)
        assert select(signed, POLICY, now=NOW).label == label
        verify(signed, key)
