"""Component values and the signature base. The published ones of RFC 9421 are in test_rfc9421.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import AAuthError, InvalidSignature
from aauthlib.fields import serialize
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import Component, Context, fast_write
from aauthlib.httpsig.components import (
    BASE_COMPONENTS,
    component,
    component_value,
    covers_digest,
    signature_base,
    signature_params,
)

REQUEST = Request(
    "POST",
    "https://example.com/foo?param=Value&Pet=dog",
    Fields([("Date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("Content-Type", "application/json")]),
    b'{"hello": "world"}',
)


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
    origin = url.partition("?")[0].removesuffix(path)
    assert component_value(request, "@target-uri") == origin + path + (query if "?" in url else "")


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


# --------------------------------------------------------------------------- identifiers with parameters


@pytest.mark.spec("rfc9421#2.1", "rfc9421#2.2")
@pytest.mark.parametrize(
    "identifier",
    ['"x-a";sf', '"x-a";key="m"', '"x-a";bs', '"x-a";req;tr;key="a\\"b"', '"@method";req', '"@query-param";name="Pet"'],
)
def test_an_identifier_with_parameters_is_written_as_it_was_read(identifier: str) -> None:
    read = component(identifier)
    assert isinstance(read, Component)
    assert str(read) == identifier


@pytest.mark.spec("rfc9421#2.1")
def test_an_identifier_without_parameters_is_its_name() -> None:
    assert component("x-a") == component('"x-a"') == component(Component("x-a")) == "x-a"


@pytest.mark.spec("rfc9421#2.1", "rfc9421#2.1.3", "rfc9421#2.2.8")
@pytest.mark.parametrize(
    "identifier",
    [
        '"x-a";unknown',
        '"x-a";sf=1',
        '"x-a";sf="x"',
        '"x-a";key',
        '"x-a";key=tok',
        '"x-a";bs;sf',
        '"x-a";bs;key="k"',
        '"x-a";name="n"',
        '"@query-param";req',
        '"@query-param";name=1',
        '"@method";tr',
        '"@method";name="n"',
        '"X-A";sf',
        '"x a";sf',
        '"x-a',
        '"x-a" "x-b"',
    ],
)
def test_an_identifier_whose_parameters_make_no_sense_is_refused(identifier: str) -> None:
    with pytest.raises(InvalidSignature):
        component(identifier)


@pytest.mark.spec("rfc9421#2.1")
def test_two_identifiers_are_the_same_in_whatever_order_their_parameters_stand() -> None:
    one, other = component('"x-a";req;key="k"'), component('"x-a";key="k";req')
    assert one == other and len({one, other}) == 1
    assert str(one) != str(other)
    assert one != component('"x-a";key="k"') and one != "x-a"


@pytest.mark.spec("rfc9421#2.3", "rfc9421#2.5")
def test_a_base_line_begins_with_the_identifier_and_its_parameters() -> None:
    covered = [Component.of("x-a", key="m"), "@method", Component.of("@query-param", name="q")]
    params = signature_params(covered, {"created": 1})
    assert params == '("x-a";key="m" "@method" "@query-param";name="q");created=1'
    request = Request("GET", "https://a.example/?q=1", Fields([("x-a", "m=1.50, n")]))
    base = signature_base(Context(request, structured={"x-a": "dictionary"}), covered, params)
    assert base.decode().split("\n")[:-1] == ['"x-a";key="m": 1.5', '"@method": GET', '"@query-param";name="q": 1']


@pytest.mark.spec("rfc9421#2.1")
@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        ("a\r\n b", "a b"),
        ("a \t\r\n\t\t b", "a b"),
        ("a\r\n  b\r\n  c", "a b c"),
        ("  a  ", "a"),
        ("\r\n a", "a"),
    ],
)
def test_a_folded_line_is_signed_with_one_space_for_each_fold(value: str, canonical: str) -> None:
    request = Request("GET", "https://a.example/", Fields([("x-a", value), ("x-a", "z")]))
    assert component_value(request, "x-a") == f"{canonical}, z"
    assert signature_base(request, ["x-a"], "()").startswith(f'"x-a": {canonical}, z\n'.encode())


@pytest.mark.spec("rfc9421#2.1.1")
def test_a_field_of_unknown_type_cannot_be_covered_strictly() -> None:
    request = Request("GET", "https://a.example/", Fields([("x-a", "a=1"), ("priority", "u=1,   i")]))
    for identifier in ('"x-a";sf', '"x-a";key="a"'):
        with pytest.raises(InvalidSignature, match="type is not known"):
            component_value(request, component(identifier))
    assert component_value(request, component('"priority";sf')) == "u=1, i"
    assert component_value(request, component('"priority";key="i"')) == "?1"
    with pytest.raises(InvalidSignature, match="not a dictionary"):
        component_value(Context(request, structured={"x-a": "list"}), component('"x-a";key="a"'))


@pytest.mark.spec("rfc9421#2.1.4")
def test_headers_and_trailers_of_one_name_are_kept_apart() -> None:
    context = Context(
        Request("GET", "https://a.example/", Fields([("x-a", "header")])), trailers=Fields([("x-a", "trailer")])
    )
    assert component_value(context, "x-a") == "header"
    assert component_value(context, component('"x-a";tr')) == "trailer"
    assert component_value(context, component('"x-a";tr;bs')) == ":dHJhaWxlcg==:"
    with pytest.raises(InvalidSignature):
        component_value(Context(context.message), component('"x-a";tr'))


@pytest.mark.spec("rfc9421#2.4", "rfc9421#2.2.9")
def test_what_belongs_to_the_request_is_covered_by_a_response_with_req_only() -> None:
    response = Response(204, Fields([("x-a", "of the response")]))
    context = Context(
        response,
        Request("PUT", "https://a.example/p?q=1", Fields([("x-a", "of the request")])),
        request_trailers=Fields([("x-t", "late")]),
    )
    for identifier, value in {
        "@status": "204",
        "x-a": "of the response",
        '"x-a";req': "of the request",
        '"x-t";tr;req': "late",
        '"@method";req': "PUT",
        '"@query-param";name="q";req': "1",
    }.items():
        assert component_value(context, component(identifier)) == value
    for message, identifier in (
        (context, "@method"),
        (context, '"@status";req'),
        (response, '"@method";req'),
        (Request("GET", "https://a.example/"), "@status"),
        (Request("GET", "https://a.example/"), '"@method";req'),
        (Context(Request("GET", "https://a.example/"), context.request), '"@method";req'),
        (context, "@signature-params"),
    ):
        with pytest.raises(InvalidSignature):
            component_value(message, component(identifier))


@pytest.mark.spec("#covered-components")
def test_a_digest_is_covered_whole_or_by_a_member_and_not_by_a_trailer_or_the_request() -> None:
    assert covers_digest(["@method", "content-digest"])
    assert covers_digest([component('"content-digest";key="sha-256"')])
    assert not covers_digest(["@method", component('"content-digest";req'), component('"content-digest";tr')])
    assert covers_digest([component('"content-digest";req')], request=True)
    assert not covers_digest(["content-digest"], request=True)
    assert not covers_digest([component('"content-digest";key="md5"')])


@pytest.mark.spec("rfc9421#2.3")
@pytest.mark.parametrize("parameters", [{"created": 10**15}, {"created": -1}, {"Created": 1}, {"created": True}])
def test_the_fast_writer_leaves_what_is_no_plain_parameter_to_the_general_one(parameters: dict[str, int]) -> None:
    assert fast_write.inner_list(("@method",), parameters) is None
    assert fast_write.inner_list(("@method",), {"created": 0}) == '("@method");created=0'


@pytest.mark.spec("rfc9421#2.2.3")
def test_only_a_port_that_is_the_default_of_the_scheme_is_left_out() -> None:
    for scheme, port, kept in (
        ("https", 443, ""),
        ("http", 80, ""),
        ("https", 80, ":80"),
        ("http", 443, ":443"),
        ("ws", 80, ":80"),
    ):
        request = Request("GET", f"{scheme}://Example.com:{port}/")
        assert component_value(request, "@authority") == f"example.com{kept}"


# --------------------------------------------------------------------------- the straight way for the usual components

ODD = st.text(alphabet='aZ"\\:/?#@ \t\r\n\x00é.', max_size=8)
URLS = st.one_of(
    st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["https", "http", "HTTPS", "ws", ""]),
        st.sampled_from(["A.example", "a.example:443", "a.example:80", "u@a.example", ""]) | ODD,
        st.sampled_from(["", "/", "/p?q=/x", "?q", "//x", "/é"]) | ODD,
        st.sampled_from(["", "?", "?a=b", "#f"]),
    ),
    ODD,
)
KEY_LINES = st.lists(
    st.sampled_from(['sig=jwt;jwt="a.b.c"', " sig=hwk ", "a=b,\r\n c=d", "a\r\nb", "a\nb", "a\rb", "", "é"]) | ODD,
    max_size=3,
)


def base_or_error(request: Request, components: tuple[str, ...] | list[str], params: str) -> object:
    try:
        return signature_base(request, components, params)
    except AAuthError as error:
        return type(error), error.detail


@pytest.mark.spec("rfc9421#2.5", "#covered-components")
@given(st.sampled_from(["GET", "post", "", "M-SEARCH"]) | ODD, URLS, KEY_LINES, st.just("();created=1") | ODD)
def test_the_base_of_the_usual_components_is_made_as_that_of_any(
    method: str, url: str, lines: list[str], params: str
) -> None:
    request = Request(method, url, Fields([("x-first", "1"), *(("Signature-Key", line) for line in lines)]))
    # Only the very tuple takes the straight way.
    assert base_or_error(request, BASE_COMPONENTS, params) == base_or_error(request, [*BASE_COMPONENTS], params)


@pytest.mark.spec("rfc9421#2.5", "#covered-components")
def test_the_base_of_the_usual_components_is_this() -> None:
    request = Request("PUT", "https://A.example:443/p%20q?x=1", Fields([("signature-key", " sig=hwk ")]))
    for components in (BASE_COMPONENTS, [*BASE_COMPONENTS]):
        assert signature_base(request, components, "();created=7") == (
            b'"@method": PUT\n"@authority": a.example\n"@path": /p%20q\n"signature-key": sig=hwk\n'
            b'"@signature-params": ();created=7'
        )
    for components in (BASE_COMPONENTS, [*BASE_COMPONENTS]):
        with pytest.raises(InvalidSignature, match="does not carry"):
            signature_base(Request("GET", "https://a.example/"), components, "()")
