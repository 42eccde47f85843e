"""Every code of the specification has one class, one status and one way back."""

from __future__ import annotations

import msgspec
import pytest

from aauthlib import errors
from aauthlib.errors import (
    PARAMETER_TOKEN_ERRORS,
    PROBLEMS,
    SIGNATURE_ERRORS,
    AAuthError,
    InvalidInput,
    InvalidKey,
    InvalidPresentedToken,
    ProblemError,
    SignatureError,
    TokenClockSkew,
    TokenExpired,
    TokenFromFuture,
    TokenInvalid,
    TokenRevoked,
    UnknownKey,
    as_parameter_error,
    as_signature_error,
    parse_problem,
)

#: #token-endpoint-error-codes, as written there.
TOKEN_ENDPOINT = {
    "invalid_request": 400,
    "invalid_resource_token": 400,
    "expired_resource_token": 400,
    "revoked_resource_token": 400,
    "invalid_presented_token": 400,
    "expired_presented_token": 400,
    "revoked_presented_token": 400,
    "invalid_upstream_token": 400,
    "expired_upstream_token": 400,
    "revoked_upstream_token": 400,
    "invalid_subagent_token": 400,
    "expired_subagent_token": 400,
    "revoked_subagent_token": 400,
    "clock_skew": 400,
    "user_unreachable": 403,
    "as_unreachable": 502,
    "server_error": 500,
}
#: #polling-error-codes
POLLING = {
    "denied": 403,
    "abandoned": 403,
    "expired": 408,
    "revoked": 403,
    "invalid_code": 410,
    "slow_down": 429,
    "server_error": 500,
}
#: #revocation-response
REVOCATION = {"invalid_request": 400, "unsupported_iss": 403, "rate_limited": 429, "server_error": 500}
#: HTTP Signature Keys, Section 9.4.1.
SIGNATURE = {
    "unsupported_algorithm",
    "unsupported_scheme",
    "cache_miss",
    "invalid_signature",
    "invalid_input",
    "invalid_request",
    "invalid_key",
    "unknown_key",
    "issuer_missing",
    "issuer_mismatch",
    "invalid_jwt",
    "expired_jwt",
    "revoked_jwt",
    "clock_skew",
}


@pytest.mark.spec("#token-endpoint-error-codes", "#polling-error-codes", "#revocation-response")
@pytest.mark.parametrize(("code", "status"), [*TOKEN_ENDPOINT.items(), *POLLING.items(), *REVOCATION.items()])
def test_each_code_of_the_tables_has_the_status_of_the_table(code: str, status: int) -> None:
    error = PROBLEMS[code]("Why.")
    assert error.status == status
    assert error.body() == {"error": code, "status": status, "detail": "Why."}


@pytest.mark.spec("#token-endpoint-error-codes")
@pytest.mark.parametrize("code", ["invalid_person_token", "unknown_person_token"])
def test_codes_that_the_final_text_dropped_do_not_exist(code: str) -> None:
    assert code not in PROBLEMS
    assert code not in SIGNATURE_ERRORS


@pytest.mark.spec("signature-key#5.4", "#verification")
def test_the_signature_errors_are_those_of_the_registry_and_always_401() -> None:
    assert set(SIGNATURE_ERRORS) == SIGNATURE
    assert {cls.status for cls in SIGNATURE_ERRORS.values()} == {401}


@pytest.mark.spec("signature-key#5.2")
def test_the_body_of_a_signature_error_is_a_problem_with_the_urn_of_its_code() -> None:
    assert InvalidKey("It is broken.").body() == {
        "type": "urn:ietf:params:sig-error:invalid_key",
        "title": "The public key is not usable",
        "status": 401,
        "error": "invalid_key",
        "detail": "It is broken.",
    }
    assert "detail" not in InvalidKey().body()


@pytest.mark.spec("signature-key#5.1")
def test_only_invalid_input_carries_what_is_required() -> None:
    assert InvalidInput(required_input=["@method", "date"]).members() == {"required_input": ("@method", "date")}
    assert InvalidInput().members() == {}
    assert InvalidKey().members() == {}


@pytest.mark.spec("#verification", "#presenting-a-revoked-token")
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (TokenInvalid, "invalid_jwt"),
        (TokenExpired, "expired_jwt"),
        (TokenRevoked, "revoked_jwt"),
        (TokenFromFuture, "clock_skew"),
    ],
)
def test_a_token_in_signature_key_fails_as_a_signature_error(kind: type[errors.TokenError], code: str) -> None:
    error = as_signature_error(kind("Why."))
    assert (error.code, error.status, error.detail) == (code, 401, "Why.")


@pytest.mark.spec("#token-endpoint-error-codes")
@pytest.mark.parametrize("parameter", ["resource", "presented", "upstream", "subagent"])
def test_a_token_sent_as_a_parameter_fails_with_the_parameters_code(parameter: errors.TokenParameter) -> None:
    for kind, prefix in ((TokenInvalid, "invalid"), (TokenExpired, "expired"), (TokenRevoked, "revoked")):
        error = as_parameter_error(kind("Why."), parameter)
        assert (error.code, error.status, error.detail) == (f"{prefix}_{parameter}_token", 400, "Why.")
    assert type(as_parameter_error(TokenFromFuture("Why."), parameter)) is TokenClockSkew


@pytest.mark.spec("#token-endpoint-error-codes")
def test_a_parameter_whose_key_cannot_be_had_is_an_invalid_token() -> None:
    for error in (UnknownKey("No such kid."), InvalidKey("Broken."), AAuthError("Other.")):
        assert type(as_parameter_error(error, "presented")) is InvalidPresentedToken
    assert set(PARAMETER_TOKEN_ERRORS) == {"resource", "presented", "upstream", "subagent", "agent"}


@pytest.mark.spec("#error-response-format")
@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_a_problem_reads_back_as_it_was_written(code: str) -> None:
    error = PROBLEMS[code]("What happened.")
    read = parse_problem(error.status, msgspec.json.encode(error.body()))
    assert type(read) is type(error)
    assert read is not None
    assert read.detail == "What happened."


@pytest.mark.spec("#error-response-format")
def test_type_and_other_members_do_not_matter() -> None:
    body = {"type": "https://elsewhere.example/denied", "error": "expired", "title": 5, "detail": ["no text"]}
    read = parse_problem(408, msgspec.json.encode(body))
    assert type(read) is errors.Expired
    assert read.detail == ""


@pytest.mark.spec("#error-response-format", "#untrusted-input")
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'{"error":5}', b'{"error":"?"}', b"{}", b"\xff", b"[" * 100_000]
)
def test_a_body_that_is_no_known_problem_reads_as_none(body: bytes) -> None:
    assert parse_problem(400, body) is None


def test_every_error_is_exported_and_belongs_to_one_tree() -> None:
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    raised = {name: value for name, value in classes.items() if issubclass(value, Exception)}
    assert set(raised) <= set(errors.__all__)
    assert all(issubclass(value, AAuthError) for value in raised.values())
    for base, by_code in ((ProblemError, PROBLEMS), (SignatureError, SIGNATURE_ERRORS)):
        assert set(by_code.values()) == {c for c in raised.values() if issubclass(c, base) and c is not base}
