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
    AuthTokenResponse,
    ClarificationAnswer,
    PersonTokenRequest,
    PersonTokenResponse,
    ResourceTokenResponse,
    RevocationRequest,
    decode,
    decode_request,
)

LEAST: dict[type[msgspec.Struct], dict[str, Any]] = {
    PersonTokenRequest: {"resource": "https://r.example"},
    PersonTokenResponse: {"person_token": "t", "expires_in": 60},
    AuthTokenRequest: {"resource_token": "r", "presented_token": "p"},
    AuthTokenResponse: {"auth_token": "t", "expires_in": 60},
    AuthorizationRequest: {"scope": "a b"},
    ResourceTokenResponse: {"resource_token": "r"},
    RevocationRequest: {"jti": "j", "exp": 1_800_000_000},
    ClarificationAnswer: {"action": "clarification_response"},
}
BODIES = pytest.mark.parametrize("cls", LEAST)
CONTEXT = {
    "capabilities": ["interaction"], "login_hint": "a@b.c", "tenant": "t", "domain_hint": "d", "prompt": "consent",
    "justification": "**why**", "platform": "desktop", "device": "Pixel 8 (App)", "subagent_token": "s",
    "upstream_token": "u",
}  # fmt: skip


def body(document: object) -> bytes:
    return msgspec.json.encode(document)


def refuse(cls: type[msgspec.Struct], raw: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode(cls, raw)
    return str(caught.value)


@BODIES
@pytest.mark.spec("#error-response-format")
def test_a_body_with_what_is_required_is_read_and_unknown_members_are_ignored(cls: type[msgspec.Struct]) -> None:
    value = decode(cls, body({**LEAST[cls], "novelty": {"deep": [1]}}))

    assert {name: getattr(value, name) for name in LEAST[cls]} == LEAST[cls]


@BODIES
def test_a_missing_member_is_named(cls: type[msgspec.Struct]) -> None:
    for name in LEAST[cls]:
        document = {other: value for other, value in LEAST[cls].items() if other != name}
        assert name in refuse(cls, body(document))


@BODIES
@pytest.mark.parametrize("value", [None, True, 1.5, [], {"secret": 1}, -1])
def test_a_member_of_another_type_is_named_and_its_value_is_not_repeated(
    cls: type[msgspec.Struct], value: object
) -> None:
    for name in LEAST[cls]:
        if name == "expires_in" and value == -1:
            continue
        told = refuse(cls, body({**LEAST[cls], name: value}))
        assert name in told
        assert "secret" not in told


@BODIES
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"{",
        b"{}}",
        b"\xff",
        b'{"a":\xff}',
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_an_invalid_request(cls: type[msgspec.Struct], raw: bytes) -> None:
    refuse(cls, raw)


@BODIES
@given(data=st.data())
def test_no_error_repeats_a_value_of_the_body(cls: type[msgspec.Struct], data: st.DataObject) -> None:
    secret = "s3cr3t-" + data.draw(st.text("abcdef", min_size=4, max_size=8))
    value = data.draw(st.sampled_from([[secret], {secret: secret}, {"a": [secret]}]))
    name = data.draw(st.sampled_from(sorted(LEAST[cls])))

    assert secret not in refuse(cls, body({**LEAST[cls], name: value}))


@pytest.mark.parametrize("cls", [PersonTokenRequest, AuthTokenRequest])
@pytest.mark.spec("#person-token-endpoint", "#auth-token-request")
def test_both_token_endpoints_take_the_same_optional_parameters(cls: type[msgspec.Struct]) -> None:
    value = decode(cls, body({**LEAST[cls], **CONTEXT}))

    assert {name: getattr(value, name) for name in CONTEXT} == CONTEXT
    assert all(getattr(decode(cls, body(LEAST[cls])), name) is None for name in CONTEXT)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"device": "x" * 65}, "device"),
        ({"device": "a\x1b[31m"}, "device"),
        ({"device": "line\nbreak"}, "device"),
        ({"capabilities": ["c"] * 33}, "capabilities"),
        ({"capabilities": "interaction"}, "capabilities"),
        ({"capabilities": [7]}, "capabilities"),
        *(({name: "x" * 16_385}, name) for name in ("login_hint", "tenant", "prompt", "justification", "platform")),
        *(({name: "a\0b"}, name) for name in ("login_hint", "tenant", "prompt", "justification", "platform")),
    ],
)
@pytest.mark.spec("#auth-token-request")
def test_an_optional_parameter_that_breaks_its_rule_is_refused(change: dict[str, Any], names: str) -> None:
    assert names in refuse(PersonTokenRequest, body({**LEAST[PersonTokenRequest], **change}))


@pytest.mark.spec("#aauth-platform-value-registry")
def test_the_platforms_are_those_of_the_registry() -> None:
    assert PLATFORMS.keys() == {"web", "mobile", "desktop", "workload", "self-hosted"}


@pytest.mark.parametrize("device", ["x" * 64, "Pixel 8 (App)", "Élan ✓", ""])
@pytest.mark.spec("#auth-token-request")
def test_a_device_is_up_to_64_printable_characters(device: str) -> None:
    value = decode(PersonTokenRequest, body({**LEAST[PersonTokenRequest], "device": device}))

    assert value.device == device


@pytest.mark.parametrize(
    "change",
    [{"exp": -1}, {"exp": 1.5}, {"exp": "1800000000"}, {"exp": 253_402_300_800}, {"jti": ""}, {"jti": "j" * 4097}],
)
@pytest.mark.spec("#revocation-request")
def test_a_revocation_of_what_no_token_can_be_is_refused(change: dict[str, Any]) -> None:
    refuse(RevocationRequest, body({**LEAST[RevocationRequest], **change}))


@pytest.mark.spec("#revocation-request")
def test_a_revocation_whose_exp_no_database_can_hold_is_refused() -> None:
    refuse(RevocationRequest, b'{"jti":"j","exp":1' + b"0" * 400 + b"}")


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON", "application/json; charset=utf-8"])
def test_a_body_is_sent_as_json(content_type: str) -> None:
    request = Request("POST", "https://ps.example/person", Fields({"content-type": content_type}), body({"scope": "a"}))

    assert decode_request(AuthorizationRequest, request).scope == "a"


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
def test_a_body_sent_as_something_else_is_refused(content_type: str | None) -> None:
    fields = Fields({} if content_type is None else {"content-type": content_type})

    with pytest.raises(InvalidRequest, match="application/json"):
        decode_request(AuthorizationRequest, Request("POST", "https://ps.example/", fields, body({"scope": "a"})))
