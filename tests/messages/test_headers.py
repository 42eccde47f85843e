from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import SIGNATURE_ERRORS, AAuthError, InvalidInput, InvalidRequest, SignatureError
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
_PIECES = [
    *'=;,"()?:@%*._-0a \t\\é\xff',
    *("error", "invalid_jwt", "invalid_input", "required_input", '("@method" "x")', "wait", "=10", "AAuth", "aauth "),
    *("@99999999999999", "?1", ":YQ==:", '%"%c3%a9"', "1.5", "99999999999"),
    *("Mon, 01 Jan 2020 00:00:00 ", "+9999", "-99999999999999", "GMT"),
]
GARBAGE = st.text(st.characters(max_codepoint=255), max_size=60) | st.lists(st.sampled_from(_PIECES), max_size=14).map(
    "".join
)


@pytest.mark.parametrize(
    ("header", "parse"),
    [
        ("aauth-access", parse_access),
        ("authorization", parse_session_token),
        ("aauth-capabilities", parse_capabilities),
        ("accept-signature-scheme", lambda fields: accepted_tokens(fields, "accept-signature-scheme")),
        ("signature-error", parse_signature_error),
        ("prefer", lambda fields: parse_prefer_wait(fields, most_s=50)),
        ("retry-after", lambda fields: parse_retry_after(fields, now=NOW, default_s=5)),
    ],
)
@given(value=GARBAGE)
def test_garbage_in_a_header_is_an_error_of_ours_or_nothing(
    header: str, parse: Callable[[Fields], Any], value: str
) -> None:
    try:
        parse(Fields({header: value}))
    except AAuthError as error:
        assert len(value) < 16 or value not in str(error)


# --------------------------------------------------------------------------- lists of tokens


@pytest.mark.spec("#aauth-capabilities")
def test_capabilities_are_read_as_they_are_written() -> None:
    written = serialize_tokens(["interaction", "clarification"])

    assert written == "interaction, clarification"
    assert parse_capabilities(Fields({"AAuth-Capabilities": written})) == {"interaction", "clarification"}


@pytest.mark.spec("#aauth-capabilities")
def test_parameters_and_values_that_are_not_known_do_not_spoil_the_others() -> None:
    fields = Fields({"aauth-capabilities": 'interaction;depth=3, telepathy, "payment", 7'})

    assert parse_capabilities(fields) == {"interaction", "telepathy"}


@pytest.mark.parametrize("value", [None, "", "interaction,,", "é", "(interaction"])
@pytest.mark.spec("#aauth-capabilities")
def test_without_a_readable_header_no_capability_is_assumed(value: str | None) -> None:
    fields = Fields({} if value is None else {"aauth-capabilities": value})

    assert parse_capabilities(fields) == frozenset()


@pytest.mark.spec("signature-key#4.1")
def test_a_list_over_several_lines_is_one_list() -> None:
    fields = Fields([("accept-signature-scheme", "hwk"), ("accept-signature-scheme", "jwt")])

    assert accepted_tokens(fields, "accept-signature-scheme") == ("hwk", "jwt")


@pytest.mark.spec("signature-key#4.1", "signature-key#4.2")
def test_an_advisory_header_that_is_absent_or_malformed_says_nothing() -> None:
    assert accepted_tokens(Fields(), "accept-signature-alg") is None
    assert accepted_tokens(Fields({"accept-signature-alg": "ES256,"}), "accept-signature-alg") is None


# --------------------------------------------------------------------------- session tokens


@pytest.mark.spec("#aauth-access")
def test_a_session_token_goes_out_as_it_came_in() -> None:
    token = parse_access(Fields({"AAuth-Access": "abc-._~+/123=="}))

    assert token == "abc-._~+/123=="
    assert parse_session_token(Fields({"Authorization": session_authorization(token)})) == token


@pytest.mark.parametrize("value", ["", " ", "a b", "a,b", "a\tb", "é", '"a"', "=a", "a" * 8193, "a\n"])
@pytest.mark.spec("#aauth-access")
def test_a_session_token_that_is_no_token68_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_access(Fields({"aauth-access": value}))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields({"authorization": f"AAuth {value}"}))


@pytest.mark.spec("#aauth-access")
def test_two_session_tokens_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        parse_access(Fields([("aauth-access", "a"), ("aauth-access", "b")]))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields([("authorization", "AAuth a"), ("authorization", "AAuth b")]))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields([("authorization", "Bearer a"), ("authorization", "AAuth b")]))
    with pytest.raises(InvalidRequest):
        parse_session_token(Fields({"authorization": "AAuth a, AAuth b"}))


@pytest.mark.parametrize("value", [None, "Bearer a", "Basic YTpi", "AAuthX a", "Digest aauth a"])
@pytest.mark.spec("#aauth-access")
def test_another_authorization_is_no_session_token(value: str | None) -> None:
    assert parse_session_token(Fields({} if value is None else {"authorization": value})) is None
    assert parse_access(Fields()) is None


@pytest.mark.parametrize("scheme", ["AAuth", "aauth", "AAUTH"])
@pytest.mark.spec("#aauth-access")
def test_the_scheme_is_read_without_regard_to_case(scheme: str) -> None:
    assert parse_session_token(Fields({"authorization": f"{scheme}  abc"})) == "abc"


# --------------------------------------------------------------------------- Signature-Error


@pytest.mark.parametrize("code", SIGNATURE_ERRORS)
@pytest.mark.spec("#authentication-errors", "signature-key#5.1", "signature-key#5.4")
def test_every_signature_error_is_read_as_it_is_written(code: str) -> None:
    written = serialize_signature_error(SIGNATURE_ERRORS[code]("why"))

    read = parse_signature_error(Fields({"signature-error": written}))

    assert written == f"error={code}"
    assert type(read) is SIGNATURE_ERRORS[code]


@pytest.mark.spec("signature-key#5.4")
def test_required_input_is_told_and_read() -> None:
    written = serialize_signature_error(InvalidInput("x", required_input=["@method", "signature-key"]))

    read = parse_signature_error(Fields({"signature-error": written}))

    assert written == 'error=invalid_input, required_input=("@method" "signature-key")'
    assert isinstance(read, InvalidInput)
    assert read.required_input == ("@method", "signature-key")


@pytest.mark.parametrize(
    "value", [None, "", "error", "error=novel", 'error="invalid_jwt"', "invalid_jwt", "error=(invalid_jwt)", "é"]
)
@pytest.mark.spec("signature-key#5.1")
def test_a_signature_error_that_cannot_be_read_is_none(value: str | None) -> None:
    assert parse_signature_error(Fields({} if value is None else {"signature-error": value})) is None


@pytest.mark.parametrize("value", ['required_input="x"', "required_input=(x 7)", "required_input", "novelty=1"])
@pytest.mark.spec("signature-key#5.1")
def test_members_that_cannot_be_used_do_not_hide_the_code(value: str) -> None:
    read = parse_signature_error(Fields({"signature-error": f"error=invalid_input, {value}"}))

    assert isinstance(read, InvalidInput)
    assert read.required_input == ()


def test_no_signature_error_repeats_what_the_other_party_wrote() -> None:
    read = parse_signature_error(Fields({"signature-error": 'error=invalid_jwt, detail="<script>"'}))

    assert isinstance(read, SignatureError)
    assert "script" not in str(read)


# --------------------------------------------------------------------------- Prefer, Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("wait=10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10, respond-async", 10),
        ("Wait = 10", 10),
        ("wait=10; strict", 10),
        ("wait=999999", 50),
        ("wait=0", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=99999999999999", 0),
        ("wait", 0),
        ("await=10", 0),
        ("respond-async; wait=10", 0),
        ("x" * 2000 + ", wait=10", 0),
        ("", 0),
    ],
)
@pytest.mark.spec("#initial-request", "#polling-with-get")
def test_how_long_a_caller_waits_is_bounded_by_this_side(value: str, seconds: int) -> None:
    assert parse_prefer_wait(Fields({"prefer": value}), most_s=50) == seconds


@pytest.mark.spec("#initial-request")
def test_a_caller_that_does_not_say_does_not_wait() -> None:
    assert parse_prefer_wait(Fields(), most_s=50) == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        ("Fri, 15 Jan 2027 08:01:30 -0000", 90),
        ("soon", 5),
        ("-1", 5),
        ("1.5", 5),
        ("12345678901", 5),
        ("Mon, 01 Jan 2020 00:00:00 +99999999999999", 5),
        ("Mon, 01 Jan 99999 00:00:00 GMT", 5),
        ("", 5),
    ],
)
@pytest.mark.spec("#polling-with-get")
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float) -> None:
    assert parse_retry_after(Fields({"retry-after": value}), now=NOW, default_s=5) == seconds


@pytest.mark.spec("#polling-with-get")
def test_without_retry_after_the_default_holds() -> None:
    assert parse_retry_after(Fields(), now=NOW, default_s=5) == 5
