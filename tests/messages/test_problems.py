from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import (
    PROBLEMS,
    SIGNATURE_ERRORS,
    AAuthError,
    AsUnreachable,
    ConfigurationError,
    Denied,
    Expired,
    ExpiredJWT,
    Gone,
    InvalidIdentifier,
    InvalidInput,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ProblemError,
    RateLimited,
    RevokedJWT,
    ServerError,
    SignatureError,
    SlowDown,
    TemporarilyUnavailable,
    TokenExpired,
    TokenRevoked,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from aauthlib.http import Fields, Response
from aauthlib.messages.problems import error_of, error_response


@pytest.mark.parametrize("code", PROBLEMS)
@pytest.mark.spec("#error-response-format", "#token-endpoint-error-codes", "#polling-error-codes")
def test_every_problem_is_read_as_it_is_written(code: str) -> None:
    response = error_response(PROBLEMS[code]("What happened."))

    read = error_of(response)

    assert response.status == PROBLEMS[code].status
    assert response.headers.get("content-type") == "application/problem+json"
    assert response.headers.get("cache-control") == "no-store"
    assert response.json()["error"] == code
    assert (type(read), str(read)) == (PROBLEMS[code], "What happened.")


@pytest.mark.parametrize("code", SIGNATURE_ERRORS)
@pytest.mark.spec("#authentication-errors", "signature-key#5.2")
def test_every_signature_error_is_read_as_it_is_written(code: str) -> None:
    response = error_response(SIGNATURE_ERRORS[code]("What happened."))

    assert response.status == 401
    assert response.json()["error"] == code
    assert response.json()["type"] == f"urn:ietf:params:sig-error:{code}"
    assert type(error_of(response)) is SIGNATURE_ERRORS[code]


@pytest.mark.spec("#authentication-errors")
def test_the_header_is_the_carrier_whatever_the_body_says() -> None:
    response = Response(401, Fields({"signature-error": "error=expired_jwt"}), b'{"error":"denied"}')

    assert type(error_of(response)) is ExpiredJWT


@pytest.mark.spec("#verification", "signature-key#4.4")
def test_what_the_server_accepts_travels_with_the_error() -> None:
    scheme = error_response(UnsupportedScheme("x", accepted=["hwk", "jwt"]))
    alg = error_response(UnsupportedAlgorithm("x", accepted=["Ed25519"]))
    covered = error_response(InvalidInput("x", required_input=["@method"]))

    assert scheme.headers.get("accept-signature-scheme") == "hwk, jwt"
    assert alg.headers.get("accept-signature-alg") == "Ed25519"
    for response, name, value in (
        (scheme, "accepted", ("hwk", "jwt")),
        (alg, "accepted", ("Ed25519",)),
        (covered, "required_input", ("@method",)),
    ):
        assert getattr(error_of(response), name) == value


@pytest.mark.parametrize("cls", [SlowDown, RateLimited, TemporarilyUnavailable])
@pytest.mark.spec("#polling-error-codes", "#revocation-response")
def test_how_long_to_wait_travels_with_the_error(cls: Any) -> None:
    response = error_response(cls("x", retry_after_s=17))

    assert response.headers.get("retry-after") == "17"
    read = error_of(response)
    assert isinstance(read, cls)
    assert read.retry_after_s == 17


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "9999999999", "²", "Fri, 15 Jan 2027 08:01:30 GMT"])
@pytest.mark.spec("#polling-error-codes")
def test_a_retry_after_without_plain_seconds_leaves_the_default(value: str | None) -> None:
    fields = Fields({} if value is None else {"retry-after": value})

    read = error_of(Response(429, fields, b'{"error":"rate_limited"}'))

    assert isinstance(read, RateLimited)
    assert read.retry_after_s == RateLimited().retry_after_s


def test_the_allowed_methods_travel_with_the_error() -> None:
    response = error_response(MethodNotAllowed("x", allow=["GET", "POST"]))

    assert (response.status, response.headers.get("allow")) == (405, "GET, POST")
    read = error_of(response)
    assert isinstance(read, MethodNotAllowed)
    assert read.allow == ("GET", "POST")


@pytest.mark.parametrize("code", [code for code, cls in PROBLEMS.items() if cls.status == 403])
@pytest.mark.spec("#verification", "signature-key#5.3")
def test_a_403_carries_none_of_the_signature_headers(code: str) -> None:
    headers = error_response(PROBLEMS[code]("x")).headers

    assert not {"signature-error", "accept-signature-scheme", "accept-signature-alg"} & {name for name, _ in headers}


@pytest.mark.spec("#presenting-a-revoked-token")
def test_a_token_error_that_nobody_placed_is_about_the_token_in_signature_key() -> None:
    assert type(error_of(error_response(TokenExpired("x")))) is ExpiredJWT
    assert type(error_of(error_response(TokenRevoked("x")))) is RevokedJWT


@pytest.mark.parametrize(
    "error", [InvalidIdentifier("/etc/secret"), ConfigurationError("/etc/secret"), AAuthError("/etc/secret")]
)
@pytest.mark.spec("#error-response-format")
def test_an_error_without_a_wire_form_tells_nothing(error: AAuthError) -> None:
    response = error_response(error)

    assert (response.status, response.json()["error"]) == (500, "server_error")
    assert b"secret" not in response.body


# --------------------------------------------------------------------------- what others answer


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, InvalidRequest),
        (403, Denied),
        (404, NotFound),
        (408, Expired),
        (410, Gone),
        (429, SlowDown),
        (500, ServerError),
        (502, AsUnreachable),
        (503, TemporarilyUnavailable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b'{"error":7}', b'{"error":"novel"}', b"[" * 100_000])
@pytest.mark.spec("#deferred-response-state-machine")
def test_a_body_that_does_not_say_leaves_the_status_to_say_it(
    status: int, cls: type[ProblemError], body: bytes
) -> None:
    assert type(error_of(Response(status, body=body))) is cls


@pytest.mark.spec("#error-response-format")
def test_what_a_problem_says_for_people_is_kept_even_if_its_code_is_not_known() -> None:
    response = Response(400, body=b'{"error":"novel","detail":"Bring tea."}')

    assert str(error_of(response)) == "Bring tea."


@pytest.mark.spec("#error-response-format")
def test_the_error_member_decides_and_neither_type_nor_status_do() -> None:
    response = Response(400, body=b'{"type":"urn:x","status":500,"error":"denied"}')

    assert type(error_of(response)) is Denied


@pytest.mark.parametrize("status", [201, 302, 401, 418, 599])
def test_a_status_that_means_nothing_here_is_an_error_all_the_same(status: int) -> None:
    error = error_of(Response(status))

    assert type(error) is AAuthError
    assert str(status) in str(error)


@given(
    status=st.sampled_from([400, 401, 403, 410, 429, 500, 503]),
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.text(max_size=9) | st.integers(), lambda i: st.dictionaries(st.text(max_size=9), i)
    ).map(msgspec.json.encode),
    header=st.text(st.characters(max_codepoint=255), max_size=30),
)
@pytest.mark.spec("#error-response-format")
def test_whatever_the_other_side_answers_is_an_error_of_ours(status: int, body: bytes, header: str) -> None:
    fields = Fields({"signature-error": header, "retry-after": header, "allow": header})

    assert isinstance(error_of(Response(status, fields, body)), AAuthError)


@pytest.mark.spec("#error-response-format")
def test_a_detail_is_the_only_text_of_the_other_side_that_is_kept() -> None:
    error = error_of(Response(400, body=b'{"error":"denied","detail":["x"],"title":"<b>"}'))

    assert isinstance(error, Denied)
    assert str(error) == ""
    assert not isinstance(error, SignatureError)
