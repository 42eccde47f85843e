"""Starlette: endpoints that say themselves what they ask of their caller.

    aauth = AAuth(app, issuer="https://api.example", scopes={"calendar.read": "See your events."})


    @aauth.requires(authorized("calendar.read"))
    async def calendar(request): ...  # request.scope["aauth"] is the Grant

`AAuth` serves the protocol's own paths and verifies who calls, once per request, before the application sees it. What
an endpoint asks for is decided where it is declared; an endpoint that declares nothing is open to anybody, as in any
Starlette application, and finds no grant. For a policy in one place, which refuses what it does not name, put
`web.resource.AAuthMiddleware` in front instead. `integrations.fastapi` is this with dependencies.
"""

from __future__ import annotations

import functools
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

from ..agent.keystore import FileKeystore, aauth_home, checked_name, write_private
from ..errors import AAuthError, AccessDenied, ConfigurationError
from ..http import Fields, Request, Response
from ..keys import SigningKey
from ..resource import (
    AccessRule,
    Decision,
    Grant,
    Match,
    MemoryResourceStore,
    Policy,
    Resource,
    anonymous,
    refusal,
)
from ..transport import AsyncWire
from ..verification import Caller, Level
from ..web.asgi import ASGIApp, BodyTooLarge, ClientGone, Message, Receive, Scope, Send, send_response
from ..web.resource import AAuthMiddleware, invite, seal
from ..web.streaming import VerifiedBody

__all__ = ["AAuth", "resource_key"]

_KEY = "aauth.admission"
_OPEN = Match(anonymous(), "open")
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Awaitable[Any]])


class _Application(Protocol):
    """What Starlette and FastAPI applications have in common."""

    def add_middleware(self, middleware_class: Any, /, *args: Any, **kwargs: Any) -> None: ...

    def add_exception_handler(self, exc_class_or_status_code: Any, handler: Any, /) -> None: ...


class _Refused(Exception):
    """A request that an endpoint's rule refuses, with the response that says why.

    A class of its own: an `AAuthError` of an agent that the application itself uses is the application's business.
    """

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(slots=True)
class _Admission:
    """One request on its way through the application: who calls, and what was decided about it so far."""

    request: Request
    caller: Caller
    client: str
    max_body_bytes: int
    decisions: list[Decision] = field(default_factory=list)
    private: bool = False


class AAuth:
    """Makes a Starlette application an AAuth resource.

    Either `resource` is given, or what one is made of: `issuer` and the other settings of `Resource`. What is left out
    then has a default for one process: `wire` fetches over the guarded network, `store` is in memory, and
    `signing_key` is kept in a file of this user's (`resource_key`).

    - `max_body_bytes` bounds a body that is read before it is known who calls: one the signature covers, or one that
      is held.
    - `client_address` says what anonymous callers are counted by; see `web.resource.peer_address`.

    Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        app: _Application | None = None,
        *,
        resource: Resource | None = None,
        issuer: str | None = None,
        dev: bool = False,
        max_body_bytes: int | None = None,
        client_address: Callable[[Scope], str] | None = None,
        **settings: Any,
    ) -> None:
        if (resource is None) == (issuer is None) or (resource is not None and (settings or dev)):
            raise ConfigurationError("Give AAuth either a resource, or an issuer and the other settings of Resource.")
        self.resource = resource if resource is not None else _resource(str(issuer), dev, settings)
        options = {"max_body_bytes": max_body_bytes, "client_address": client_address}
        self._options = {name: value for name, value in options.items() if value is not None}
        if app is not None:
            self.install(app)

    def install(self, app: _Application) -> None:
        """Put this resource in front of `app`, which has not started yet."""
        app.add_middleware(_Front, aauth=self, **self._options)
        app.add_exception_handler(_Refused, _answer)

    def requires(self, rule: AccessRule) -> Callable[[_Endpoint], _Endpoint]:
        """A decorator of endpoints `async def endpoint(request, ...)`: only who satisfies `rule` gets in.

        Raises `ConfigurationError` when the resource was not set up for what the rule asks.
        """
        self.resource.check_rule(rule)

        def decorate(endpoint: _Endpoint) -> _Endpoint:
            @functools.wraps(endpoint)
            async def checked(request: StarletteRequest, *args: Any, **kwargs: Any) -> Any:
                await self.check(request, rule)
                return await endpoint(request, *args, **kwargs)

            return checked  # type: ignore[return-value]

        return decorate

    async def check(self, request: StarletteRequest, rule: AccessRule) -> Grant:
        """What the caller of `request` may do, when it satisfies `rule`; also in `request.scope["aauth"]` from then on.

        Otherwise ends the request with the challenge or the refusal (#aauth-requirement).
        """
        scope = request.scope
        parameters = {name: str(value) for name, value in request.path_params.items()}
        if rule.account is not None and rule.account not in parameters:
            raise ConfigurationError(f"The rule binds an account by {rule.account!r}, which is not in this path.")
        admission = scope.get(_KEY)
        if not isinstance(admission, _Admission) and not isinstance(scope.get("aauth"), Grant):
            raise ConfigurationError("This request did not come through AAuth: call aauth.install(app) first.")
        try:
            if not isinstance(admission, _Admission):
                return _held_grant(scope["aauth"], rule, parameters)
            if rule.level is Level.AUTHORIZED and rule.delivery == "202":
                await _hold_body(request, admission)
            match = Match(rule, _name(scope), parameters)
            decision = await self.resource.admit(admission.request, admission.caller, match, client=admission.client)
        except AAuthError as error:
            raise _Refused(refusal(error, self.resource.signature)) from error
        admission.decisions.append(decision)
        admission.private |= rule.level is not Level.ANONYMOUS
        scope["aauth"] = decision.grant
        return decision.grant


class _Front(AAuthMiddleware):
    """Serves the protocol's own paths, and verifies who calls. What they may do is for the endpoints to decide."""

    def __init__(self, app: ASGIApp, *, aauth: AAuth, **options: Any) -> None:
        super().__init__(app, aauth.resource, Policy([], default=anonymous()), **options)

    async def _application(self, scope: Scope, fields: Fields, receive: Receive, send: Send) -> None:
        try:
            request, body = await self._read(scope, fields, receive, _OPEN)
            caller = await self.resource.verify(request)
        except ClientGone:
            return
        except AAuthError as error:
            await send_response(send, refusal(error, self.resource.signature))
            return
        assert not isinstance(body, VerifiedBody), "bodies are not streamed before it is known who calls"
        admission = _Admission(request, caller, self._client_address(scope), self._max_body_bytes)
        inner = {name: value for name, value in scope.items() if name != "aauth"}
        await self.app({**inner, _KEY: admission}, body, self._finishing(send, admission))

    def _finishing(self, send: Send, admission: _Admission) -> Send:
        """A `send` that adds to the start of the response what was decided while the application ran."""

        async def finishing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [header for decision in admission.decisions for header in decision.headers]
                message = seal(message, tuple(headers), private=admission.private)
                if admission.caller.level is Level.ANONYMOUS:
                    message = invite(message, self.resource.invitation)
            await send(message)

        return finishing


async def _hold_body(request: StarletteRequest, admission: _Admission) -> None:
    """A call that may be held is held with its body. One that was not covered is known only now."""
    if admission.request.body:
        return
    body = await request.body()
    if len(body) > admission.max_body_bytes:
        raise BodyTooLarge("The body is larger than what is kept of a held invocation.")
    old = admission.request
    admission.request = Request(old.method, old.url, old.headers, body)


async def _answer(_: StarletteRequest, refused: Exception) -> StarletteResponse:
    assert isinstance(refused, _Refused)
    found = refused.response
    response = StarletteResponse(found.body, found.status)
    for name, value in found.headers:
        response.headers.append(name, value)
    return response


def _held_grant(grant: Grant, rule: AccessRule, parameters: Mapping[str, str]) -> Grant:
    """The grant of a held invocation that is now carried out (#deferred-auth-token): it must satisfy `rule`."""
    reached = grant.level >= rule.level and rule.allow is None and not rule.denied
    bound = rule.account is None or grant.account == parameters[rule.account]
    if not reached or not bound or not grant.has_scope(*rule.scopes):
        raise AccessDenied("What was granted for this call does not cover all that it asks for.")
    return grant


def _name(scope: Scope) -> str:
    """Names the endpoint, for rate limits: by what was declared, never by what was asked for."""
    path = getattr(scope.get("route"), "path", None)
    endpoint = scope.get("endpoint")
    return f"{scope['method']} {path or getattr(endpoint, '__qualname__', type(endpoint).__name__)}"


def _resource(issuer: str, dev: bool, settings: Mapping[str, Any]) -> Resource:
    clock = settings.get("clock", time.time)
    given = dict(settings)
    if "wire" not in given:
        given["wire"] = AsyncWire.open(dev=dev)
    if "store" not in given:
        given["store"] = MemoryResourceStore(clock)
    if "signing_key" not in given:
        given["signing_key"] = resource_key(issuer)
    return Resource(issuer=issuer, dev=dev, **given)


def resource_key(issuer: str, directory: Path | None = None) -> SigningKey:
    """The key a resource signs with, from this user's files; made at the first call.

    Kept with mode 0600 in `directory`, by default `resources` beside the agent identities (`AAUTH_HOME`). Processes
    that start at once agree on one key. Raises `ConfigurationError` when the file cannot be used.
    """
    parts = urlsplit(issuer)
    name = checked_name(f"{parts.hostname or ''}" + (f".{parts.port}" if parts.port else ""))
    keys = FileKeystore(directory if directory is not None else aauth_home() / "resources")
    path = keys.directory / f"{name}.key.json"
    if not path.exists():
        key = SigningKey.generate(kid=secrets.token_urlsafe(8))
        own = path.with_name(f".{name}.{secrets.token_hex(8)}")
        write_private(own, json.dumps(key.to_private_jwk()) + "\n")
        try:
            os.link(own, path)  # the first one wins, whole
        except FileExistsError:
            pass
        finally:
            own.unlink(missing_ok=True)
    return keys.read(name)
