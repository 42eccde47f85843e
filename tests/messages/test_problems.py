"""Errors as responses, and back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib import errors
from aauthlib.errors import (
    PROBLEMS,
    SIGNATURE_ERRORS,
    AAuthError,
    ConfigurationError,
    Denied,
    InvalidIdentifier,
    InvalidInput,
    InvalidSignature,
    MethodNotAllowed,
    RateLimited,
    ServerError,
    SlowDown,
    TemporarilyUnavailable,
    TokenExpired,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from aauthlib.http import Fields, Response
from aauthlib.messages.problems import error_of, error_response


@pytest.mark.spec("#error-response-format", "#authentication-errors")
@pytest.mark.parametrize("cls", [*PROBLEMS.values(), *SIGNATURE_ERRORS.values()], ids=lambda cls: cls.__name__)
def test_every_error_survives_the_wire(cls: type[errors.ProblemError] | type[errors.SignatureError]) -> None:
    response = error_response(cls("What happened."))
    assert response.status == cls.status
    assert response.headers.get("content-type") == "application/problem+json"
    assert response.headers.get("cache-control") == "no-store"
    assert response.json()["error"] == cls.code
    assert type(error_of(response)) is cls


@pytest.mark.spec("signature-key#5.3", "#verification")
def test_a_403_carries_none_of_the_signature_headers() -> None:
    for cls in PROBLEMS.values():
        if cls.status == 403:
            names = {name for name, _ in error_response(cls("No.")).headers}
            assert not names & {"signature-error", "accept-signature-scheme", "accept-signature-alg"}


@pytest.mark.spec("#authentication-errors", "signature-key#4.4", "#scheme-rejection")
def test_unsupported_schemes_and_algorithms_name_those_that_are_supported() -> None:
    scheme = error_response(UnsupportedScheme("No.", accepted=["jwt", "hwk"]))
    assert scheme.headers.get("accept-signature-scheme") == "jwt, hwk"
    assert scheme.headers.get("signature-error") == "error=unsupported_scheme"
    algorithm = error_response(UnsupportedAlgorithm("No.", accepted=["Ed25519"]))
    assert algorithm.headers.get("accept-signature-alg") == "Ed25519"
    for response, accepted in ((scheme, ("jwt", "hwk")), (algorithm, ("Ed25519",))):
        read = error_of(response)
        assert isinstance(read, UnsupportedScheme | UnsupportedAlgorithm)
        assert read.accepted == accepted
    assert "accept-signature-scheme" not in error_response(UnsupportedScheme("No.")).headers


@pytest.mark.spec("signature-key#5.1")
def test_required_input_is_in_the_header() -> None:
    response = error_response(InvalidInput("Cover more.", required_input=["@method", "x-a"]))
    assert response.headers.get("signature-error") == 'error=invalid_input, required_input=("@method" "x-a")'
    read = error_of(response)
    assert isinstance(read, InvalidInput)
    assert read.required_input == ("@method", "x-a")


@pytest.mark.spec("#polling-error-codes", "#revocation-response")
@pytest.mark.parametrize("cls", [SlowDown, RateLimited, TemporarilyUnavailable])
def test_who_should_come_back_later_is_told_when(
    cls: type[SlowDown] | type[RateLimited] | type[TemporarilyUnavailable],
) -> None:
    response = error_response(cls("Later.", retry_after_s=42))
    assert response.headers.get("retry-after") == "42"
    read = error_of(response)
    assert isinstance(read, cls)
    assert read.retry_after_s == 42
    assert error_response(cls("Later.", retry_after_s=-3)).headers.get("retry-after") == "0"


def test_a_wrong_method_is_told_the_right_ones() -> None:
    response = error_response(MethodNotAllowed("No.", allow=["GET", "POST"]))
    assert response.headers.get("allow") == "GET, POST"
    read = error_of(response)
    assert isinstance(read, MethodNotAllowed)
    assert read.allow == ("GET", "POST")


@pytest.mark.spec("#verification")
def test_a_token_error_that_was_not_placed_is_about_the_token_in_signature_key() -> None:
    response = error_response(TokenExpired("It expired."))
    assert response.status == 401
    assert response.headers.get("signature-error") == "error=expired_jwt"


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "error",
    [
        AAuthError("inner secret"),
        InvalidIdentifier("inner secret"),
        ConfigurationError("inner secret"),
    ],
)
def test_an_error_without_a_wire_form_says_nothing_of_itself(error: AAuthError) -> None:
    response = error_response(error)
    assert response.status == 500
    assert response.json()["error"] == "server_error"
    assert b"secret" not in response.body


@pytest.mark.spec("#authentication-errors")
def test_the_header_counts_and_not_the_body_of_a_401() -> None:
    response = Response(401, Fields({"signature-error": "error=invalid_signature"}), b'{"error":"denied"}')
    assert type(error_of(response)) is InvalidSignature


@pytest.mark.spec("#deferred-response-state-machine")
@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, errors.InvalidRequest),
        (403, Denied),
        (404, errors.NotFound),
        (408, errors.Expired),
        (410, errors.Gone),
        (429, SlowDown),
        (500, ServerError),
        (502, errors.AsUnreachable),
        (503, TemporarilyUnavailable),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b'{"error":"new_code"}'])
def test_without_a_known_code_the_status_says_what_it_is(status: int, cls: type[AAuthError], body: bytes) -> None:
    assert type(error_of(Response(status, body=body))) is cls


@pytest.mark.spec("#error-response-format")
def test_the_detail_of_an_unknown_code_is_kept_for_people() -> None:
    response = Response(403, body=msgspec.json.encode({"error": "new_code", "detail": "Pay first."}))
    read = error_of(response)
    assert isinstance(read, Denied)
    assert read.detail == "Pay first."


@pytest.mark.spec("#untrusted-input")
@given(
    st.integers(100, 599),
    st.dictionaries(st.sampled_from(["signature-error", "retry-after", "allow"]), st.text(max_size=20)),
    st.binary(max_size=30),
)
def test_every_response_is_some_error(status: int, headers: dict[str, str], body: bytes) -> None:
    assert error_of(Response(status, Fields(headers), body)).detail
