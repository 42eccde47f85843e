"""Who signs and verifies in the interoperability tests of signatures: one party for each scheme, and our verifier.

Peers read the clock of the machine, so tokens and signatures here are made now.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field

from aauthlib.discovery import StaticDirectory
from aauthlib.effects import Send
from aauthlib.fields import parse_dictionary
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, SignatureKey, SignaturePolicy, sign
from aauthlib.httpsig.components import signature_base, signature_params
from aauthlib.keys import JWKS, SigningKey
from aauthlib.tokens import AgentToken, VerificationPolicy, issue_agent_token, issue_jkt_jwt
from aauthlib.transport import Wire
from aauthlib.verification import Caller, Level, authenticate

AP = "https://ap.example"
SERVER = "https://server.example"
AGENT = "aauth:planner@ap.example"
URL = "https://resource.example/data/2026"
SCHEMES = ("hwk", "jwt", "jwks_uri", "jkt-jwt")
LEVELS = {
    "hwk": Level.PSEUDONYM,
    "jwt": Level.IDENTIFIED,
    "jwks_uri": Level.IDENTIFIED,
    "jkt-jwt": Level.PSEUDONYM,
}


ES256 = ("hwk", "jwt")
"""The schemes that are also tried with an agent whose key is on P-256."""


class NoNetwork:
    """A transport that is never used."""

    def send(self, effect: Send) -> Response:
        raise AssertionError(f"{effect.request.url} was asked for, though every key is at hand")


@dataclass
class Parties:
    """An agent provider, its agent with a durable key, and a server that signs in its own right."""

    provider: SigningKey = field(default_factory=lambda: SigningKey.generate(kid="ap-1"))
    agent: SigningKey = field(default_factory=SigningKey.generate)
    durable: SigningKey = field(default_factory=SigningKey.generate)
    server: SigningKey = field(default_factory=lambda: SigningKey.generate(kid="server-1"))

    def agent_token(self) -> str:
        return issue_agent_token(
            self.provider, iss=AP, sub=AGENT, cnf=self.agent.public, jti="token-1", now=time.time()
        )

    def signer(self, scheme: str) -> tuple[SigningKey, SignatureKey]:
        """The key that signs under `scheme`, and its `Signature-Key`."""
        match scheme:
            case "hwk":
                return self.agent, HWK.of(self.agent.public)
            case "jwt":
                return self.agent, JWT(self.agent_token())
            case "jwks_uri":
                return self.server, JWKSURI(SERVER, "aauth-resource.json", self.server.kid)
            case "jkt-jwt":
                return self.agent, JKTJWT(
                    issue_jkt_jwt(self.durable, self.agent.public, jti="delegation-1", now=time.time())
                )
        raise ValueError(f"no party signs under {scheme}")

    def signed(
        self, request: Request, scheme: str, *, keyid: str | None = None, cover: tuple[str, ...] | None = None
    ) -> Request:
        """`request` as our agent or server sends it; covers `cover` too, by default the query where there is one."""
        key, signature_key = self.signer(scheme)
        if cover is None:
            cover = ("@query",) if request.query else ()
        return sign(request, key, signature_key, created=int(time.time()), components=cover, keyid=keyid)

    def key_sets(self) -> dict[str, JWKS]:
        return {AP: JWKS.of(self.provider), SERVER: JWKS.of(self.server)}

    def documents(self) -> dict[str, object]:
        """Metadata and key sets by URL, as a peer would fetch them."""
        found: dict[str, object] = {}
        for issuer, dwk in ((AP, "aauth-agent.json"), (SERVER, "aauth-resource.json")):
            found[f"{issuer}/.well-known/{dwk}"] = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"}
            found[f"{issuer}/jwks.json"] = self.key_sets()[issuer].to_document()
        return found

    def verified(self, request: Request, *, cover_body: bool = True) -> Caller:
        """What our verifier makes of `request`; raises its error."""
        flow = authenticate(
            request,
            now=time.time(),
            signature=SignaturePolicy(schemes=SCHEMES, cover_body=cover_body),
            tokens=VerificationPolicy(),
            accepted=(AgentToken,),
        )
        return Wire(NoNetwork(), StaticDirectory(keys=dict(self.key_sets()))).run(flow)


def post(url: str = URL + "?a=b%20c", body: bytes = b'{"a":1}') -> Request:
    """A request with a body and a query."""
    return Request("POST", url, Fields([("content-type", "application/json")]), body)


def arrived(request: Request, headers: dict[str, str]) -> Request:
    """`request` with the headers a peer made for it."""
    return Request(request.method, request.url, Fields(headers), request.body)


def base_of(signed: Request) -> bytes:
    """The signature base that we build of a request somebody signed, from what it says is covered."""
    ((_, (items, params)),) = parse_dictionary(signed.headers.get("signature-input") or "").items()
    covered = [name for name, _ in items]
    return signature_base(signed, covered, signature_params(covered, params))


def base64url_member(signature: str) -> str:
    """A `Signature` header in the unpadded base64url that aauth-signing reads (docs/interop.md)."""
    label, _, text = signature.partition("=:")
    return f"{label}=:{base64.urlsafe_b64encode(base64.b64decode(text.rstrip(':'))).decode().rstrip('=')}:"


def base64_member(signature: str) -> str:
    """A `Signature` header that aauth-signing wrote, as RFC 9651 wants it."""
    label, _, text = signature.partition("=:")
    text = text.rstrip(":")
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return f"{label}=:{base64.b64encode(octets).decode()}:"
