"""The access server over ASGI: its protocol endpoints, and the page where a person binds a person server.

#access-server-metadata, #as-token-endpoint, #deferred-responses, #ps-as-trust-establishment. Only translates.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from ..access import AccessServer, Policy
from ..access.core import AUTH_TOKEN_PATH, JWKS_PATH, REVOCATION_PATH
from ..access.desk import SignIn
from ..effects import Clock
from ..http import Fields, Request, Response
from ..identifiers import server_identifier
from ..messages.metadata import dump_metadata
from ..store.access import SQLAccessStore
from ..store.database import Database
from ..store.replay import SQLReplayCache
from ..tokens import ACCESS_DWK
from ..transport import AsyncWire
from ..transport.telling import telling
from .access_pages import BindingPage
from .asgi import ASGIApp, Receive, Scope, Send, endpoint

__all__ = ["AccessApp", "access_routes", "build_access_app"]

#: Seconds a cache may keep the documents.
_DOCUMENT_MAX_AGE_S = 300


def access_routes(server: AccessServer, *, page: BindingPage | None = None) -> list[BaseRoute]:
    """Routes of `server`, to be served at the root of its issuer."""

    async def metadata(request: Request) -> Response:
        return _document(dump_metadata(server.metadata()))

    async def jwks(request: Request) -> Response:
        return _document(server.jwks().to_document())

    issuer = server.issuer
    apps = {
        f"/.well-known/{ACCESS_DWK}": endpoint(issuer, GET=metadata),
        JWKS_PATH: endpoint(issuer, GET=jwks),
        AUTH_TOKEN_PATH: endpoint(issuer, POST=server.auth_token),
        REVOCATION_PATH: endpoint(issuer, POST=server.revoke),
        "/pending/{pending_id}": endpoint(issuer, GET=server.poll, DELETE=server.cancel, POST=server.answer),
    }
    routes: list[BaseRoute] = [Route(path, _Whole(app)) for path, app in apps.items()]
    if page is not None:
        routes.append(Route("/interaction/{handle}", _PageApp(issuer, page)))
    return routes


class _Whole:
    """An app that gets every method: a router that chose by method would answer `405` in a form of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _PageApp:
    """The page, told the address a form comes from so that attempts are counted by it."""

    def __init__(self, issuer: str, page: BindingPage) -> None:
        self._issuer, self._page = issuer, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")

        async def post(request: Request, handle: str) -> Response:
            return await self._page.post(request, handle, client=client[0] if client else "")

        await endpoint(self._issuer, max_body_bytes=65_536, GET=self._page.get, POST=post)(scope, receive, send)


def _document(document: Mapping[str, object]) -> Response:
    headers = {
        "content-type": "application/json",
        "cache-control": f"public, max-age={_DOCUMENT_MAX_AGE_S}",
        "access-control-allow-origin": "*",
    }
    return Response(200, Fields(headers), msgspec.json.encode(document))


@dataclass(frozen=True, slots=True)
class AccessApp:
    """The app, and what it is made of."""

    server: AccessServer
    database: Database = field(repr=False)
    wire: AsyncWire = field(repr=False)
    _asgi: ASGIApp = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    async def aclose(self) -> None:
        """Close the database and the connections; the end of the app's lifespan does it too."""
        await self.server.aclose()
        await self.wire.aclose()
        await self.database.close()


async def build_access_app(
    database_url: str,
    issuer: str,
    policy: Policy,
    *,
    dev: bool = False,
    clock: Clock = time.time,
    wire: AsyncWire | None = None,
    sign_in: SignIn | None = None,
    page_secret: bytes | None = None,
    **settings: Any,
) -> AccessApp:
    """Open the access server `issuer` on `database_url`.

    `dev` is the development profile. `sign_in` is how people sign in on its page; without it no policy can demand an
    interaction. `page_secret` signs the page's cookies; give the same one to every process. `settings` go to
    `AccessServer.open`. Raises `InvalidIdentifier`.
    """
    server_identifier(issuer, dev=dev)
    database = await Database.open(database_url)
    carrier = wire if wire is not None else AsyncWire.open(dev=dev, clock=clock)
    try:
        server = await AccessServer.open(
            issuer=issuer,
            store=SQLAccessStore(database),
            wire=carrier,
            policy=policy,
            clock=clock,
            dev=dev,
            interactive=sign_in is not None,
            **{"replay": SQLReplayCache(database), **settings},
        )
    except BaseException:
        await database.close()
        raise

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with telling(server.tell_again):
            yield
        await server.aclose()
        await carrier.aclose()
        await database.close()

    page = BindingPage(server, sign_in, secret=page_secret) if sign_in is not None else None
    asgi = Starlette(routes=access_routes(server, page=page), lifespan=lifespan)
    # Redirects to add or drop a slash would be built from the Host header.
    asgi.router.redirect_slashes = False
    return AccessApp(server, database, carrier, asgi)
