"""introspection-aauth 0.1.0: its own HTTP signatures, both ways. It knows the schemes jwt and jwks_uri."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from introspection_aauth.protocol import httpsig
from introspection_aauth.protocol.errors import VerificationError
from introspection_aauth.protocol.keys import Jwk
from introspection_aauth.protocol.keys import SigningKey as PeerKey

from aauthlib.base64url import b64url_decode
from aauthlib.errors import SignatureError
from aauthlib.http import Fields, Request
from aauthlib.keys import SigningKey
from tests.interop.signing.messages import beyond_the_profile, requests
from tests.interop.signing.parties import LEVELS, SERVER, URL, Parties, arrived, base_of, post

pytestmark = [pytest.mark.interop, pytest.mark.spec("#verification", "#covered-components")]

GET = Request("GET", URL)
SCHEMES = ("jwt", "jwks_uri")
PARTIES = Parties()


def peer_verifies(parties: Parties, request: Request) -> httpsig.Verified:
    async def resolve(server: str, dwk: str, kid: str) -> Jwk:
        (key,) = parties.key_sets()[server].to_document()["keys"]
        return Jwk.model_validate(key)

    received = httpsig.SignedRequest(request.method, request.url, dict(request.headers), request.body or None)
    return asyncio.run(httpsig.verify(received, int(time.time()), resolve))


def peer_signs(parties: Parties, request: Request, scheme: str) -> Request:
    key, signature_key = parties.signer(scheme)
    header = (
        httpsig.jwt_key(getattr(signature_key, "jwt", ""))
        if scheme == "jwt"
        else httpsig.jwks_uri_key(SERVER, "aauth-resource.json", key.kid)
    )
    headers = httpsig.sign(
        Recording.from_seed(b64url_decode(key.to_private_jwk()["d"])),
        header,
        request.method,
        request.url,
        body=request.body or None,
        content_type=request.headers.get("content-type") or "application/json",
        created=int(time.time()),
    )
    return arrived(request, headers)


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_verifies_what_we_sign(scheme: str, request_: Request) -> None:
    key, _ = PARTIES.signer(scheme)
    assert peer_verifies(PARTIES, PARTIES.signed(request_, scheme)).thumbprint == key.thumbprint


@pytest.mark.parametrize("scheme", ["hwk", "jkt-jwt"])
def test_it_knows_no_other_scheme(scheme: str) -> None:
    with pytest.raises(VerificationError, match="scheme"):
        peer_verifies(PARTIES, PARTIES.signed(GET, scheme))


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_verify_what_it_signs(scheme: str, request_: Request) -> None:
    assert PARTIES.verified(peer_signs(PARTIES, request_, scheme)).level is LEVELS[scheme]


def test_it_verifies_what_we_sign_with_es256() -> None:
    parties = Parties(agent=SigningKey.generate("ES256"))
    assert peer_verifies(parties, parties.signed(post(), "jwt")).thumbprint == parties.agent.thumbprint


def test_we_refuse_what_it_signed_once_the_body_changes() -> None:
    signed = peer_signs(PARTIES, post(), "jwt")
    with pytest.raises(SignatureError):
        PARTIES.verified(Request(signed.method, signed.url, Fields(signed.headers), b'{"a":2}'))


class Recording(PeerKey):
    """A key of theirs that keeps what it signed."""

    signed: bytes

    def sign(self, data: bytes) -> bytes:
        Recording.signed = data
        return super().sign(data)


@settings(max_examples=120)
@given(request_=requests(), scheme=st.sampled_from(SCHEMES))
def test_both_sign_the_same_base_and_each_verifies_the_other_on_any_request(request_: Request, scheme: str) -> None:
    key, _ = PARTIES.signer(scheme)
    cover = beyond_the_profile(request_)
    assert peer_verifies(PARTIES, PARTIES.signed(request_, scheme, cover=cover)).thumbprint == key.thumbprint
    theirs = peer_signs(PARTIES, request_, scheme)
    assert Recording.signed == base_of(theirs)
    assert PARTIES.verified(theirs).level is LEVELS[scheme]


@pytest.mark.spec("rfc9421#2.2.3")
def test_it_keeps_a_default_port() -> None:
    """Should this fail, the peer was corrected: let random requests have such hosts, and say so in docs/interop.md."""
    written = Request("GET", "https://resource.example:443/data")
    with pytest.raises(VerificationError, match="does not verify"):
        peer_verifies(PARTIES, PARTIES.signed(written, "jwt"))
    with pytest.raises(SignatureError):
        PARTIES.verified(peer_signs(PARTIES, written, "jwt"))
    upper = Request("GET", "https://Resource.Example/data")
    assert peer_verifies(PARTIES, PARTIES.signed(upper, "jwt")).thumbprint == PARTIES.agent.thumbprint
