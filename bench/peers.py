"""What others' verifiers do per second on the same request, each through the API it offers. What each checks differs.

A peer that is not installed is left out and named.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from itertools import repeat
from types import SimpleNamespace

from rounds import Subject
from world import PERSON_SERVER, PROVIDER, World, signed

from aauthlib.http import Request
from aauthlib.httpsig import JWT
from aauthlib.keys import JWKS

#: What each peer does for one verification.
CHECKS = {
    "aauth-signing": "HTTP signature and the token's own, every time; no claim rules but exp",
    "introspection-aauth": "HTTP signature and the token's own, every time; claims through pydantic",
    "http-message-signatures": "HTTP signature only, by keyid: no Signature-Key, no token, no freshness rule of AAuth",
}


def subjects(world: World) -> tuple[list[Subject], list[str]]:
    """The peers that are installed, and the names of those that are not."""
    found, missing = [], []
    for name, make in (
        ("aauth-signing", _aauth_signing),
        ("introspection-aauth", _introspection),
        ("http-message-signatures", _http_message_signatures),
    ):
        try:
            found.append(Subject(name, make(world)))
        except ImportError:
            missing.append(name)
    return found, missing


def _arrived(world: World, *, keyid: str | None = None) -> list[tuple[Request, dict[str, str]]]:
    return [(r, dict(r.headers)) for r in signed(repeat((world.agent, JWT(world.token))), keyid=keyid)]


def _aauth_signing(world: World) -> Callable[[], Callable[[], int]]:
    from aauth_signing import verify_signature

    keys = JWKS.of(world.provider).to_document()

    def own_form(signature: str) -> str:
        """It writes and reads the byte sequence as unpadded base64url (docs/interop.md)."""
        label, _, text = signature.partition("=:")
        octets = base64.b64decode(text.rstrip(":"))
        return f"{label}=:{base64.urlsafe_b64encode(octets).decode().rstrip('=')}:"

    def prepare() -> Callable[[], int]:
        arrived = _arrived(world)
        calls = [
            (r.method, r.url, h, None, h["signature-input"], own_form(h["signature"]), h["signature-key"])
            for r, h in arrived
        ]

        def run() -> int:
            for call in calls:
                if not verify_signature(*call, jwks_fetcher=lambda iss, dwk, kid: keys):
                    raise AssertionError("aauth-signing refused the request")
            return len(calls)

        return run

    return prepare


def _introspection(world: World) -> Callable[[], Callable[[], int]]:
    import httpx2
    from introspection_aauth.protocol.discovery import Discovery
    from introspection_aauth.protocol.httpsig import SignedRequest
    from introspection_aauth.protocol.verification import verify_agent

    documents = {
        f"{PROVIDER}/.well-known/aauth-agent.json": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json"},
        f"{PROVIDER}/jwks.json": JWKS.of(world.provider).to_document(),
    }
    answer = httpx2.MockTransport(lambda request: httpx2.Response(200, json=documents[str(request.url)]))
    discovery = Discovery(httpx2.AsyncClient(transport=answer), ttl_seconds=86_400)

    def verify(request: SignedRequest, now: int) -> bool:
        flow = verify_agent(request, discovery, {PROVIDER}, now)
        try:
            flow.send(None)  # its keys are in its cache, so it never waits and needs no loop
        except StopIteration as end:
            return str(end.value.person_server) == PERSON_SERVER
        raise AssertionError("introspection-aauth waited for something")

    async def fill() -> None:
        await discovery.jwks(PROVIDER, "aauth-agent.json")

    import asyncio

    asyncio.run(fill())

    def prepare() -> Callable[[], int]:
        arrived = [SignedRequest(r.method, r.url, h) for r, h in _arrived(world)]
        now = int(time.time())

        def run() -> int:
            for request in arrived:
                if not verify(request, now):
                    raise AssertionError("introspection-aauth refused the request")
            return len(arrived)

        return run

    return prepare


def _http_message_signatures(world: World) -> Callable[[], Callable[[], int]]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

    from aauthlib.base64url import b64url_decode

    key = Ed25519PublicKey.from_public_bytes(b64url_decode(world.agent.public.jwk["x"]))

    class Resolver(HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
            return key

    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Resolver())

    def prepare() -> Callable[[], int]:
        arrived = [
            SimpleNamespace(method=r.method, url=r.url, headers=h)
            for r, h in _arrived(world, keyid=world.agent.thumbprint)
        ]

        def run() -> int:
            for message in arrived:
                if not verifier.verify(message):
                    raise AssertionError("http-message-signatures refused the request")
            return len(arrived)

        return run

    return prepare
