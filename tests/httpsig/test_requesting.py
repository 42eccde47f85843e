"""Accept-Signature: read, written, and done as asked or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.fields import FieldError
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import Component, Context
from aauthlib.httpsig.messages import MessagePolicy, select_signature
from aauthlib.httpsig.requesting import (
    RequestedSignature,
    Unfulfillable,
    fulfil,
    parse_accept_signature,
    serialize_accept_signature,
)
from aauthlib.keys import SigningKey

NOW = 1_800_000_000
KEY = SigningKey.generate(kid="server-1")
REQUEST = Request("GET", "https://api.example/x", Fields([("accept", "text/plain")]))
RESPONSE = Response(200, Fields([("content-type", "text/plain")]), b"x")


@pytest.mark.spec("rfc9421#5.1")
def test_the_example_of_section_5_1_is_read() -> None:
    field = (
        'sig1=("@method" "@target-uri" "@authority" "content-digest" "cache-control");'
        'keyid="test-key-rsa-pss";created;tag="app-123"'
    )
    (wanted,) = parse_accept_signature(field)
    assert wanted == RequestedSignature(
        "sig1",
        ("@method", "@target-uri", "@authority", "content-digest", "cache-control"),
        created=True,
        keyid="test-key-rsa-pss",
        tag="app-123",
    )
    assert parse_accept_signature(serialize_accept_signature([wanted])) == (wanted,)


COMPONENTS = st.sampled_from(["@status", "x-a", Component.of("@method", req=True), Component.of("x-a", key="k")])
OPTIONAL = st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5)


@pytest.mark.spec("rfc9421#5.1")
@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True),
        st.tuples(
            st.lists(COMPONENTS, unique=True), st.booleans(), st.booleans(), OPTIONAL, OPTIONAL, OPTIONAL, OPTIONAL
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_asked_reads_as_it_was_written(members: dict[str, tuple[list[str | Component], bool, bool]]) -> None:
    wanted = tuple(RequestedSignature(label, tuple(rest[0]), *rest[1:]) for label, rest in members.items())
    assert parse_accept_signature(serialize_accept_signature(wanted)) == wanted


@pytest.mark.spec("rfc9421#5.1", "#untrusted-input")
@pytest.mark.parametrize(
    "field",
    [
        "a",
        'a="x"',
        "a=(x)",
        "a=(",
        "a=();created=1",
        "a=();expires=?0",
        "a=();keyid",
        "a=();nonce=:AA==:",
        'a=("X-A")',
        'a=("x" "x")',
        'a=("x";sf;bs)',
        'a=("x";unknown)',
        ", ".join(f"s{n}=()" for n in range(9)),
        'a=("x"), a=("x")',
        'a=("x"), b=(), a=()',
    ],
)
def test_a_malformed_field_is_refused(field: str) -> None:
    with pytest.raises(FieldError):
        parse_accept_signature(field)


@pytest.mark.spec("rfc9421#5.1")
def test_an_unknown_parameter_is_ignored() -> None:
    assert parse_accept_signature('a=("x");later=1') == (RequestedSignature("a", ("x",)),)


@pytest.mark.spec("rfc9421#5.2")
def test_a_response_is_signed_as_the_request_asked() -> None:
    asked = (
        'a=("@status" "@method";req);created;expires;keyid="server-1";alg="ed25519";nonce="n";tag="t", b=("@status")'
    )
    context = Context(RESPONSE, REQUEST)
    signed = fulfil(RESPONSE, parse_accept_signature(asked), KEY, now=NOW, lifetime_s=30, context=context)
    policy = MessagePolicy(label="a", components=("@status", '"@method";req'), tag="t")
    signature = select_signature(Context(signed, REQUEST), policy, now=NOW)
    signature.verify(KEY.public)
    given = signature.parameters
    assert (given.created, given.expires, given.keyid, given.alg, given.nonce) == (
        NOW,
        NOW + 30,
        "server-1",
        "ed25519",
        "n",
    )
    other = select_signature(signed, MessagePolicy(label="b"), now=NOW)
    other.verify(KEY.public)
    assert other.parameters.written() == {"created": NOW}


@pytest.mark.spec("rfc9421#5.2")
def test_the_next_request_is_signed_as_the_response_asked() -> None:
    wanted = parse_accept_signature('s=("@method" "accept");created;keyid="known-as"')
    signed = fulfil(REQUEST, wanted, KEY, now=NOW, keyid="known-as")
    select_signature(signed, MessagePolicy(parameters=("created", "keyid")), now=NOW).verify(KEY.public)


@pytest.mark.spec("rfc9421#5.2")
@pytest.mark.parametrize(
    "asked",
    [
        'a=("@method")',
        'a=("@method";req)',
        'a=("x-absent")',
        'a=("@status");alg="rsa-pss-sha512"',
        'a=("@status");alg="hmac-sha256"',
        'a=("@status");keyid="another"',
    ],
)
def test_what_cannot_be_signed_as_asked_is_not_signed_at_all(asked: str) -> None:
    with pytest.raises(Unfulfillable):
        fulfil(RESPONSE, parse_accept_signature(f'ok=("@status"), {asked}'), KEY, now=NOW)


@pytest.mark.spec("rfc9421#5.2")
@pytest.mark.parametrize(("options", "expires"), [({}, NOW + 60), ({"lifetime_s": 5}, NOW + 5)])
def test_a_requested_end_lies_a_minute_ahead_unless_told_otherwise(options: dict[str, int], expires: int) -> None:
    asked = [RequestedSignature("sig1", ("@status",), expires=True)]

    signed = fulfil(RESPONSE, asked, KEY, now=NOW, **options)

    assert select_signature(signed, MessagePolicy(), now=NOW).parameters.expires == expires


@pytest.mark.spec("rfc9421#5.1")
@pytest.mark.parametrize(("count", "taken"), [(8, True), (9, False)])
def test_no_more_than_eight_signatures_can_be_asked_for(count: int, taken: bool) -> None:
    field = ", ".join(f'sig{number}=("@method")' for number in range(count))

    if taken:
        assert len(parse_accept_signature(field)) == count
    else:
        with pytest.raises(FieldError, match="more than 8"):
            parse_accept_signature(field)
