"""http-message-signatures 3: RFC 9421 without AAuth. It finds the key by `keyid` and knows no Signature-Key.

Its signature base is public, so the bases are compared on random requests; signatures are made and verified both ways.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    algorithms,
)
from http_message_signatures.algorithms import ED25519
from hypothesis import given, settings
from hypothesis import strategies as st

from aauthlib.base64url import b64url_decode
from aauthlib.errors import SignatureError
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import Context, content_digest
from aauthlib.httpsig.components import component, signature_base, signature_params
from aauthlib.httpsig.messages import MessagePolicy, SignatureParameters, select_signature, sign_message
from aauthlib.httpsig.signature_key import dump
from aauthlib.keys import SigningKey
from tests.interop.signing.messages import AS_WRITTEN, beyond_the_profile, identifiers, requests, rich_requests
from tests.interop.signing.parties import LEVELS, SCHEMES, URL, Parties, base_of, post

pytestmark = [pytest.mark.interop, pytest.mark.spec("rfc9421#2.5", "rfc9421#3.1", "rfc9421#3.2")]

GET = Request("GET", URL)
KEYID = "agent-key"
COVERED = ("@method", "@authority", "@path", "signature-key")


@pytest.fixture(scope="module")
def parties() -> Parties:
    return Parties()


def resolver(parties: Parties, scheme: str) -> MappingKeyResolver:
    key, _ = parties.signer(scheme)
    private = Ed25519PrivateKey.from_private_bytes(b64url_decode(key.to_private_jwk()["d"]))
    known = {KEYID: private, key.thumbprint: private, key.kid: private}
    return MappingKeyResolver(
        public_keys={name: key.public_key() for name, key in known.items()}, private_keys=dict(known)
    )


def message(request: Request) -> SimpleNamespace:
    return SimpleNamespace(method=request.method, url=request.url, headers=dict(request.headers))


def peer_verifies(parties: Parties, request: Request, scheme: str) -> None:
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=resolver(parties, scheme))
    (result,) = verifier.verify(message(request), require_components=COVERED, body=request.body or None)
    assert set(COVERED) <= {name.split('"')[1] for name in result.covered_components}


def peer_signs(parties: Parties, request: Request, scheme: str) -> Request:
    """`request` signed by the peer, over the components AAuth asks for."""
    key, signature_key = parties.signer(scheme)
    sent = message(request)
    sent.headers["signature-key"] = dump("sig", signature_key)
    HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=resolver(parties, scheme)).sign(
        sent,
        key_id=key.kid,
        created=datetime.datetime.fromtimestamp(int(time.time()), tz=datetime.UTC),
        label="sig",
        include_alg=False,
        covered_component_ids=(
            *COVERED,
            *(["content-type"] if request.body else []),
            *beyond_the_profile(request),
        ),
        body=request.body or None,
    )
    return Request(request.method, request.url, Fields(sent.headers), request.body)


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_verifies_what_we_sign_with_a_keyid(parties: Parties, scheme: str, request_: Request) -> None:
    key, _ = parties.signer(scheme)
    peer_verifies(parties, parties.signed(request_, scheme, keyid=key.kid), scheme)


def test_it_refuses_what_we_signed_once_the_body_changes(parties: Parties) -> None:
    signed = parties.signed(post(), "hwk", keyid=KEYID)
    with pytest.raises(InvalidSignature):
        peer_verifies(parties, Request(signed.method, signed.url, signed.headers, b'{"a":2}'), "hwk")


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_verify_what_it_signs(parties: Parties, scheme: str, request_: Request) -> None:
    caller = parties.verified(peer_signs(parties, request_, scheme))
    assert caller.level is LEVELS[scheme]


def test_we_refuse_what_it_signed_once_the_method_changes(parties: Parties) -> None:
    signed = peer_signs(parties, post(), "jwt")
    with pytest.raises(SignatureError):
        parties.verified(Request("PUT", signed.url, signed.headers, signed.body))


@given(requests(hosts=AS_WRITTEN))
def test_both_build_the_same_signature_base(request_: Request) -> None:
    headers = request_.headers.with_(signature_key='sig=jwt;jwt="eyJ.eyJ.sig"')
    request_ = Request(request_.method, request_.url, headers, request_.body)
    covered = ["@method", "@authority", "@path", "@query", "@scheme", "@target-uri", "@request-target"]
    covered += ["signature-key", *beyond_the_profile(request_, query=False)]
    covered += ["content-type"] if request_.body else []
    prepared = HTTPMessageSigner(signature_algorithm=ED25519).prepare(
        message(request_),
        key_id=KEYID,
        created=datetime.datetime.fromtimestamp(1_800_000_000, tz=datetime.UTC),
        label="sig",
        include_alg=False,
        covered_component_ids=covered,
    )
    assert prepared.signature_base == signature_base(request_, covered, prepared.signature_params)


@settings(max_examples=120)
@given(request_=requests(hosts=AS_WRITTEN), scheme=st.sampled_from(SCHEMES))
def test_each_verifies_the_other_on_any_request(parties: Parties, request_: Request, scheme: str) -> None:
    key, _ = parties.signer(scheme)
    cover = beyond_the_profile(request_)
    peer_verifies(parties, parties.signed(request_, scheme, keyid=key.kid, cover=cover), scheme)
    theirs = peer_signs(parties, request_, scheme)
    assert (b'"x-note": ' in base_of(theirs)) is ("x-note" in request_.headers)
    assert parties.verified(theirs).level is LEVELS[scheme]


# --------------------------------------------------------------------------- beyond the profile


class Lines:
    """Header lines as this peer reads them: every one, in order."""

    def __init__(self, fields: Fields) -> None:
        self._fields = fields

    def items(self) -> list[tuple[str, str]]:
        return list(self._fields)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._fields))

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._fields


def lines(request: Request) -> SimpleNamespace:
    return SimpleNamespace(method=request.method, url=request.url, headers=Lines(request.headers))


def their_base(message: SimpleNamespace, covered: list[str]) -> tuple[str, bytes] | None:
    """`@signature-params` and the base as the peer builds them, or `None` when it refuses."""
    try:
        prepared = HTTPMessageSigner(signature_algorithm=ED25519).prepare(
            message,
            key_id=KEYID,
            created=datetime.datetime.fromtimestamp(1_800_000_000, tz=datetime.UTC),
            include_alg=False,
            covered_component_ids=covered,
        )
    except HTTPMessageSignaturesException:
        return None
    return prepared.signature_params, prepared.signature_base


def our_base(message: Request | Context, covered: list[str]) -> tuple[str, bytes] | None:
    try:
        names = [component(name) for name in covered]
        params = signature_params(names, {"created": 1_800_000_000, "keyid": KEYID})
        return params, signature_base(message, names, params)
    except SignatureError:
        return None


def agree(ours: Request | Context, theirs: SimpleNamespace, covered: list[str]) -> None:
    """Each component has one value or none for both sides, and those that have one make the same base."""
    for name in covered:
        assert our_base(ours, [name]) == their_base(theirs, [name])
    had = [name for name in covered if our_base(ours, [name]) is not None]
    together = our_base(ours, had)
    assert together is not None and together == their_base(theirs, had)


@pytest.mark.spec("rfc9421#2.1", "rfc9421#2.1.1", "rfc9421#2.1.2", "rfc9421#2.1.3", "rfc9421#2.2", "rfc9421#2.2.8")
@settings(max_examples=300)
@given(rich_requests(), identifiers())
def test_both_build_the_same_base_of_any_component_of_a_request_or_both_refuse(
    request_: Request, covered: list[str]
) -> None:
    agree(request_, lines(request_), covered)


@pytest.mark.spec("rfc9421#2.4", "rfc9421#2.2.9")
@settings(max_examples=200)
@given(rich_requests(), rich_requests(), identifiers(response=True))
def test_both_build_the_same_base_of_a_response_that_covers_its_request_or_both_refuse(
    request_: Request, other: Request, covered: list[str]
) -> None:
    theirs = SimpleNamespace(status_code=201, headers=Lines(other.headers), request=lines(request_))
    agree(Context(Response(201, other.headers), request_), theirs, covered)


@pytest.mark.spec("rfc9421#2.2.8")
@pytest.mark.parametrize(
    ("query", "name"), [("a%20b=1", "a b"), ("q~=1", "q~"), ("a=%FF", "a"), ("%FF=1", "%EF%BF%BD")]
)
def test_it_takes_query_parameters_that_we_refuse(query: str, name: str) -> None:
    """Should this fail, the peer was corrected: remove the line from docs/interop.md."""
    request_, covered = Request("GET", f"{URL}?{query}"), [f'"@query-param";name="{name}"']
    assert their_base(lines(request_), covered) is not None
    assert our_base(request_, covered) is None


ALGORITHMS = {
    "Ed25519": algorithms.ED25519,
    "ES256": algorithms.ECDSA_P256_SHA256,
    "ES384": algorithms.ECDSA_P384_SHA384,
    "PS512": algorithms.RSA_PSS_SHA512,
    "RS256": algorithms.RSA_V1_5_SHA256,
}
BEYOND = ("@method", "@target-uri", "content-type", '"@query-param";name="a"', '"content-digest";key="sha-256"')


@pytest.fixture(scope="module", params=ALGORITHMS)
def key(request: pytest.FixtureRequest) -> SigningKey:
    return SigningKey.generate(request.param, kid=KEYID)


def known(key: SigningKey) -> MappingKeyResolver:
    private = key._handle  # what this peer takes is what `cryptography` made
    return MappingKeyResolver(public_keys={KEYID: private.public_key()}, private_keys={KEYID: private})


@pytest.mark.spec("rfc9421#3.3")
def test_it_verifies_a_plain_signature_of_every_algorithm(key: SigningKey) -> None:
    sent = post().with_headers(content_digest=content_digest(post().body))
    parameters = SignatureParameters(int(time.time()), KEYID, nonce="n", tag="interop")
    signed = sign_message(sent, key, BEYOND, parameters)
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[key.alg], key_resolver=known(key))
    (result,) = verifier.verify(message(signed), expect_tag="interop", body=signed.body)
    assert (result.nonce, len(result.covered_components)) == ("n", len(BEYOND) + 1)
    with pytest.raises(InvalidSignature):
        verifier.verify(message(Request("PUT", signed.url, signed.headers)), expect_tag="interop")


@pytest.mark.spec("rfc9421#3.2")
def test_both_verify_a_signature_whose_field_was_spelled_anew_on_the_way(key: SigningKey) -> None:
    signed = sign_message(post(), key, BEYOND[:4], SignatureParameters(int(time.time()), KEYID, tag="interop"))
    field = (
        (signed.headers.get("signature-input") or "").replace('" "', '"   "').replace(";", ";  ").replace("=(", "=( ")
    )
    spaced = signed.with_headers(signature_input=field)
    assert field != signed.headers.get("signature-input")
    select_signature(spaced, MessagePolicy(), now=time.time()).verify(key.public)
    verifier = HTTPMessageVerifier(signature_algorithm=ALGORITHMS[key.alg], key_resolver=known(key))
    assert verifier.verify(message(spaced), expect_tag="interop")


@pytest.mark.spec("rfc9421#3.3")
def test_we_verify_a_plain_signature_of_every_algorithm(key: SigningKey) -> None:
    sent = message(post())
    HTTPMessageSigner(signature_algorithm=ALGORITHMS[key.alg], key_resolver=known(key)).sign(
        sent,
        key_id=KEYID,
        created=datetime.datetime.fromtimestamp(int(time.time()), tz=datetime.UTC),
        tag="interop",
        covered_component_ids=BEYOND,
        body=post().body,
    )
    arrived = Request("POST", post().url, Fields(sent.headers), post().body)
    policy = MessagePolicy(components=BEYOND, tag="interop", parameters=("created", "keyid", "alg"))
    select_signature(arrived, policy, now=time.time()).verify(key.public)
    moved = Request("POST", post().url + "&b=c", arrived.headers, arrived.body)
    with pytest.raises(SignatureError):
        select_signature(moved, policy, now=time.time()).verify(key.public)


@pytest.mark.spec("rfc9421#2.1.3", "rfc9421#2.1.4")
def test_it_knows_no_trailers_and_covers_several_lines_of_set_cookie_in_bytes_alone() -> None:
    """Should this fail, the peer was completed: say so in docs/interop.md."""
    response = Response(
        200, Fields([("set-cookie", "a=1; Expires=Wed, 09 Jun 2027 10:18:14 GMT"), ("set-cookie", "b=2")])
    )
    theirs = SimpleNamespace(status_code=200, headers=Lines(response.headers), request=lines(GET))
    assert their_base(theirs, ['"x-sum";tr']) is None
    ours = Context(response, GET)
    assert their_base(theirs, ["set-cookie"]) == our_base(ours, ['"set-cookie";bs'])
    assert our_base(ours, ["set-cookie"]) is not None
