"""A small OpenID Connect provider for tests: an ASGI app that signs with joserfc, honest unless told otherwise.

It checks what a provider checks (client, redirect URI, code used once, PKCE), so a client that leaves something out
fails against it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.http import Fields
from aauthlib.http import Response as Answer

CLIENT_ID, CLIENT_SECRET = "person.example", "s3cret & more"


@dataclass
class OpenIDProvider:
    """One provider. `person` is who is signed in there; the hooks spoil what it answers."""

    issuer: str
    clock: Callable[[], float]
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "u-1"})
    client_id: str = CLIENT_ID
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"}))
    metadata: dict[str, Any] = field(default_factory=dict)
    #: Changes to claims and header of the next ID tokens.
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    signed_in_at: float | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _configuration(self, _: Request) -> Response:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(document | self.metadata)

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        if asked.get("client_id") != self.client_id or asked.get("response_type") != "code":
            return Response("unknown client", 400)
        if asked.get("code_challenge_method") != "S256" or not asked.get("nonce") or not asked.get("state"):
            return Response("state, nonce and PKCE are required", 400)
        if asked.get("prompt") == "login":
            self.signed_in_at = self.clock()
        return RedirectResponse(self.answer_to(asked), 302)

    def answer_to(self, asked: dict[str, str], **changes: str) -> str:
        """Where the provider sends the browser back to."""
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.issuer} | changes
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if not self._is_client(request):
            return JSONResponse({"error": "invalid_client"}, 401)
        code = form.get("code", "")
        asked = self.codes.pop(code, None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=")
        if (
            asked is None
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge.decode() != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        self.used.append(code)
        return JSONResponse({"access_token": "unused", "token_type": "Bearer", "id_token": self._id_token(asked)})

    def _is_client(self, request: Request) -> bool:
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        name, _, secret = base64.b64decode(value).decode().partition(":") if scheme == "Basic" else ("", "", "")
        return unquote_plus(name) == self.client_id and unquote_plus(secret) == CLIENT_SECRET

    def _id_token(self, asked: dict[str, str]) -> str:
        now = int(self.clock())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            **({"auth_time": int(self.signed_in_at)} if self.signed_in_at is not None else {}),
            **self.person,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": "k1", **self.header}
        if self.sign is not None:
            return self.sign(header, claims)
        return jwt.encode(header, claims, self.key, algorithms=["ES256"])


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """`alg: none`."""
    parts = ({**header, "alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


def signed_with_public_key(provider: OpenIDProvider) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    """HS256 by the provider's public key, which everybody has."""

    def sign(header: dict[str, Any], claims: dict[str, Any]) -> str:
        body = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in ({**header, "alg": "HS256"}, claims)
        )

        mac = hmac.digest(provider.key.as_pem(private=False), body.encode(), "sha256")
        return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    return sign


class Network:
    """Sends to providers in this process by their host; everybody else cannot be reached."""

    def __init__(self, *providers: OpenIDProvider) -> None:
        self._clients = {
            each.issuer: httpx2.AsyncClient(transport=httpx2.ASGITransport(app=each.app), base_url=each.issuer)
            for each in providers
        }
        self.down: set[str] = set()

    async def send(self, effect: Send) -> Answer:
        request = effect.request
        client = self._clients.get(request.origin)
        if client is None or request.origin in self.down:
            raise TransportError(f"{request.origin} cannot be reached.")
        response = await client.request(
            request.method, request.url, content=request.body, headers=dict(request.headers)
        )
        return Answer(response.status_code, Fields(list(response.headers.items())), response.content)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()
