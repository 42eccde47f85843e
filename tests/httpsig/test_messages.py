"""Plain RFC 9421: any message, any component, several signatures, and everything a verifier must refuse."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import AAuthError, ClockSkew, ConfigurationError, InvalidInput, InvalidSignature
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import Component, Context, content_digest
from aauthlib.httpsig.messages import (
    HTTP_ALGORITHMS,
    MessagePolicy,
    SignatureParameters,
    read_signatures,
    select_signature,
    sign_message,
)
from aauthlib.keys import SigningKey

NOW = 1_800_000_000
KEY = SigningKey.generate()
BODY = b'{"ok": true}'
REQUEST = Request(
    "POST",
    "https://api.example/things?q=1",
    Fields([("content-type", "application/json"), ("content-digest", content_digest(BODY, "sha-512", "sha-256"))]),
    BODY,
)
RESPONSE = Response(201, Fields([("content-digest", content_digest(b"made"))]), b"made")
CREATED = SignatureParameters(created=NOW)


def request(**changed: object) -> Request:
    values = {"method": REQUEST.method, "url": REQUEST.url, "headers": REQUEST.headers, "body": REQUEST.body, **changed}
    return Request(**values)  # type: ignore[arg-type]


@pytest.mark.spec("rfc9421#3.1", "rfc9421#3.2")
def test_a_request_signed_over_its_body_verifies_and_with_another_body_does_not() -> None:
    signed = sign_message(REQUEST, KEY, ["@method", "@query", "content-digest"], CREATED)
    select_signature(signed, MessagePolicy(), now=NOW).verify(KEY.public)
    altered = Request(signed.method, signed.url, signed.headers, b"{}")
    with pytest.raises(InvalidSignature, match="Content-Digest"):
        select_signature(altered, MessagePolicy(), now=NOW).verify(KEY.public)
    with pytest.raises(InvalidSignature, match="does not verify"):
        select_signature(signed, MessagePolicy(), now=NOW).verify(SigningKey.generate().public)


@pytest.mark.spec("rfc9421#2.4")
def test_a_response_bound_to_its_request_answers_no_other() -> None:
    covered = ["@status", "content-digest", Component.of("@method", req=True), Component.of("content-digest", req=True)]
    signed = sign_message(RESPONSE, KEY, covered, CREATED, context=Context(RESPONSE, REQUEST))
    assert isinstance(signed, Response)

    def verify(response: Response, to: Request | None) -> None:
        select_signature(Context(response, to), MessagePolicy(), now=NOW).verify(KEY.public)

    verify(signed, REQUEST)
    for response, to in (
        (signed, None),
        (signed, request(method="PUT")),
        (signed, request(body=b"x")),
        (Response(200, signed.headers, signed.body), REQUEST),
        (Response(201, signed.headers, b"other"), REQUEST),
    ):
        with pytest.raises(InvalidSignature):
            verify(response, to)


@pytest.mark.spec("rfc9421#2.1.4")
def test_a_trailer_is_covered_as_it_came_after_the_body() -> None:
    trailers = Fields([("x-checksum", "1"), ("x-checksum", "2")])
    covered = ["trailer", Component.of("x-checksum", tr=True)]
    message = Response(200, Fields([("trailer", "x-checksum")]))
    signed = sign_message(message, KEY, covered, CREATED, context=Context(message, trailers=trailers))
    select_signature(Context(signed, trailers=trailers), MessagePolicy(), now=NOW).verify(KEY.public)
    for other in (Fields(), Fields([("x-checksum", "2"), ("x-checksum", "1")])):
        with pytest.raises(InvalidSignature):
            select_signature(Context(signed, trailers=other), MessagePolicy(), now=NOW).verify(KEY.public)


@pytest.mark.spec("rfc9421#4.3", "rfc9421#7.2.5")
def test_several_signatures_stand_beside_each_other_and_are_told_apart_by_tag() -> None:
    other = SigningKey.generate("ES256")
    once = sign_message(REQUEST, KEY, ["@method"], SignatureParameters(created=NOW, tag="one"), label="a")
    twice = sign_message(once, other, ["@path"], SignatureParameters(created=NOW, tag="two"), label="b")
    assert [signature.label for signature in read_signatures(twice)] == ["a", "b"]
    select_signature(twice, MessagePolicy(tag="one"), now=NOW).verify(KEY.public)
    select_signature(twice, MessagePolicy(tag="two"), now=NOW).verify(other.public)
    with pytest.raises(InvalidSignature, match="does not verify"):
        select_signature(twice, MessagePolicy(label="b"), now=NOW).verify(KEY.public)
    with pytest.raises(InvalidSignature, match="of the kind"):
        select_signature(twice, MessagePolicy(tag="one", label="b"), now=NOW)
    with pytest.raises(ConfigurationError, match="label"):
        sign_message(twice, KEY, [], CREATED, label="a")


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2")
@pytest.mark.parametrize("name", ["signature-input", "signature"])
def test_a_message_with_two_signatures_of_one_label_is_refused(name: str) -> None:
    signed = sign_message(REQUEST, KEY, ["@method"], CREATED, label="a")
    doubled = Request(
        signed.method, signed.url, signed.headers.added([(name, signed.headers.get(name) or "")]), signed.body
    )
    assert len(read_signatures(signed)) == 1
    with pytest.raises(InvalidSignature, match="one label twice"):
        read_signatures(doubled)
    with pytest.raises(InvalidSignature, match="one label twice"):
        sign_message(doubled, KEY, ["@method"], CREATED, label="b")


@pytest.mark.spec("rfc9421#2.3")
def test_every_parameter_arrives_as_it_was_set() -> None:
    parameters = SignatureParameters(NOW, "the key", "ed25519", NOW + 5, 'n"\\', "tag")
    signed = sign_message(REQUEST, KEY, [], parameters, label="all")
    (signature,) = read_signatures(signed)
    assert signature.parameters == parameters
    signature.verify(KEY.public)


@pytest.mark.spec("rfc9421#3.2", "rfc9421#3.3")
def test_alg_must_be_what_the_key_is_for() -> None:
    for alg in HTTP_ALGORITHMS.keys() - {"ed25519"} | {"hmac-sha256", "Ed25519", "none"}:
        with pytest.raises(ConfigurationError, match="alg"):
            sign_message(REQUEST, KEY, [], SignatureParameters(NOW, alg=alg))
    signed = sign_message(REQUEST, KEY, [], SignatureParameters(NOW, alg="ed25519"))
    claimed = signed.with_headers(
        signature_input=(signed.headers.get("signature-input") or "").replace("ed25519", "ecdsa-p256-sha256")
    )
    with pytest.raises(InvalidSignature, match="algorithm differ"):
        select_signature(claimed, MessagePolicy(), now=NOW).verify(KEY.public)


@pytest.mark.spec("rfc9421#3.2")
def test_what_the_policy_asks_for_must_be_covered() -> None:
    signed = sign_message(REQUEST, KEY, ["@method", Component.of("@query-param", name="q")], CREATED)
    select_signature(signed, MessagePolicy(components=('"@query-param";name="q"', "@method")), now=NOW)
    with pytest.raises(InvalidInput) as refused:
        select_signature(signed, MessagePolicy(components=("@method", '"@method";req')), now=NOW)
    assert refused.value.required_input == ("@method", '"@method";req')
    with pytest.raises(InvalidSignature, match="parameters"):
        select_signature(signed, MessagePolicy(component_parameters=("sf",)), now=NOW)


@pytest.mark.spec("rfc9421#3.2", "rfc9421#2.3")
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        (SignatureParameters(), InvalidSignature),
        (SignatureParameters(NOW - 61), InvalidSignature),
        (SignatureParameters(NOW + 61), ClockSkew),
        (SignatureParameters(NOW - 1, expires=NOW), InvalidSignature),
    ],
)
def test_a_signature_that_is_not_fresh_is_refused(parameters: SignatureParameters, error: type[AAuthError]) -> None:
    signed = sign_message(REQUEST, KEY, ["@method"], parameters)
    with pytest.raises(error):
        select_signature(signed, MessagePolicy(), now=NOW)


@pytest.mark.spec("rfc9421#3.2")
def test_at_the_edges_of_the_window_a_signature_is_fresh() -> None:
    for created in (NOW - 60, NOW + 60):
        signed = sign_message(REQUEST, KEY, [], SignatureParameters(created, expires=NOW + 1))
        select_signature(signed, MessagePolicy(), now=NOW).verify(KEY.public)
    ageless = sign_message(REQUEST, KEY, [], SignatureParameters())
    select_signature(ageless, MessagePolicy(parameters=(), window_s=None), now=NOW).verify(KEY.public)


@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "rfc9421#3.2")
@pytest.mark.parametrize(
    ("signature_input", "signature"),
    [
        (None, None),
        ("a=();created=1800000000", None),
        ("a=();created=1800000000", "b=:AA==:"),
        ("a=();created=1800000000", "a=:AA==:, b=:AA==:"),
        ("a=();created=1800000000", "a=x"),
        ("a=x;created=1800000000", "a=:AA==:"),
        ("a=(x);created=1800000000", "a=:AA==:"),
        ("a=();created=1800000000.0", "a=:AA==:"),
        ("a=();created=?1", "a=:AA==:"),
        ("a=();created=1800000000;keyid=tok", "a=:AA==:"),
        ("a=();created=1800000000;tag=1", "a=:AA==:"),
        ('a=("x";sf;bs);created=1800000000', "a=:AA==:"),
        ('a=("x";req;sf "x";sf;req);created=1800000000', "a=:AA==:"),
        ('a=("x" "x");created=1800000000', "a=:AA==:"),
        ("a=(", "a=:AA==:"),
    ],
)
def test_malformed_signature_fields_are_refused(signature_input: str | None, signature: str | None) -> None:
    message = REQUEST.with_headers(signature_input=signature_input, signature=signature)
    with pytest.raises(InvalidSignature):
        select_signature(message, MessagePolicy(), now=NOW)


@pytest.mark.spec("rfc9421#2.5")
def test_no_component_is_covered_twice_or_without_a_value() -> None:
    for covered in (
        ["@method", "@method"],
        ["@method", Component("@method")],
        [Component.of("x", sf=True, req=True), Component.of("x", req=True, sf=True)],
        ["x-absent"],
        ["@status"],
        ["@signature-params"],
    ):
        with pytest.raises(InvalidSignature):
            sign_message(REQUEST, KEY, covered, CREATED)


def test_the_example_of_the_document_runs() -> None:
    document = Path(__file__).parent.parent.parent / "docs" / "http-message-signatures.md"
    _, code, _ = re.split(r"```(?:python)?\n", document.read_text())
    names: dict[str, object] = {}
    exec(compile(code, document.name, "exec"), names)
    assert names["signature"]


IDENTIFIERS = st.sampled_from(
    [
        "@method",
        "@target-uri",
        "@query",
        '"@query-param";name="q"',
        "content-type",
        '"content-type";bs',
        '"content-digest";sf',
        '"content-digest";key="sha-256"',
        "x-many",
        '"x-many";bs',
        "x-empty",
        '"x-empty";bs',
    ]
)


@pytest.mark.spec("rfc9421#3.1", "rfc9421#3.2")
@given(st.lists(IDENTIFIERS, unique=True), st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=9))
def test_whatever_is_covered_the_signature_verifies(covered: list[str], nonce: str) -> None:
    headers = REQUEST.headers.added([("x-many", "a"), ("x-many", " b, c"), ("x-empty", "")])
    signed = sign_message(request(headers=headers), KEY, covered, SignatureParameters(NOW, nonce=nonce))
    signature = select_signature(signed, MessagePolicy(components=tuple(covered)), now=NOW)
    signature.verify(KEY.public)
    assert signature.parameters.nonce == nonce


@pytest.mark.spec("rfc9421#4.3")
@pytest.mark.parametrize("field", ['signature-input: a=("@method");created=1', "signature: a=:AAAA:"])
def test_a_label_that_stands_in_one_of_the_two_fields_is_taken(field: str) -> None:
    name, _, value = field.partition(": ")

    with pytest.raises(ConfigurationError, match="label"):
        sign_message(request(headers=Fields([(name, value)])), KEY, ["@method"], CREATED, label="a")


@pytest.mark.spec("rfc9421#2.1.1", "rfc9421#2.4")
def test_what_the_context_adds_can_be_signed() -> None:
    made = Response(200, Fields([("x-options", "b=1,  a")]), b"")
    context = Context(
        made,
        request(),
        trailers=Fields([("x-end", "of the response")]),
        request_trailers=Fields([("x-end", "of the request")]),
        structured={"x-options": "dictionary"},
    )
    covered = [
        Component.of("x-options", sf=True),
        Component.of("x-end", tr=True),
        Component.of("x-end", req=True, tr=True),
    ]

    signed = sign_message(made, KEY, covered, CREATED, context=context)

    for name in covered:
        with pytest.raises(InvalidSignature):
            sign_message(made, KEY, [name], CREATED)
    about = Context(signed, context.request, context.trailers, context.request_trailers, context.structured)
    select_signature(about, MessagePolicy(), now=NOW).verify(KEY.public)
    swapped = Context(signed, context.request, context.trailers, context.trailers, context.structured)
    with pytest.raises(InvalidSignature):
        select_signature(swapped, MessagePolicy(), now=NOW).verify(KEY.public)
