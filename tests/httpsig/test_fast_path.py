"""The fast paths under mutation: one character changed, put in or taken out of headers that clients do send."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aauthlib.base64url import b64url_decode
from aauthlib.errors import AAuthError
from aauthlib.fields import FieldError, is_plain_string, parse_dictionary, serialize
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, SignatureKey, fast_read, members, sign
from aauthlib.keys import SigningKey

SCHEMES = ("jwt", "jkt-jwt", "hwk", "jwks_uri")
KEY = SigningKey.generate()
TOKEN = "eyJhbGciOiJFZDI1NTE5In0.eyJpc3MiOiJodHRwczovL2EuZXhhbXBsZSJ9." + "A" * 86
SIGNATURE_KEYS: tuple[SignatureKey, ...] = (
    JWT(TOKEN),
    JKTJWT(TOKEN),
    HWK.of(KEY.public),
    JWKSURI("https://server.example", "aauth-resource.json", "k 1"),
)

characters = st.one_of(st.sampled_from(list('"\\;,=() \t:\x00\n\x7f-_+/é')), st.characters())


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str, str]:
    """The three headers of a signed request, with at most two changes."""
    signed = sign(
        Request("GET", "https://resource.example/x", Fields()),
        KEY,
        draw(st.sampled_from(SIGNATURE_KEYS)),
        created=1_800_000_000,
        keyid=draw(st.sampled_from([None, "k"])),
        expires=draw(st.sampled_from([None, 1_800_000_060])),
    )
    headers = [signed.headers.get(name) or "" for name in ("signature-input", "signature", "signature-key")]
    for _ in range(draw(st.integers(0, 2))):
        which = draw(st.integers(0, 2))
        text = headers[which]
        at = draw(st.integers(0, len(text)))
        taken = draw(st.integers(0, 1))
        headers[which] = text[:at] + draw(st.one_of(st.just(""), characters)) + text[at + taken :]
    return headers[0], headers[1], headers[2]


def loaded(member: members.Member) -> object:
    try:
        return member.load()
    except AAuthError as error:
        return type(error), error.detail


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "signature-key#3")
@settings(max_examples=1000)
@given(mutated())
def test_a_mutated_signature_is_read_alike(headers: tuple[str, str, str]) -> None:
    fast = fast_read.read(*headers)
    if fast is None:
        return
    general = members.read(*headers, schemes=SCHEMES)
    assert (fast.label, fast.covered, fast.params) == (general.label, general.covered, general.params)
    assert (dict(fast.parameters), fast.signature) == (dict(general.parameters), general.signature)
    assert loaded(fast) == loaded(general)


@pytest.mark.parametrize("key", SIGNATURE_KEYS, ids=SCHEMES)
@pytest.mark.spec("signature-key#3")
def test_what_we_sign_is_read_by_the_fast_path(key: SignatureKey) -> None:
    signed = sign(Request("GET", "https://resource.example/x", Fields()), KEY, key, created=1)
    values = [signed.headers.get(name) or "" for name in ("signature-input", "signature", "signature-key")]
    assert fast_read.read(*values) is not None


@pytest.mark.spec("rfc9421#4.2")
@given(st.binary(min_size=64, max_size=64), characters, st.integers(0, 95))
def test_a_mutated_byte_sequence_is_decoded_alike(octets: bytes, character: str, at: int) -> None:
    text = f"sig=:{b64encode(octets).decode()}:"
    text = text[:at] + character + text[at + 1 :]
    fast = fast_read.read('sig=("x");created=1', text, 'sig=jwt;jwt="a"')
    if fast is not None:
        assert parse_dictionary(text)["sig"][0] == fast.signature


@pytest.mark.spec("signature-key#3")
@given(st.text(characters, max_size=12))
def test_a_plain_string_is_one_that_is_written_as_it_is(text: str) -> None:
    try:
        written = serialize({"a": (text, {})})
    except ValueError:
        assert not is_plain_string(text)
        return
    assert is_plain_string(text) == (written == f'a="{text}"')


@pytest.mark.spec("signature-key#3")
@given(st.text(characters, max_size=12))
def test_a_plain_string_is_read_as_it_is(text: str) -> None:
    if is_plain_string(text):
        assert parse_dictionary(f'a="{text}"') == {"a": (text, {})}


def strictly(text: str) -> bytes | None:
    """Unpadded base64url by the definition: what encodes to the same text."""
    try:
        data = text.encode("ascii")
        decoded = urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    except ValueError:
        return None
    return decoded if urlsafe_b64encode(decoded).rstrip(b"=") == data else None


@pytest.mark.spec("#common-claims")
@settings(max_examples=1000)
@given(
    st.one_of(
        st.text(characters, max_size=8),
        st.text("AQgwAEIMQUYcgkosw048zZ9-_+/=", max_size=9),
        st.binary(max_size=9).map(lambda octets: urlsafe_b64encode(octets).decode().rstrip("=")),
    )
)
def test_base64url_has_one_spelling(text: str) -> None:
    expected = strictly(text)
    if expected is None:
        with pytest.raises(ValueError):
            b64url_decode(text)
    else:
        assert b64url_decode(text) == expected


@pytest.mark.spec("rfc9421#4.1")
@given(st.text(characters, max_size=30))
def test_a_header_that_is_no_dictionary_is_never_read_fast(text: str) -> None:
    try:
        parse_dictionary(text)
    except FieldError:
        assert fast_read.read(text, "sig=:" + "A" * 86 + "==:", 'sig=jwt;jwt="a"') is None
        assert fast_read.read('sig=("x");created=1', text, 'sig=jwt;jwt="a"') is None
        assert fast_read.read('sig=("x");created=1', "sig=:" + "A" * 86 + "==:", text) is None
