"""An access server that verifies what it is sent and answers what a test tells it to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aauthlib import jws
from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.errors import SignatureError
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import SignaturePolicy
from aauthlib.keys import PublicKey
from aauthlib.tokens import (
    ACCESS_DWK,
    PERSON_DWK,
    VerificationPolicy,
    issue_auth_token,
)
from aauthlib.verification import authenticate

from .parties import AS, PS, World

PENDING = AS + "/pending/xyz"

#: An answer, or what makes one of the request.
Answer = Response | TransportError | Callable[[Request], Response]


@dataclass
class ScriptedAccessServer:
    """Answers with `script` in order, and with an auth token for everything asked when it is at its end."""

    world: World
    script: list[Answer] = field(default_factory=list)
    received: list[Request] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    revoked: list[dict[str, Any]] = field(default_factory=list)
    revocation: Response = field(default_factory=lambda: Response(200))

    def __post_init__(self) -> None:
        world, elsewhere = self.world, self.world.network.send
        world.directory.publish(PS, world.server.jwks())
        document = {
            "issuer": AS,
            "jwks_uri": AS + "/jwks.json",
            "auth_token_endpoint": AS + "/token",
            "revocation_endpoint": AS + "/revoke",
        }
        world.directory._metadata[AS] = document

        async def send(effect: Send) -> Response:
            if effect.request.origin != AS:
                return await elsewhere(effect)
            return await self.serve(effect.request)

        world.network.send = send  # type: ignore[method-assign]

    async def serve(self, request: Request) -> Response:
        """Verify who asks, as an access server must, and answer."""
        await self._verify(request)
        if request.target == "/revoke":
            self.revoked.append(msgspec.json.decode(request.body))
            return self.revocation
        self.received.append(request)
        if request.target == "/token":
            self.asked = msgspec.json.decode(request.body)
        answer = self.script.pop(0) if self.script else self.token
        if isinstance(answer, TransportError):
            raise answer
        return answer if isinstance(answer, Response) else answer(request)

    async def _verify(self, request: Request) -> None:
        caller = await self.world.wire.run(
            authenticate(
                request,
                now=self.world.clock(),
                signature=SignaturePolicy(schemes=("jwks_uri",), cover_body=True),
                tokens=VerificationPolicy(),
                accepted=(),
            )
        )
        if caller.server is None or (caller.server.id, caller.server.dwk) != (PS, PERSON_DWK):
            raise SignatureError("This is not the person server.")

    async def verified(self, name: str, kind: type[Any]) -> Any:
        """A token that was sent, verified as anybody can."""
        return await self.world.verified(self.asked[name], kind)

    # ---- answers

    def token(self, request: Request | None = None, **changes: Any) -> Response:
        """`200` with an auth token for what was asked, some of it changed."""
        resource = _claims(self.asked["resource_token"])
        presented = _claims(self.asked["presented_token"])
        key = changes.pop("key", None) or PublicKey.from_jwk(presented["cnf"]["jwk"])
        values: dict[str, Any] = {
            "iss": AS,
            "dwk": ACCESS_DWK,
            "ps": PS,
            "aud": resource["iss"],
            "sub": resource["sub"],
            "cnf": key,
            "jti": self.world.jti(),
            "now": self.world.clock(),
            "not_after": presented["exp"],
            "scope": resource["scope"].split(),
            "account": resource.get("account"),
        }
        values.update(changes)
        signer = values.pop("signer", None) or self.world.server_keys[AS]
        text = issue_auth_token(signer, **values)
        self.issued.append(values["jti"])
        return json_response(200, {"auth_token": text, "expires_in": 3600})

    def changed(self, **changes: Any) -> Callable[[Request], Response]:
        return lambda request: self.token(request, **changes)


def waiting(
    requirement: str | None = None,
    *,
    location: str | None = PENDING,
    retry_after_s: int = 0,
    status: int = 202,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Response:
    """A `202` of an access server, or a `402`."""
    fields = {"retry-after": str(retry_after_s), "content-type": "application/json", **(headers or {})}
    if location is not None:
        fields["location"] = location
    if requirement is not None:
        fields["aauth-requirement"] = f"requirement={requirement}"
    return Response(status, Fields(fields), msgspec.json.encode({"status": "pending", **body}))


def interaction(code: str = "ABCD-1234") -> Response:
    return waiting(f'interaction;url="{AS}/authorize/abc";code="{code}"')


def problem(status: int, error: str, detail: str = "") -> Response:
    return json_response(status, {"error": error, "detail": detail}, content_type="application/problem+json")


def _claims(text: str) -> dict[str, Any]:
    return dict(jws.parse(text).payload)
