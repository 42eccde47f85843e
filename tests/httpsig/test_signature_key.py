"""The Signature-Key header: its schemes, written and read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidJWT, InvalidKey, InvalidSignature
from aauthlib.fields import Token, serialize
from aauthlib.httpsig import (
    HWK,
    JKTJWT,
    JWKSURI,
    JWT,
    X509,
    Cached,
    DirectJWKS,
    SelfJWT,
    SignatureKey,
    fast_write,
)
from aauthlib.httpsig.signature_key import UnknownScheme, dump, dump_all, parse
from aauthlib.keys import SigningKey

TEXT = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30)
KEYS = (
    st.builds(JWT, TEXT, st.booleans())
    | st.builds(JKTJWT, TEXT, st.booleans())
    | st.builds(JWKSURI, TEXT, TEXT, TEXT)
    | st.builds(DirectJWKS, TEXT, TEXT)
    | st.builds(SelfJWT, TEXT)
    | st.builds(X509, TEXT, st.binary(min_size=32, max_size=32))
    | st.builds(Cached, TEXT)
    | st.sampled_from([HWK.of(SigningKey.generate("Ed25519").public), HWK.of(SigningKey.generate("ES256").public)])
)
LABEL = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,8}", fullmatch=True)


@pytest.mark.spec("signature-key#3")
@given(LABEL, KEYS)
def test_every_scheme_reads_as_it_was_written(label: str, key: SignatureKey) -> None:
    (read,) = parse(dump(label, key)).items()
    assert read[0] == label
    assert read[1]() == key


@pytest.mark.spec("signature-key#3")
@given(
    LABEL,
    st.sampled_from(["jwt", "jkt-jwt", "Odd", "x.y"]),
    st.dictionaries(LABEL, TEXT | st.integers(0, 9), max_size=3),
)
def test_the_fast_writer_writes_what_the_general_one_writes(
    label: str, scheme: str, parameters: dict[str, Any]
) -> None:
    fast = fast_write.scheme_member(label, scheme, parameters)
    if fast is not None:
        assert fast == serialize({label: (Token(scheme), parameters)})


@pytest.mark.spec("signature-key#3.4")
@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_hwk_carries_exactly_the_members_of_the_public_key(alg: str) -> None:
    public = SigningKey.generate(alg, kid="named").public
    header = dump("sig", HWK.of(public))
    assert header.startswith(f'sig=hwk;kty="{public.jwk["kty"]}";crv=')
    assert f'alg="{alg}"' in header
    assert "kid" not in header


@pytest.mark.spec("signature-key#3.4")
def test_hwk_with_a_kid_is_refused() -> None:
    with pytest.raises(InvalidKey, match="kid"):
        parse('sig=hwk;kty="OKP";crv="Ed25519";x="AA";alg="Ed25519";kid="k"')["sig"]()


@pytest.mark.spec("signature-key#3.8", "signature-key#3.5")
@pytest.mark.parametrize("scheme", ["jwt", "jkt-jwt"])
@pytest.mark.parametrize(
    "parameter",
    [
        "",
        ";jwt",
        ";jwt=tok",
        ';jwt=""',
        ";jwt=1",
        ";jwt=:AA==:",
        f';jwt="{"a" * 16_385}"',
    ],
)
def test_a_jwt_scheme_without_a_usable_jwt_is_an_invalid_jwt(scheme: str, parameter: str) -> None:
    with pytest.raises(InvalidJWT):
        parse(f"sig={scheme}{parameter}")["sig"]()


@pytest.mark.spec("signature-key#3.6")
@pytest.mark.parametrize(
    "parameters",
    ["", ';id="a"', ';id="a";dwk="b"', ';id="a";dwk="b";kid=tok', ';id="";dwk="b";kid="c"', ';id=1;dwk="b";kid="c"'],
)
def test_jwks_uri_needs_its_three_strings(parameters: str) -> None:
    with pytest.raises(InvalidKey):
        parse(f"sig=jwks_uri{parameters}")["sig"]()


@pytest.mark.spec("signature-key#3.8")
def test_the_cache_parameter_is_no_obstacle() -> None:
    assert parse('sig=jwt;jwt="a.b.c";cache')["sig"]() == JWT("a.b.c", cache=True)


@pytest.mark.spec("#scheme-rejection")
@pytest.mark.parametrize(
    "member",
    [
        "sig=x510;x=1",
        "sig=other-jwt",
        'sig="jwt"',
        "sig=1",
        "sig",
        "sig=?0",
        "sig=(jwt)",
        "sig=cashed",
    ],
)
def test_an_unknown_scheme_is_told_apart_and_is_no_failure(member: str) -> None:
    assert isinstance(parse(member)["sig"](), UnknownScheme)


@pytest.mark.spec("signature-key#3.1")
def test_a_broken_member_does_not_stop_another_from_being_read() -> None:
    members = parse('bad=hwk;kid="x", worse=jwt, sig=jwt;jwt="a"')
    assert members["sig"]() == JWT("a")
    assert set(members) == {"bad", "worse", "sig"}


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize("value", ["", "sig=", "sig=jwt;", "=jwt", "sig=jwt;jwt=", "sig=jwt, ", "é", "SIG=jwt"])
def test_what_is_no_dictionary_is_an_invalid_signature_or_empty(value: str) -> None:
    try:
        assert parse(value) == {}
    except InvalidSignature as error:
        assert "Signature-Key" in error.detail


@pytest.mark.spec(
    "signature-key#3", "signature-key#3.7", "signature-key#3.9", "signature-key#3.10", "signature-key#3.11"
)
@pytest.mark.parametrize(
    ("key", "written"),
    [
        (JWT("a.b.c", cache=True), 'sig=jwt;jwt="a.b.c";cache'),
        (JKTJWT("a.b.c", cache=True), 'sig=jkt-jwt;jwt="a.b.c";cache'),
        (DirectJWKS("https://c.example/keys.jwks", "k"), 'sig=jwks;url="https://c.example/keys.jwks";kid="k"'),
        (SelfJWT("a.b.c"), 'sig=self-jwt;jwt="a.b.c"'),
        (
            X509("https://c.example/c.pem", b"\1" * 32),
            f'sig=x509;x5u="https://c.example/c.pem";x5t=:{"AQEB" * 10}AQE=:',
        ),
        (Cached("2f9c8a1e-a7b3"), 'sig=cached;cid="2f9c8a1e-a7b3"'),
    ],
)
def test_each_further_scheme_is_written_as_its_section_shows_and_read_back(key: SignatureKey, written: str) -> None:
    assert dump("sig", key) == written
    assert parse(written)["sig"]() == key
    assert dump_all({"a": key, "b": HWK({"kty": "OKP"})}) == f'{dump("a", key)}, b=hwk;kty="OKP"'


@pytest.mark.spec("signature-key#3.7", "signature-key#3.10", "signature-key#3.11")
@pytest.mark.parametrize(
    "member",
    [
        "sig=jwks",
        'sig=jwks;url="https://a.example"',
        'sig=jwks;url="https://a.example";kid',
        "sig=cached",
        "sig=cached;cid",
        'sig=cached;cid=""',
        "sig=cached;cid=:AAAA:",
        'sig=x509;x5u="https://a.example"',
        'sig=x509;x5u="https://a.example";x5t="AQEB"',
        'sig=x509;x5u="https://a.example";x5t=:AQEB:',
        'sig=jwt;jwt="a";cache="yes"',
        'sig=jkt-jwt;jwt="a";cache=1',
    ],
)
def test_a_scheme_without_what_it_needs_is_an_invalid_key(member: str) -> None:
    with pytest.raises(InvalidKey):
        parse(member)["sig"]()


def test_what_stands_for_a_token_is_not_shown() -> None:
    for key in (Cached("secret"), SelfJWT("secret"), JWT("secret"), parse('sig=cached;cid="secret"')["sig"]):
        assert "secret" not in repr(key)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (JWT("secret"), "JWT()"),
        (JKTJWT("secret"), "JKTJWT()"),
        (SelfJWT("secret"), "SelfJWT()"),
        (Cached("secret"), "Cached()"),
        (parse('sig=cached;cid="secret"')["sig"], "Loader('cached')"),
    ],
)
def test_of_what_stands_for_a_token_only_the_scheme_is_shown(key: object, shown: str) -> None:
    assert repr(key) == shown


@pytest.mark.parametrize(("length", "taken"), [(1, True), (16_384, True), (16_385, False)])
def test_a_parameter_has_a_greatest_length(length: int, taken: bool) -> None:
    member = parse(f'sig=jwks;url="https://a.example/keys";kid="{"k" * length}"')["sig"]

    if taken:
        assert member() == DirectJWKS("https://a.example/keys", "k" * length)
    else:
        with pytest.raises(InvalidKey):
            member()


@pytest.mark.parametrize(("label", "scheme"), [("Sig", "jwt"), ("sig", "JWT"), ("1", "jwt")])
def test_the_fast_writer_leaves_odd_names_to_the_general_one(label: str, scheme: str) -> None:
    assert fast_write.scheme_member(label, scheme, {}) is None


@pytest.mark.spec("signature-key#3.2", "#untrusted-input")
@pytest.mark.parametrize(("length", "taken"), [(16_384, True), (16_385, False)])
def test_a_token_has_a_greatest_length(length: int, taken: bool) -> None:
    member = parse(f'sig=jwt;jwt="{"j" * length}"')["sig"]

    if taken:
        assert member() == JWT("j" * length)
    else:
        with pytest.raises(InvalidJWT, match="acceptable length"):
            member()
