"""Messages as they stand on the wire: nothing is decoded, normalised or lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.http import Fields, Request, Response, json_response

NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,8}", fullmatch=True)
VALUE = st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=10)
PATH = st.from_regex(r"/[A-Za-z0-9/%._~!$&'()*+,;=:@\-]{0,20}", fullmatch=True)
QUERY = st.none() | st.from_regex(r"[A-Za-z0-9/%._~!$&'()*+,;=:@?\-]{0,20}", fullmatch=True)


@pytest.mark.spec("rfc9421#2.1")
def test_lines_of_one_name_are_combined_in_order_and_trimmed() -> None:
    fields = Fields([("X-A", "  one "), ("x-b", "other"), ("x-a", "\ttwo"), ("X-a", "")])
    assert fields.get("x-a") == "one, two, "
    assert fields.get_all("x-a") == ["  one ", "\ttwo", ""]
    assert fields.get("x-c") is None
    assert "x-b" in fields and "x-c" not in fields
    assert len(fields) == 4


@given(st.lists(st.tuples(NAME, VALUE), max_size=6))
def test_fields_keep_their_order_and_lowercase_their_names(pairs: list[tuple[str, str]]) -> None:
    fields = Fields(pairs)
    assert list(fields) == [(name.lower(), value) for name, value in pairs]
    assert Fields(fields) == fields == Fields(list(fields))
    assert hash(Fields(fields)) == hash(fields)


def test_setting_a_field_replaces_all_of_its_lines_and_none_removes_them() -> None:
    fields = Fields([("signature-key", "a"), ("signature-key", "b"), ("x", "1")])
    assert list(fields.with_(signature_key="c")) == [("x", "1"), ("signature-key", "c")]
    assert list(fields.with_(signature_key=None)) == [("x", "1")]
    assert list(fields.added([("X", "2")])) == [*fields, ("x", "2")]
    assert list(fields) == [("signature-key", "a"), ("signature-key", "b"), ("x", "1")]


def test_showing_fields_shows_no_value() -> None:
    assert "secret" not in repr(Fields({"authorization": "AAuth secret"}))


def test_showing_a_message_shows_no_body() -> None:
    assert "secret" not in repr(Request("POST", "https://a.example/", body=b"secret"))
    assert "secret" not in repr(Response(200, body=b"secret"))


@pytest.mark.spec("rfc9421#2.2")
@given(st.sampled_from(["https://a.example", "http://a.localhost:4001"]), PATH, QUERY)
def test_a_url_is_taken_apart_without_changing_a_byte(origin: str, path: str, query: str | None) -> None:
    target = path if query is None else f"{path}?{query}"
    request = Request("GET", origin + target)
    assert (request.origin, request.target, request.path, request.query) == (origin, target, path, query)
    assert request.scheme + "://" + request.authority == origin


@pytest.mark.spec("rfc9421#2.2")
@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("https://a.example", "/", None),
        ("https://a.example?x=1", "/", "x=1"),
        ("https://a.example/?", "/", ""),
        ("https://a.example/a?b?c", "/a", "b?c"),
        ("https://a.example?a/b", "/", "a/b"),
        ("https://a.example//b", "//b", None),
    ],
)
def test_path_and_query_of_odd_urls(url: str, path: str, query: str | None) -> None:
    request = Request("GET", url)
    assert (request.authority, request.path, request.query) == ("a.example", path, query)


def test_with_headers_leaves_the_rest_alone() -> None:
    request = Request("POST", "https://a.example/", Fields({"x": "1"}), b"body")
    changed = request.with_headers(content_type="text/plain", x=None)
    assert list(changed.headers) == [("content-type", "text/plain")]
    assert (changed.method, changed.url, changed.body) == ("POST", "https://a.example/", b"body")
    assert list(request.headers) == [("x", "1")]


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b"{} x"])
def test_a_body_that_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        Response(200, body=body).json()


@pytest.mark.spec("#pending-response")
def test_a_json_response_is_kept_by_no_cache() -> None:
    response = json_response(202, {"status": "pending"}, headers=[("location", "/p")])
    assert response.json() == {"status": "pending"}
    assert response.headers.get("cache-control") == "no-store"
    assert response.headers.get("content-type") == "application/json"
    assert response.headers.get("location") == "/p"
