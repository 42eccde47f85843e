"""http-message-signatures 3: RFC 9421 without AAuth. It finds the key by `keyid` and knows no Signature-Key.

Its signature base is public, so the bases are compared on random requests; signatures are made and verified both ways.
"""

from __future__ import annotations

import datetime
import time
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from hypothesis import given

from aauthlib.base64url import b64url_decode
from aauthlib.errors import SignatureError
from aauthlib.http import Fields, Request
from aauthlib.httpsig.components import signature_base
from aauthlib.httpsig.signature_key import dump
from tests.interop.signing.messages import requests
from tests.interop.signing.parties import LEVELS, SCHEMES, URL, Parties, post

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
        covered_component_ids=(*COVERED, "content-type") if request.body else COVERED,
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


@given(requests())
def test_both_build_the_same_signature_base(request_: Request) -> None:
    headers = request_.headers.with_(signature_key='sig=jwt;jwt="eyJ.eyJ.sig"')
    request_ = Request(request_.method, request_.url, headers, request_.body)
    covered = ["@method", "@authority", "@path", "@query", "@scheme", "@target-uri", "@request-target"]
    covered += ["signature-key", "x-note", *(["content-type"] if request_.body else [])]
    prepared = HTTPMessageSigner(signature_algorithm=ED25519).prepare(
        message(request_),
        key_id=KEYID,
        created=datetime.datetime.fromtimestamp(1_800_000_000, tz=datetime.UTC),
        label="sig",
        include_alg=False,
        covered_component_ids=covered,
    )
    assert prepared.signature_base == signature_base(request_, covered, prepared.signature_params)
