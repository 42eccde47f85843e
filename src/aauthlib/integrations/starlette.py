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
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse

from ..agent.interaction import ClarificationHook
from ..chaining import AsyncDownstream, Downstream, Intermediary
from ..errors import ConfigurationError
from ..resource import AccessRule, Grant, Resource
from ..web.asgi import Scope
from .endpoints import Front, Refused, admit, resource_from, resource_key

__all__ = ["AAuth", "resource_key"]

_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Awaitable[Any]])


class _Application(Protocol):
    """What Starlette and FastAPI applications have in common."""

    def add_middleware(self, middleware_class: Any, /, *args: Any, **kwargs: Any) -> None: ...

    def add_exception_handler(self, exc_class_or_status_code: Any, handler: Any, /) -> None: ...


class AAuth:
    """Makes a Starlette application an AAuth resource.

    Either `resource` is given, or what one is made of: `issuer` and the other settings of `Resource`. What is left out
    then has a default for one process: `wire` fetches over the guarded network, `store` is in memory, and
    `signing_key` is kept in a file of this user's (`resource_key`).

    - `intermediary` makes one that calls other resources for its callers (`downstream`).
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
        intermediary: bool = False,
        max_body_bytes: int | None = None,
        client_address: Callable[[Scope], str] | None = None,
        **settings: Any,
    ) -> None:
        self.resource = resource_from(resource, issuer, dev, settings, intermediary=intermediary)
        options = {"max_body_bytes": max_body_bytes, "client_address": client_address}
        self._options = {name: value for name, value in options.items() if value is not None}
        if app is not None:
            self.install(app)

    def install(self, app: _Application) -> None:
        """Put this resource in front of `app`, which has not started yet."""
        app.add_middleware(Front, resource=self.resource, **self._options)
        app.add_exception_handler(Refused, _answer)

    def downstream(
        self, request: StarletteRequest, *, on_clarification: ClarificationHook | None = None
    ) -> AsyncDownstream:
        """A client that calls other resources for the caller of `request`, once it is known who that is.

        As `chaining.Intermediary.downstream`. Raises `ConfigurationError` without an intermediary.
        """
        return self._intermediary.downstream(request, on_clarification=on_clarification)

    def downstream_blocking(
        self, request: StarletteRequest, *, on_clarification: ClarificationHook | None = None
    ) -> Downstream:
        """As `downstream`, for an endpoint that runs in a thread (FastAPI's `def`)."""
        return self._intermediary.downstream_blocking(request, on_clarification=on_clarification)

    @property
    def _intermediary(self) -> Intermediary:
        if not isinstance(self.resource, Intermediary):
            raise ConfigurationError("Only an intermediary calls other resources: AAuth(..., intermediary=True).")
        return self.resource

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
        return await admit(self.resource, scope, rule, name=_name(scope), parameters=parameters, read_body=request.body)


async def _answer(_: StarletteRequest, refused: Exception) -> StarletteResponse:
    assert isinstance(refused, Refused)
    found = refused.response
    response = StarletteResponse(found.body, found.status)
    for name, value in found.headers:
        response.headers.append(name, value)
    return response


def _name(scope: Scope) -> str:
    """Names the endpoint, for rate limits: by what was declared, never by what was asked for."""
    path = getattr(scope.get("route"), "path", None)
    endpoint = scope.get("endpoint")
    return f"{scope['method']} {path or getattr(endpoint, '__qualname__', type(endpoint).__name__)}"
