"""The small headers, each with one reader and one writer."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import SIGNATURE_ERRORS, InvalidInput, InvalidRequest
from aauthlib.http import Fields
from aauthlib.messages.headers import (
    accepted_tokens,
    parse_access,
    parse_capabilities,
    parse_prefer_wait,
    parse_retry_after,
    parse_session_token,
    parse_signature_error,
    serialize_signature_error,
    serialize_tokens,
    session_authorization,
)

NOW = 1_800_000_000.0
TOKEN = st.from_regex(r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]{0,12}", fullmatch=True)
TOKEN68 = st.from_regex(r"[A-Za-z0-9\-._~+/]{1,40}={0,2}", fullmatch=True)


@pytest.mark.spec("#aauth-capabilities", "signature-key#4.1", "signature-key#4.2")
@given(st.lists(TOKEN, min_size=1, max_size=5))
def test_a_list_of_tokens_reads_as_it_was_written(tokens: list[str]) -> None:
    headers = Fields({"accept-signature-alg": serialize_tokens(tokens), "aauth-capabilities": serialize_tokens(tokens)})
    assert accepted_tokens(headers, "accept-signature-alg") == tuple(tokens)
    assert parse_capabilities(headers) == frozenset(tokens)


@pytest.mark.spec("#aauth-capabilities")
def test_without_the_header_no_capability_is_assumed() -> None:
    assert parse_capabilities(Fields()) == frozenset()
    assert accepted_tokens(Fields(), "accept-signature-scheme") is None


@pytest.mark.spec("#aauth-capabilities")
def test_what_is_not_recognised_in_a_list_is_ignored() -> None:
    headers = Fields({"aauth-capabilities": 'interaction;level=2, "text", (a b), 5, payment'})
    assert parse_capabilities(headers) == {"interaction", "payment"}
    assert parse_capabilities(Fields({"aauth-capabilities": "interaction,,"})) == frozenset()


@pytest.mark.spec("#aauth-capabilities")
def test_a_list_may_be_spread_over_lines() -> None:
    headers = Fields([("AAuth-Capabilities", "interaction"), ("aauth-capabilities", "clarification")])
    assert parse_capabilities(headers) == {"interaction", "clarification"}


# --------------------------------------------------------------------------- session tokens


@pytest.mark.spec("#aauth-access")
@given(TOKEN68)
def test_a_session_token_is_given_and_presented(token: str) -> None:
    assert parse_access(Fields({"aauth-access": token})) == token
    assert parse_session_token(Fields({"authorization": session_authorization(token)})) == token


@pytest.mark.spec("#aauth-access")
def test_a_response_or_request_without_one_has_none() -> None:
    assert parse_access(Fields()) is None
    for value in ("Bearer x", "Basic eDp5", "aauthx y", ""):
        assert parse_session_token(Fields({"authorization": value})) is None
    assert parse_session_token(Fields()) is None


@pytest.mark.spec("#aauth-access", "#untrusted-input")
@pytest.mark.parametrize("value", ["", " ", "a b", "a,b", "a\tb", '"a"', "é", "a\x00", "=", "a=b", "x" * 9000, "a;b"])
def test_a_malformed_session_token_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_access(Fields({"aauth-access": value}))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields({"authorization": f"AAuth {value}"}))


@pytest.mark.spec("#aauth-access")
def test_more_than_one_credential_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than one"):
        parse_access(Fields([("aauth-access", "a"), ("aauth-access", "b")]))
    for other in ("AAuth b", "Bearer b"):
        with pytest.raises(InvalidRequest, match="more than one"):
            parse_session_token(Fields([("authorization", "AAuth a"), ("authorization", other)]))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields({"authorization": "AAuth"}))


@pytest.mark.spec("#aauth-access")
def test_the_scheme_name_is_compared_without_case() -> None:
    assert parse_session_token(Fields({"authorization": "aAuTh  token"})) == "token"


# --------------------------------------------------------------------------- Signature-Error


@pytest.mark.spec("signature-key#5.1", "#authentication-errors")
@pytest.mark.parametrize("code", sorted(SIGNATURE_ERRORS))
def test_a_signature_error_reads_as_it_was_written(code: str) -> None:
    value = serialize_signature_error(SIGNATURE_ERRORS[code]("Why."))
    assert value == f"error={code}"
    assert type(parse_signature_error(Fields({"signature-error": value}))) is SIGNATURE_ERRORS[code]


@pytest.mark.spec("signature-key#5.1", "#covered-components")
def test_invalid_input_says_what_is_required() -> None:
    required = ("@method", "content-digest", "x-a")
    value = serialize_signature_error(InvalidInput("Why.", required_input=required))
    assert value == 'error=invalid_input, required_input=("@method" "content-digest" "x-a")'
    read = parse_signature_error(Fields({"signature-error": value}))
    assert isinstance(read, InvalidInput)
    assert read.required_input == required


@pytest.mark.spec("signature-key#5.1", "#untrusted-input")
@pytest.mark.parametrize(
    "value",
    [
        "",
        'error="invalid_key"',
        "error",
        "error=unknown_code",
        "x=y",
        "error=(a)",
        "é",
        "error=",
        "error=?1",
    ],
)
def test_a_signature_error_that_cannot_be_read_is_none(value: str) -> None:
    assert parse_signature_error(Fields({"signature-error": value})) is None
    assert parse_signature_error(Fields()) is None


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "required",
    [
        "",
        ", required_input",
        ", required_input=x",
        ", required_input=(1 a)",
        ", required_input=()",
    ],
)
def test_a_required_input_that_cannot_be_read_is_empty(required: str) -> None:
    read = parse_signature_error(Fields({"signature-error": f"error=invalid_input{required}"}))
    assert isinstance(read, InvalidInput)
    assert read.required_input == ()


# --------------------------------------------------------------------------- Prefer and Retry-After


@pytest.mark.spec("#initial-request", "#polling-with-get")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=45", 45),
        ("wait=0", 0),
        ("respond-async, wait=10", 10),
        ("WAIT = 7", 7),
        ('wait="9"', 9),
        ("wait=10;foo=bar", 10),
        ("wait=99999", 50),
        ("", 0),
        ("wait", 0),
        ("wait=-5", 0),
        ("wait=soon", 0),
        ("wait=1.5", 0),
        ("nowait=5", 0),
        ("wait=1234567", 0),
        ("wait=\u0663", 0),
        ("x" * 2000 + ", wait=5", 0),
    ],
)
def test_prefer_wait(value: str, seconds: int) -> None:
    assert parse_prefer_wait(Fields({"prefer": value}), most_s=50) == seconds


@pytest.mark.spec("#initial-request")
def test_who_does_not_say_does_not_wait() -> None:
    assert parse_prefer_wait(Fields(), most_s=50) == 0


@pytest.mark.spec("#pending-response", "#polling-with-get")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("", 5.0),
        ("-3", 5.0),
        ("1.5", 5.0),
        ("soon", 5.0),
        ("9" * 30, 5.0),
        ("Mon, 99 Foo 2027 00:00:00 GMT", 5.0),
        ("Tue, 20 Apr 2021 02:07:55 +999999999999", 5.0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert parse_retry_after(Fields({"retry-after": value}), now=NOW, default_s=5.0) == seconds


@pytest.mark.spec("#polling-with-get")
def test_without_retry_after_the_default_holds() -> None:
    assert parse_retry_after(Fields(), now=NOW, default_s=5.0) == 5.0


@pytest.mark.spec("#untrusted-input")
@given(
    st.text(max_size=40)
    | st.from_regex(r"(Mon, )?\d{1,3} (Jan|Foo) \d{1,6} \d{1,3}:\d{1,3}(:\d{1,3})? ?([+-]\d{1,9}|GMT)?")
)
def test_no_value_makes_a_reader_fail(value: str) -> None:
    headers = Fields(dict.fromkeys(("retry-after", "prefer", "aauth-capabilities", "signature-error"), value))
    assert parse_retry_after(headers, now=NOW, default_s=5.0) >= 0
    assert 0 <= parse_prefer_wait(headers, most_s=50) <= 50
    parse_capabilities(headers)
    parse_signature_error(headers)
