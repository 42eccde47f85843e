"""aauth-signing 0.2.0: it verifies what we sign and we verify what it signs, under all four schemes.

It reads and writes the `Signature` byte sequence as unpadded base64url, where RFC 9651, Section 4.2.7 has base64; the
tests re-encode that one value (docs/interop.md).
"""

from __future__ import annotations

import base64
import time

import pytest
from aauth_signing import sign_request, verify_signature
from aauth_signing.signature_base import build_signature_base
from aauth_signing.tokens.common import encode_jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from aauthlib.base64url import b64url_decode
from aauthlib.errors import InvalidSignature, SignatureError
from aauthlib.http import Fields, Request
from aauthlib.httpsig.components import signature_base, signature_params
from aauthlib.keys import SigningKey
from tests.interop.signing.messages import beyond_the_profile, requests
from tests.interop.signing.parties import (
    AGENT,
    AP,
    ES256,
    LEVELS,
    SCHEMES,
    SERVER,
    URL,
    Parties,
    arrived,
    base64_member,
    base64url_member,
    base_of,
    post,
)

pytestmark = [pytest.mark.interop, pytest.mark.spec("#verification", "#covered-components")]

GET = Request("GET", URL)


@pytest.fixture(scope="module")
def parties() -> Parties:
    return Parties()


def peer_verifies(parties: Parties, request: Request, *, as_written: bool = False) -> bool:
    headers = dict(request.headers)
    if not as_written:
        headers["signature"] = base64url_member(headers["signature"])
    return verify_signature(
        request.method,
        request.url,
        headers,
        request.body or None,
        headers["signature-input"],
        headers["signature"],
        headers["signature-key"],
        jwks_fetcher=lambda issuer, dwk, kid: parties.key_sets()[issuer].to_document(),
    )


def peer_signs(parties: Parties, request: Request, scheme: str) -> dict[str, str]:
    """The headers of `request` once the peer signed it, exactly as it wrote them."""
    key, signature_key = parties.signer(scheme)
    arguments = {
        "hwk": {},
        "jwt": {"jwt": getattr(signature_key, "jwt", "")},
        "jkt-jwt": {"jwt": getattr(signature_key, "jwt", "")},
        "jwks_uri": {"id": SERVER, "dwk": "aauth-resource.json", "kid": parties.server.kid},
    }[scheme]
    headers = dict(request.headers)
    covered = ["content-digest", "content-type"] if request.body else []
    covered += beyond_the_profile(request, query=False)
    headers.update(
        sign_request(
            request.method,
            request.url,
            headers,
            request.body or None,
            private_key(key),
            sig_scheme=scheme,
            additional_signature_components=covered,
            **arguments,
        )
    )
    return headers


def private_key(key: SigningKey) -> object:
    """The key as an object of `cryptography`, which this peer signs with."""
    secret = b64url_decode(key.to_private_jwk()["d"])
    if key.alg == "ES256":
        return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    return Ed25519PrivateKey.from_private_bytes(secret)


def corrected(headers: dict[str, str]) -> dict[str, str]:
    return {name: base64_member(value) if name == "Signature" else value for name, value in headers.items()}


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_verifies_what_we_sign(parties: Parties, scheme: str, request_: Request) -> None:
    assert peer_verifies(parties, parties.signed(request_, scheme)) is True


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_refuses_what_we_signed_once_the_path_changes(parties: Parties, scheme: str) -> None:
    signed = parties.signed(GET, scheme)
    moved = Request(signed.method, URL + "/more", signed.headers)
    assert peer_verifies(parties, moved) is False


@pytest.mark.parametrize("request_", [GET, post()], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_verify_what_it_signs(parties: Parties, scheme: str, request_: Request) -> None:
    headers = corrected(peer_signs(parties, request_, scheme))
    caller = parties.verified(arrived(request_, headers))
    assert caller.level is LEVELS[scheme]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_refuse_what_it_signed_once_the_body_changes(parties: Parties, scheme: str) -> None:
    headers = corrected(peer_signs(parties, post(), scheme))
    with pytest.raises(SignatureError):
        parties.verified(Request("POST", post().url, Fields(headers), b'{"a":2}'))


def test_we_accept_an_agent_token_it_made(parties: Parties) -> None:
    now = int(time.time())
    claims = {
        "iss": AP,
        "dwk": "aauth-agent.json",
        "sub": AGENT,
        "jti": "1",
        "iat": now,
        "exp": now + 600,
        "cnf": {"jwk": parties.agent.public.to_jwk()},
    }
    token = encode_jwt(claims, private_key(parties.provider), parties.provider.kid, "aa-agent+jwt")
    headers = sign_request("GET", URL, {}, None, private_key(parties.agent), sig_scheme="jwt", jwt=token)
    caller = parties.verified(arrived(GET, corrected(headers)))
    assert caller.agent_token is not None
    assert caller.agent_token.sub == AGENT


@pytest.mark.parametrize("scheme", ES256)
def test_it_verifies_what_we_sign_with_es256(scheme: str) -> None:
    parties = Parties(agent=SigningKey.generate("ES256"))
    assert peer_verifies(parties, parties.signed(post(), scheme)) is True


@pytest.mark.spec("rfc9421#3.3")
@pytest.mark.parametrize("scheme", ES256)
def test_its_es256_signature_is_der_and_refused(scheme: str) -> None:
    """Should this fail, the peer was corrected: test ES256 as Ed25519 is tested and say so in docs/interop.md."""
    parties = Parties(agent=SigningKey.generate("ES256"))
    headers = corrected(peer_signs(parties, GET, scheme))
    octets = base64.b64decode(headers["Signature"].partition("=:")[2].rstrip(":"))
    assert len(octets) > 64
    with pytest.raises(InvalidSignature):
        parties.verified(arrived(GET, headers))
    rs = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(octets))
    headers["Signature"] = f"sig=:{base64.b64encode(rs).decode()}:"
    assert parties.verified(arrived(GET, headers)).key == parties.agent.public


def test_its_byte_sequence_is_not_one_of_rfc_9651(parties: Parties) -> None:
    """Should this fail, the peer was corrected: remove the re-encoding from these tests and from docs/interop.md."""
    headers = peer_signs(parties, GET, "hwk")
    assert headers["Signature"] != base64_member(headers["Signature"])
    with pytest.raises(Exception, match="Invalid Signature format"):
        peer_verifies(parties, parties.signed(GET, "hwk"), as_written=True)


@given(requests())
def test_both_build_the_same_signature_base(request_: Request) -> None:
    headers = request_.headers.with_(signature_key='sig=jwt;jwt="eyJ.eyJ.sig"', content_digest="sha-256=:AA==:")
    request_ = Request(request_.method, request_.url, headers, request_.body)
    covered = ["@method", "@authority", "@path", "signature-key", *beyond_the_profile(request_)]
    covered += ["content-type", "content-digest"] if request_.body else []
    params = signature_params(covered, {"created": 1_800_000_000})
    theirs = build_signature_base(
        method=request_.method,
        authority=request_.authority,
        path=request_.path,
        query=request_.query,
        headers=dict(request_.headers),
        body=request_.body or None,
        signature_key_header=headers.get("signature-key") or "",
        covered_components=covered,
        signature_params=params,
    )
    assert theirs.encode() == signature_base(request_, covered, params)


@settings(max_examples=120)
@given(request_=requests(), scheme=st.sampled_from(SCHEMES))
def test_each_verifies_the_other_on_any_request(parties: Parties, request_: Request, scheme: str) -> None:
    cover = beyond_the_profile(request_)
    assert peer_verifies(parties, parties.signed(request_, scheme, cover=cover)) is True
    theirs = arrived(request_, corrected(peer_signs(parties, request_, scheme)))
    assert (b'"x-note": ' in base_of(theirs)) is ("x-note" in request_.headers)
    assert parties.verified(theirs).level is LEVELS[scheme]


@pytest.mark.spec("rfc9421#2.2.3")
@pytest.mark.parametrize("host", ["Resource.Example", "resource.example:443"])
def test_it_covers_the_host_as_it_is_written(parties: Parties, host: str) -> None:
    """Should this fail, the peer was corrected: let random requests have such hosts, and say so in docs/interop.md."""
    written = Request("GET", f"https://{host}/data")
    assert peer_verifies(parties, parties.signed(written, "hwk")) is False
    with pytest.raises(InvalidSignature):
        parties.verified(arrived(written, corrected(peer_signs(parties, written, "hwk"))))
