"""The published vectors (vectors/) in other people's verifiers; what they decide otherwise is pinned, and why."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aauth_signing import verify_signature
from introspection_aauth.protocol import httpsig
from introspection_aauth.protocol.keys import Jwk

from aauthlib.base64url import b64url_decode
from tests.interop.signing.parties import base64url_member
from tests.interop.signing.test_httpsig_node import Peer, encoded, peer

pytestmark = [pytest.mark.interop, pytest.mark.spec("#verification")]

VECTORS = Path(__file__).parents[2] / "vectors"
PARTIES = json.loads((VECTORS / "parties.json").read_text())
REQUESTS = json.loads((VECTORS / "requests.json").read_text())

#: The token's own verification, which the functions asked here leave to somebody else.
TOKENS = {f"jwt-{name}" for name in ("expired", "forged", "issuer-impostor", "issuer-nobody", "issuer-unnamed", "kid")}
#: What finding the key says, which is ours where a peer is given a function to find it.
OUR_FETCH = {"jwt-issuer-impostor", "jwt-issuer-unnamed"}
#: What each decides otherwise (docs/interop.md): a label with a dash or an underscore is none to it,
AAUTH_SIGNING = {"label"}
#: a body has to be covered everywhere, `expires` and `keyid` are not looked at,
INTROSPECTION = {"body-not-covered", "expires-past", "keyid-of-another"}
#: nor are they here.
HTTPSIG = {"expires-past", "keyid-of-another"}

__all__ = ["peer"]


def differing(accepts: Callable[[dict[str, Any], dict[str, str], bytes], bool], schemes: set[str]) -> set[str]:
    """The vectors that `accepts` decides otherwise, among those of `schemes` and without settings of their own."""
    found = set()
    for vector in REQUESTS:
        settings = vector["verifier"]
        lines = [tuple(line) for line in vector["request"]["headers"]]
        fields = dict(lines)
        key = fields.get("signature-key", "").partition("=")[2].partition(";")[0]
        own = settings["additional_components"] or settings["schemes"] == ["jwt"]
        if own or len(fields) != len(lines) or (key not in schemes and vector["name"] != "scheme-unknown") or not key:
            continue
        body = b64url_decode(vector["request"]["body"])
        if accepts(vector, fields, body) is not ("signature_error" not in vector["result"]):
            found.add(vector["name"])
    return found


def test_aauth_signing(monkeypatch: pytest.MonkeyPatch) -> None:
    def accepts(vector: dict[str, Any], fields: dict[str, str], body: bytes) -> bool:
        monkeypatch.setattr(time, "time", lambda: float(vector["received_at"]))
        headers = dict(fields)
        try:
            headers["signature"] = base64url_member(headers["signature"])
            return verify_signature(
                vector["request"]["method"],
                vector["request"]["url"],
                headers,
                body or None,
                headers["signature-input"],
                headers["signature"],
                headers["signature-key"],
                jwks_fetcher=lambda issuer, dwk, kid: PARTIES["issuers"][issuer]["jwks"],
            )
        except Exception:
            return False

    assert differing(accepts, {"hwk", "jwt", "jkt-jwt", "jwks_uri"}) == AAUTH_SIGNING | {
        "jwt-issuer-impostor",
        "jwt-issuer-unnamed",
    }  # the fetch is ours


def test_introspection_aauth() -> None:
    async def resolve(server: str, dwk: str, kid: str) -> Jwk:
        (key,) = [key for key in PARTIES["issuers"][server]["jwks"]["keys"] if key["kid"] == kid]
        return Jwk.model_validate(key)

    def accepts(vector: dict[str, Any], fields: dict[str, str], body: bytes) -> bool:
        sent = vector["request"]
        received = httpsig.SignedRequest(sent["method"], sent["url"], fields, body or None)
        try:
            asyncio.run(httpsig.verify(received, vector["received_at"], resolve))
        except Exception:
            return False
        return True

    assert differing(accepts, {"jwt", "jwks_uri"}) == INTROSPECTION | TOKENS


def test_httpsig(peer: Peer) -> None:
    documents: dict[str, Any] = {}
    for issuer in PARTIES["issuers"].values():
        documents[issuer["metadata_url"]] = issuer["metadata"]
        documents[issuer["metadata"]["jwks_uri"]] = issuer["jwks"]

    def accepts(vector: dict[str, Any], fields: dict[str, str], body: bytes) -> bool:
        sent = vector["request"]
        parts = urlsplit(sent["url"])
        try:
            answer = peer.ask(
                op="verify",
                method=sent["method"],
                authority=parts.netloc,
                path=parts.path,
                query=parts.query or None,
                headers=fields,
                body=encoded(body),
                documents=documents,
                now=vector["received_at"],
            )
        except AssertionError:
            return False
        return bool(answer["verified"])

    assert differing(accepts, {"hwk", "jwt", "jkt-jwt", "jwks_uri"}) == HTTPSIG | TOKENS
