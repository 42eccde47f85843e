"""A person server and an access server made of what `aauth` has for them: metadata, tokens, their checks, signatures,
deferred responses, revocation. What it leaves to its user, who decides and what is kept, is here as short as it can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aauth
import httpx
from aauth.http.deferred import (
    build_pending_response_body,
    build_pending_response_headers,
    build_success_response,
    generate_pending_id,
)
from aauth.revocation import RevocationManager, RevocationStore, send_revocation
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.interop.aauth_parties import DWK, Keys, documents, their_client, unpadded
from tests.interop.world import AS, PS, RS, World

_BODY = ["@method", "@authority", "@path", "signature-key", "content-digest", "content-type"]
_NO_BODY = _BODY[:4]
REVOCATION = {RS: f"{RS}/aauth/revoke", AS: f"{AS}/revocation"}
PAGE, CODE = f"{AS}/page", "A1B2-C3D4"


def _headers(request: Request) -> dict[str, str]:
    headers = dict(request.headers)
    return headers | {"signature": unpadded(headers["signature"])} if "signature" in headers else headers


def _refusal(error: aauth.TokenError) -> Response:
    code = error.error_code or "invalid_request"
    status = 403 if code == "denied" else 502 if code == "as_unreachable" else 400
    return JSONResponse({"error": code, "detail": str(error)}, status, media_type="application/problem+json")


@dataclass
class Party:
    """Its key, and what it knows of others."""

    issuer: str
    client: httpx.AsyncClient
    keys: Keys
    key: Any = None
    kid: str = "key-1"
    revocations: RevocationStore = field(default_factory=RevocationStore)

    def __post_init__(self) -> None:
        self.key, public = aauth.generate_ed25519_keypair()
        self.keys.known[self.issuer] = aauth.generate_jwks([aauth.public_key_to_jwk(public, kid=self.kid)])

    def published(self, metadata: dict[str, Any]) -> list[Route]:
        return documents(DWK[self.issuer], metadata, self.keys.known[self.issuer])

    async def caller(self, request: Request) -> Mapping[str, str]:
        """The parameters of the `Signature-Key` that signed `request`. Raises `SignatureError`."""
        headers, body = _headers(request), await request.body()
        valid = aauth.verify_signature(
            request.method,
            self.issuer + request.url.path,
            headers,
            body or None,
            headers.get("signature-input", ""),
            headers.get("signature", ""),
            headers.get("signature-key", ""),
            jwks_fetcher=self.keys,
            required_components=_BODY if body else _NO_BODY,
        )
        if not valid:
            raise aauth.SignatureError("The signature does not verify.")
        params: Mapping[str, str] = aauth.parse_signature_key(headers["signature-key"])["params"]
        return params

    async def send(self, method: str, url: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """A request signed in its own right."""
        content = json.dumps(body).encode() if body is not None else None
        headers = {"content-type": "application/json"} if content else {}
        headers.update(
            aauth.sign_request(
                method,
                url,
                headers,
                content,
                self.key,
                sig_scheme="jwks_uri",
                id=self.issuer,
                kid=self.kid,
                dwk=DWK[self.issuer],
                additional_signature_components=_BODY[4:] if content else [],
            )
        )
        return await self.client.request(method, url, headers=headers, content=content)

    async def revoke_at(self, recipient: str, jti: str, exp: int) -> dict[str, Any]:
        """Revoke a token of its own at a server of ours."""
        outcome: dict[str, Any] = await send_revocation(
            REVOCATION[recipient],
            jti,
            exp,
            self.key,
            self.issuer,
            self.kid,
            DWK[self.issuer],
            http_client=self.client,
        )
        return outcome


# ------------------------------------------------------------------ the person server


class TheirPersonServer(Party):
    """Says yes to everything at once, for one person, and asks an access server where the resource has one."""

    async def _agent(self, request: Request) -> dict[str, Any]:
        token = (await self.caller(request))["jwt"]
        claims: dict[str, Any] = aauth.verify_agent_token(token, self.keys)
        return claims | {"raw": token}

    async def person_token(self, request: Request) -> Response:
        agent, resource = await self._agent(request), (await request.json())["resource"]
        token = aauth.create_person_token(
            PS, resource, f"dana-at-{resource}", agent["cnf"]["jwk"], self.key, self.kid, agent_exp=agent["exp"]
        )
        return JSONResponse({"person_token": token, "expires_in": 600})

    async def auth_token(self, request: Request) -> Response:
        agent, body = await self._agent(request), await request.json()
        try:
            asked = aauth.verify_resource_token(
                body["resource_token"],
                self.keys,
                presented_token=body["presented_token"],
                expected_ps=PS,
                expected_agent_jkt=aauth.calculate_jwk_thumbprint(agent["cnf"]["jwk"]),
            )
            if asked["aud"] == AS:
                token = await self._federated(agent, asked, body)
            else:
                token = self._own(agent, asked, body["presented_token"])
        except aauth.TokenError as error:
            return _refusal(error)
        return JSONResponse(build_success_response(token))

    def _own(self, agent: dict[str, Any], asked: dict[str, Any], presented: str) -> str:
        token: str = aauth.create_auth_token(
            PS,
            asked["iss"],
            agent["cnf"]["jwk"],
            self.key,
            self.kid,
            ps=PS,
            sub=asked["sub"],
            agent_exp=agent["exp"],
            presented_exp=self.keys.of_token(presented)["exp"],
            scope=asked["scope"],
            dwk="aauth-person.json",
        )
        return token

    async def _federated(self, agent: dict[str, Any], asked: dict[str, Any], body: dict[str, Any]) -> str:
        """#ps-to-as-token-request, with its poller, and #auth-token-delivery with its check of tokens."""
        tokens = {name: body[name] for name in ("resource_token", "presented_token")}
        url = (await self.client.get(f"{AS}/.well-known/{DWK[AS]}")).json()["auth_token_endpoint"]
        first = await self.send("POST", url, {**tokens, "agent_token": agent["raw"]})
        answer = first
        if first.status_code == 202:
            result = await aauth.async_poll_pending_url(
                first.headers["location"],
                lambda url: self.send("GET", url),
                initial_response=first,
                sign_and_send_post=lambda url, answer: self.send("POST", url, answer),
                on_clarification=self._answer,
            )
            answer = result.response
        if answer.status_code != 200:
            raise aauth.TokenError(answer.json()["detail"], error_code=answer.json()["error"])
        token: str = answer.json()["auth_token"]
        aauth.verify_token(
            token,
            self.keys,
            expected_typ="aa-auth+jwt",
            expected_iss=AS,
            expected_aud=asked["iss"],
            request_signing_jwk=agent["cnf"]["jwk"],
        )
        return token

    async def _answer(self, url: str, question: str) -> str:
        return "The north."


async def serve_their_person_server(world: World) -> TheirPersonServer:
    """It must know the resource's keys, and the access server's where there is one: those run already."""
    client = their_client(world)
    server = TheirPersonServer(PS, client, Keys(client))
    metadata = aauth.generate_ps_metadata(
        PS, f"{PS}/auth-token", f"{PS}/jwks.json", person_token_endpoint=f"{PS}/person-token"
    )
    routes = [
        Route("/person-token", server.person_token, methods=["POST"]),
        Route("/auth-token", server.auth_token, methods=["POST"]),
    ]
    await world.serve(PS, Starlette(routes=[*routes, *server.published(metadata)]))
    return server


# ------------------------------------------------------------------ the access server


class TheirAccessServer(Party):
    """Grants `scope`, or all that is asked; before that it may want something of the person server."""

    scope: str | None = None
    wants: str | None = None
    answered: list[dict[str, Any]]
    waiting: dict[str, dict[str, Any] | None]

    async def token(self, request: Request) -> Response:
        ps, body = (await self.caller(request))["id"], await request.json()
        try:
            agent = aauth.verify_agent_token(body["agent_token"], self.keys)
            asked = aauth.verify_resource_token(
                body["resource_token"],
                self.keys,
                presented_token=body["presented_token"],
                expected_aud=AS,
                expected_ps=ps,
                expected_agent_jkt=aauth.calculate_jwk_thumbprint(agent["cnf"]["jwk"]),
            )
        except aauth.TokenError as error:
            return _refusal(error)
        grant = {"agent": agent, "asked": asked, "presented": self.keys.of_token(body["presented_token"]), "ps": ps}
        if self.wants is None:
            return self._issued(grant)
        pending = generate_pending_id()
        self.waiting[pending] = grant
        return self._pending(pending)

    def _pending(self, pending: str) -> Response:
        location = f"{AS}/pending/{pending}"
        headers = build_pending_response_headers(location, 0, require=self.wants, code=CODE, url=PAGE)
        body = build_pending_response_body(
            location,
            clarification="Which **region**?" if self.wants == "clarification" else None,
            required_claims=["email"] if self.wants == "claims" else None,
        )
        return JSONResponse(body, 202, headers)

    async def poll(self, request: Request) -> Response:
        await self.caller(request)
        pending = request.path_params["pending"]
        if request.method == "POST":
            self.answered.append(await request.json())
            self.wants = None
        grant = self.waiting[pending]
        if grant is None:
            return JSONResponse({"error": "invalid_code"}, 410, media_type="application/problem+json")
        if self.wants == "approval":
            self.wants = None  # Somebody approves after the first look.
            return self._pending(pending)
        if self.wants is not None:
            return self._pending(pending)
        self.waiting[pending] = None
        return self._issued(grant)

    async def page(self, request: Request) -> Response:
        assert request.query_params["code"].replace("-", "") == CODE.replace("-", "")
        self.wants = None
        return Response("Confirmed.")

    def _issued(self, grant: dict[str, Any]) -> Response:
        agent, asked, presented = grant["agent"], grant["asked"], grant["presented"]
        token = aauth.create_auth_token(
            AS,
            asked["iss"],
            agent["cnf"]["jwk"],
            self.key,
            self.kid,
            ps=grant["ps"],
            sub=asked["sub"],
            agent_exp=agent["exp"],
            presented_exp=presented["exp"],
            scope=self.scope or asked["scope"],
        )
        claims = self.keys.of_token(token)
        self.revocations.record_issued(claims, [asked["iss"]], dependencies=[(presented["iss"], presented["jti"])])
        return JSONResponse(build_success_response(token, claims["exp"] - claims["iat"]))

    async def revoke(self, request: Request) -> Response:
        manager = RevocationManager(AS, "as", self.revocations, self.revoke_at, {PS})
        answer = await manager.handle_request(
            "POST", f"{AS}/revoke", _headers(request), await request.body(), self.keys
        )
        return Response(answer.body, answer.status_code, answer.headers)


async def serve_their_access_server(
    world: World, *, wants: str | None = None, scope: str | None = None
) -> TheirAccessServer:
    """It must know everybody's keys: `keys.learn(AP, PS, RS)` once those run."""
    client = their_client(world)
    server = TheirAccessServer(AS, client, Keys(client))
    server.wants, server.scope, server.answered, server.waiting = wants, scope, [], {}
    metadata = aauth.generate_auth_metadata(AS, f"{AS}/jwks.json", f"{AS}/token", revocation_endpoint=f"{AS}/revoke")
    routes = [
        Route("/token", server.token, methods=["POST"]),
        Route("/pending/{pending}", server.poll, methods=["GET", "POST"]),
        Route("/page", server.page),
        Route("/revoke", server.revoke, methods=["POST"]),
    ]
    await world.serve(AS, Starlette(routes=[*routes, *server.published(metadata)]))
    return server
