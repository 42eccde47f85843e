"""Flask: views that say themselves what they ask of their caller.

    aauth = AAuth(app, issuer="https://api.example", scopes={"calendar.read": "See your events."})


    @app.get("/calendar")
    @aauth.requires(authorized("calendar.read"))
    def calendar():
        return {"for": aauth.grant.person}

A view that declares nothing is open to anybody, as in any Flask application, and has no grant. For a policy in one
place, which refuses what it does not name, put `integrations.wsgi_resource.AAuthMiddleware` before `app.wsgi_app`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

from flask import Flask, Response, current_app, request

from ..errors import ConfigurationError
from ..resource import AccessRule, Grant, Resource
from ..web.resource import MAX_HELD_BODY_BYTES
from .crossing import LoopThread
from .endpoints import Front, Refused, admit, resource_from
from .wsgi_resource import SCOPE_KEY, WSGIFront, addresses

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["AAuth"]

_P = ParamSpec("_P")


class AAuth:
    """Makes a Flask application an AAuth resource.

    Either `resource` is given, or what one is made of: `issuer` and the other settings of `Resource`, whose defaults
    are those of `integrations.starlette.AAuth`.

    - `max_body_bytes` bounds a body that is read before it is known who calls: one the signature covers, or one that
      is held.
    - `client_address` says, from the environ, what anonymous callers are counted by.

    Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        resource: Resource | None = None,
        issuer: str | None = None,
        dev: bool = False,
        max_body_bytes: int = MAX_HELD_BODY_BYTES,
        client_address: Callable[[WSGIEnvironment], str] | None = None,
        **settings: Any,
    ) -> None:
        self.resource = resource_from(resource, issuer, dev, settings)
        self._max_body_bytes, self._client_address = max_body_bytes, client_address
        self._loop = LoopThread()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Put this resource in front of `app`."""
        options = {"max_body_bytes": self._max_body_bytes, "client_address": addresses(self._client_address)}
        app.wsgi_app = WSGIFront(  # type: ignore[method-assign]
            app.wsgi_app,
            self.resource,
            lambda inner: Front(inner, self.resource, **options),
            max_body_bytes=self._max_body_bytes,
            loop=self._loop,
        )
        app.register_error_handler(Refused, _answer)

    @property
    def grant(self) -> Grant:
        """What the caller of the current request may do; raises `ConfigurationError` where its view asked nothing."""
        grant = request.environ.get(SCOPE_KEY, {}).get("aauth")
        if not isinstance(grant, Grant):
            raise ConfigurationError("This view asks nothing of its caller: decorate it with aauth.requires(...).")
        return grant

    def requires(self, rule: AccessRule) -> Callable[[Callable[_P, Any]], Callable[_P, Any]]:
        """A decorator of views: only who satisfies `rule` gets in. It stands below `app.route`.

        Raises `ConfigurationError` when the resource was not set up for what the rule asks.
        """
        self.resource.check_rule(rule)

        def decorate(view: Callable[_P, Any]) -> Callable[_P, Any]:
            @functools.wraps(view)
            def checked(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                self.check(rule)
                return current_app.ensure_sync(view)(*args, **kwargs)

            return checked

        return decorate

    def check(self, rule: AccessRule) -> Grant:
        """What the caller of the current request may do, when it satisfies `rule`; also in `grant` from then on.

        Otherwise ends the request with the challenge or the refusal (#aauth-requirement).
        """
        body = request.get_data() if rule.delivery == "202" else b""

        async def read_body() -> bytes:
            return body

        return self._loop.run(
            admit(
                self.resource,
                request.environ.get(SCOPE_KEY, {}),
                rule,
                name=f"{request.method} {request.url_rule or request.endpoint}",
                parameters={name: str(value) for name, value in (request.view_args or {}).items()},
                read_body=read_body,
            )
        )


def _answer(refused: Refused) -> Response:
    found = refused.response
    response = Response(found.body, found.status)
    for name, value in found.headers:
        response.headers.add(name, value) if name != "content-type" else response.headers.set(name, value)
    return response
