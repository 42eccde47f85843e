"""JSON bodies: strict about types, lenient about what is unknown, and never echoing what was sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidRequest
from aauthlib.http import Fields, Request
from aauthlib.messages.bodies import (
    PLATFORMS,
    AuthorizationRequest,
    AuthTokenRequest,
    ClarificationAnswer,
    PersonTokenRequest,
    RevocationRequest,
    decode,
    decode_request,
    encode,
)

#: The required members of each body, as its section lists them.
REQUIRED: dict[type[msgspec.Struct], dict[str, Any]] = {
    PersonTokenRequest: {"resource": "https://api.example"},
    AuthTokenRequest: {"resource_token": "r", "presented_token": "p"},
    AuthorizationRequest: {"scope": "a b"},
    RevocationRequest: {"jti": "j", "exp": 1_800_000_000},
    ClarificationAnswer: {"action": "clarification_response"},
}
KINDS = pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)


@KINDS
@pytest.mark.spec(
    "#person-token-endpoint", "#auth-token-request", "#authorization-endpoint-request", "#revocation-request"
)
def test_each_required_member_is_required_and_has_its_type(kind: type[msgspec.Struct]) -> None:
    members = REQUIRED[kind]
    assert isinstance(decode(kind, encode(members)), kind)
    for name in members:
        missing = {other: value for other, value in members.items() if other != name}
        with pytest.raises(InvalidRequest, match=name):
            decode(kind, encode(missing))
        for wrong in (None, [], {}, True, 1.5):
            with pytest.raises(InvalidRequest, match=name):
                decode(kind, encode({**members, name: wrong}))


@KINDS
@pytest.mark.spec("#aauth-capabilities")
def test_unknown_members_are_ignored(kind: type[msgspec.Struct]) -> None:
    assert decode(kind, encode({**REQUIRED[kind], "future": {"x": [1]}})) == decode(kind, encode(REQUIRED[kind]))


@KINDS
def test_a_body_reads_as_it_was_written(kind: type[msgspec.Struct]) -> None:
    body = decode(kind, encode(REQUIRED[kind]))
    assert msgspec.json.decode(encode(body)) == REQUIRED[kind]


@KINDS
@pytest.mark.spec("#untrusted-input", "#error-response-format")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{} {}",
        b"NaN",
    ],
)
def test_what_is_no_json_object_is_an_invalid_request(kind: type[msgspec.Struct], body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(kind, body)


@pytest.mark.spec("#untrusted-input")
def test_the_error_names_the_member_and_not_its_value() -> None:
    with pytest.raises(InvalidRequest) as raised:
        decode(PersonTokenRequest, encode({"resource": ["secret-value"], "login_hint": "secret-value"}))
    assert "resource" in raised.value.detail
    assert "secret-value" not in raised.value.detail


@pytest.mark.spec("#person-token-endpoint", "#untrusted-input")
@pytest.mark.parametrize(
    "members",
    [
        {"device": "x" * 65},
        {"device": "a\nb"},
        {"device": "rtl\u202e"},
        {"justification": "x" * 16_385},
        {"login_hint": "x" * 16_385},
        {"tenant": "a\0b"},
        {"capabilities": ["c"] * 33},
        {"capabilities": "interaction"},
        {"capabilities": [1]},
    ],
)
def test_the_context_of_a_request_is_bounded(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        decode(PersonTokenRequest, encode({**REQUIRED[PersonTokenRequest], **members}))
    with pytest.raises(InvalidRequest):
        decode(AuthTokenRequest, encode({**REQUIRED[AuthTokenRequest], **members}))


@pytest.mark.spec("#revocation-request")
@pytest.mark.parametrize(
    "members",
    [{"jti": ""}, {"jti": "x" * 4097}, {"exp": -1}, {"exp": 10**20}, {"exp": 10**400}, {"exp": "1"}, {"exp": 1.5}],
)
def test_a_revocation_that_could_be_of_no_token_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        decode(RevocationRequest, _json({**REQUIRED[RevocationRequest], **members}))


def _json(members: dict[str, Any]) -> bytes:
    """JSON with integers of any size."""
    import json

    return json.dumps(members).encode()


@pytest.mark.spec("#aauth-platform-value-registry")
def test_the_platforms_of_the_registry() -> None:
    assert set(PLATFORMS) == {"web", "mobile", "desktop", "workload", "self-hosted"}


@pytest.mark.spec("#error-response-format")
@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_a_json_body_says_that_it_is_json(content_type: str) -> None:
    request = Request("POST", "https://a.example/", Fields({"content-type": content_type}), encode({"scope": ""}))
    assert decode_request(AuthorizationRequest, request).scope == ""


@pytest.mark.spec("#error-response-format")
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ],
)
def test_a_body_of_another_type_is_refused(content_type: str | None) -> None:
    headers = Fields({} if content_type is None else {"content-type": content_type})
    with pytest.raises(InvalidRequest, match="application/json"):
        decode_request(AuthorizationRequest, Request("POST", "https://a.example/", headers, encode({"scope": ""})))


@KINDS
@pytest.mark.spec("#untrusted-input")
@given(
    body=st.binary(max_size=40)
    | st.recursive(st.none() | st.text(max_size=4), lambda i: st.lists(i, max_size=2)).map(encode)
)
def test_no_body_makes_decoding_fail_otherwise(kind: type[msgspec.Struct], body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        decode(kind, body)
