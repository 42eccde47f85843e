"""Component values and the signature base, with the published one of RFC 9421."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature
from aauthlib.fields import serialize
from aauthlib.http import Fields, Request
from aauthlib.httpsig import fast_write
from aauthlib.httpsig.components import component_value, signature_base, signature_params
from aauthlib.keys import SigningKey

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "rfc9421.json").read_text())
MESSAGE = VECTORS["request"]
REQUEST = Request(
    MESSAGE["method"], MESSAGE["url"], Fields([tuple(pair) for pair in MESSAGE["headers"]]), MESSAGE["body"].encode()
)


@pytest.mark.spec("rfc9421#2.5", "rfc9421#3.2")
def test_the_base_and_signature_of_rfc_9421_b_2_6() -> None:
    vector = VECTORS["B.2.6"]
    key = SigningKey.from_jwk(VECTORS["keys"][vector["key"]])
    base = signature_base(REQUEST, vector["components"], vector["params"])
    assert base.decode().split("\n") == vector["base"]
    assert key.sign(base) == b64decode(vector["signature"])
    assert key.public.verify(b64decode(vector["signature"]), base)


@pytest.mark.spec("rfc9421#3.3")
def test_the_ecdsa_signature_of_rfc_9421_b_2_4() -> None:
    vector = VECTORS["B.2.4"]
    key = SigningKey.from_jwk(VECTORS["keys"][vector["key"]])
    base = "\n".join(vector["base"]).encode()
    assert key.public.verify(b64decode(vector["signature"]), base)
    assert not key.public.verify(b64decode(vector["signature"]), base + b" ")


@pytest.mark.spec("rfc9421#2.2")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@method", "POST"),
        ("@authority", "example.com"),
        ("@path", "/foo"),
        ("@query", "?param=Value&Pet=dog"),
        ("@target-uri", "https://example.com/foo?param=Value&Pet=dog"),
        ("@scheme", "https"),
        ("@request-target", "/foo?param=Value&Pet=dog"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ],
)
def test_the_components_of_the_request_of_rfc_9421(name: str, value: str) -> None:
    assert component_value(REQUEST, name) == value


@pytest.mark.spec("rfc9421#2.2")
@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Example.COM/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("http://a.localhost:80/", "a.localhost"),
        ("https://example.com:80/", "example.com:80"),
        ("http://a.localhost:4001/", "a.localhost:4001"),
        ("http://a.localhost:443/", "a.localhost:443"),
    ],
)
def test_the_authority_is_lowercase_and_without_the_default_port(url: str, authority: str) -> None:
    assert component_value(Request("GET", url), "@authority") == authority


@pytest.mark.spec("rfc9421#2.2")
@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("https://a.example", "/", "?"),
        ("https://a.example/?", "/", "?"),
        ("https://a.example/a%2Fb/../c?x=%20y", "/a%2Fb/../c", "?x=%20y"),
        ("https://a.example?q", "/", "?q"),
    ],
)
def test_path_and_query_are_signed_as_they_stand(url: str, path: str, query: str) -> None:
    request = Request("GET", url)
    assert component_value(request, "@path") == path
    assert component_value(request, "@query") == query


@pytest.mark.spec("rfc9421#2.1")
def test_a_field_of_several_lines_is_one_value() -> None:
    request = Request("GET", "https://a.example/", Fields([("x-a", " 1 "), ("x-a", "2"), ("x-e", "")]))
    assert component_value(request, "x-a") == "1, 2"
    assert component_value(request, "x-e") == ""


@pytest.mark.spec("rfc9421#2.5")
@pytest.mark.parametrize("name", ["@status", "@query-param", "@unknown", "x-absent", "", 'x" y', "X-A"])
def test_a_component_that_the_request_does_not_have_cannot_be_covered(name: str) -> None:
    request = Request("GET", "https://a.example/", Fields([("x-a", "1")]))
    with pytest.raises(InvalidSignature):
        signature_base(request, [name], f'("{name}")')


@pytest.mark.spec("rfc9421#2.5")
@pytest.mark.parametrize("value", ["a\nb", "a\rb", 'a\r\n"@method": GET', "ü", "\u2028"])
def test_a_value_that_no_base_can_hold_is_refused(value: str) -> None:
    for request, name in (
        (Request("GET", "https://a.example/", Fields([("x-a", f"x{value}x")])), "x-a"),
        (Request("GET", f"https://a.example/{value}"), "@path"),
        (Request(f"GET{value}", "https://a.example/"), "@method"),
        (Request("GET", f"https://a{value}.example/"), "@authority"),
    ):
        with pytest.raises(InvalidSignature):
            signature_base(request, [name], f'("{name}");created=1')


NAMES = st.lists(
    st.sampled_from(["@method", "@path", "x-a", "content-type"]) | st.text(alphabet='a-z"\\ é0', max_size=4), max_size=4
)


@pytest.mark.spec("rfc9421#2.3")
@given(
    NAMES,
    st.dictionaries(
        st.sampled_from(["created", "expires", "keyid", "x.y"]),
        st.integers(-5, 10**16) | st.sampled_from(["", "k", 'q"', "é"]),
        max_size=3,
    ),
)
def test_the_fast_writer_of_parameters_writes_what_the_general_one_writes(
    names: list[str], parameters: dict[str, int | str]
) -> None:
    fast = fast_write.inner_list(names, parameters)
    if fast is not None:
        assert fast == serialize([([(name, {}) for name in names], dict(parameters))])
        assert fast == signature_params(names, parameters)


@pytest.mark.spec("rfc9421#4.2")
@given(st.text(alphabet="abz09_-.*A", min_size=1, max_size=5), st.binary(max_size=70))
def test_the_fast_writer_of_signatures_writes_what_the_general_one_writes(label: str, signature: bytes) -> None:
    fast = fast_write.signature_member(label, signature)
    if fast is not None:
        assert fast == serialize({label: (signature, {})})
