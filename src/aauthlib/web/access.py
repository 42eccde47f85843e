"""The access server over ASGI: its protocol endpoints, and the pages of its people.

#access-server-metadata, #as-token-endpoint, #deferred-responses, #ps-as-trust-establishment. Only translates.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from ..access import AccessServer, Policy
from ..access.core import AUTH_TOKEN_PATH, JWKS_PATH, REVOCATION_PATH
from ..access.desk import SignIn
from ..access.notices import teller_of
from ..access.people import People
from ..accounts import Accounts
from ..accounts.passwords import Passwords
from ..effects import Clock
from ..errors import ConfigurationError
from ..http import Fields, Request, Response
from ..identifiers import server_identifier
from ..messages.metadata import dump_metadata
from ..notifying import NOTIFY_EVERY_S, Channel, Notifier
from ..store.access import SQLAccessStore
from ..store.access_people import SQLAccessPeople
from ..store.database import Database
from ..store.keyring import KEY_SET_MAX_AGE_S
from ..store.notifications import SQLNotificationStore
from ..store.replays import replay_cache_of_server
from ..tokens import ACCESS_DWK
from ..transport import AsyncWire
from ..transport.telling import telling
from .access_pages import access_page_routes
from .account_pages.site import new_setup_code
from .asgi import ASGIApp, Receive, Scope, Send, endpoint
from .binding_page import BindingPage

__all__ = ["AccessApp", "access_routes", "build_access_app"]


def access_routes(server: AccessServer, *, page: BindingPage | None = None) -> list[BaseRoute]:
    """Routes of `server`, to be served at the root of its issuer; all but the documents are under its `base`."""

    async def metadata(request: Request) -> Response:
        return _document(dump_metadata(server.metadata()))

    async def jwks(request: Request) -> Response:
        await server.refresh_keys()
        return _document(server.jwks().to_document())

    issuer, base = server.issuer, server.root.removeprefix(server.issuer)
    apps = {
        f"/.well-known/{ACCESS_DWK}": endpoint(issuer, GET=metadata),
        JWKS_PATH: endpoint(issuer, GET=jwks),
        base + AUTH_TOKEN_PATH: endpoint(issuer, POST=server.auth_token),
        base + REVOCATION_PATH: endpoint(issuer, POST=server.revoke),
        base + "/pending/{pending_id}": endpoint(issuer, GET=server.poll, DELETE=server.cancel, POST=server.answer),
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
        "cache-control": f"public, max-age={KEY_SET_MAX_AGE_S}",
        "access-control-allow-origin": "*",
    }
    return Response(200, Fields(headers), msgspec.json.encode(document))


@dataclass(frozen=True, slots=True)
class AccessApp:
    """The app, what it is made of, and what whoever started it must know."""

    server: AccessServer
    accounts: Accounts | None
    people: People | None
    notifier: Notifier | None
    setup_code: str | None = field(repr=False)
    """What whoever makes the first account, an administrator's, must type."""
    invitation: str | None = field(repr=False)
    """The secret of an invitation for an administrator, where there are accounts and none of them is one."""
    database: Database = field(repr=False)
    wire: AsyncWire = field(repr=False)
    _asgi: ASGIApp = field(repr=False)
    _closing: AsyncExitStack = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    async def aclose(self) -> None:
        """Close the database and the connections; the end of the app's lifespan does it too."""
        await self._closing.aclose()


async def build_access_app(
    database_url: str,
    issuer: str,
    policy: Policy,
    *,
    dev: bool = False,
    clock: Clock = time.time,
    wire: AsyncWire | None = None,
    accounts: bool = False,
    passwords: Passwords | None = None,
    setup_code_required: bool | None = None,
    sign_in: SignIn | None = None,
    channels: Iterable[Channel] = (),
    page_secret: bytes | None = None,
    replay_url: str | None = None,
    **settings: Any,
) -> AccessApp:
    """Open the access server `issuer` on `database_url`.

    `dev` is the development profile. With `accounts` people sign in at this server, with pages for approvals, for
    confirming person servers, and for who belongs; `channels` are what approvers can be told by beside their
    browsers, while the app's lifespan lasts. `setup_code_required` asks whoever makes the first account for the
    code this process prints; by default everywhere but in the development profile.

    An application that has accounts of its own gives `sign_in` instead, and has one page, for confirming; `page_secret`
    signs its cookies; give the same one to every process. Without either no policy can demand an interaction.

    `replay_url` is where received requests are remembered (`store.replays.open_replay_cache`), by default
    `database_url`. `settings` go to `AccessServer.open`. Raises `InvalidIdentifier` or `ConfigurationError`.
    """
    server_identifier(issuer, dev=dev)
    if accounts and sign_in is not None:
        raise ConfigurationError("People sign in with accounts of this server or with sign_in, not with both.")
    async with AsyncExitStack() as opening:
        database = await Database.open(database_url)
        opening.push_async_callback(database.close)
        replay = await replay_cache_of_server(replay_url, database, opening, given=settings.pop("replay", None))
        carrier = wire if wire is not None else AsyncWire.open(dev=dev, clock=clock)
        server = await AccessServer.open(
            issuer=issuer,
            store=SQLAccessStore(database),
            wire=carrier,
            policy=policy,
            clock=clock,
            dev=dev,
            interactive=accounts or sign_in is not None,
            replay=replay,
            **settings,
        )
        own = Accounts(SQLAccessPeople(database), issuer=issuer, clock=clock, passwords=passwords) if accounts else None
        people = invitation = setup_code = notifier = None
        if own is not None:
            people = People(SQLAccessPeople(database), accounts=own, server=server, clock=clock)
            notifier = Notifier(
                SQLNotificationStore(database),
                [teller_of(server, people)],
                issuer=issuer,
                wire=carrier,
                dev=dev,
                channels=channels,
                clock=clock,
            )
            invitation = await people.start()
            required = (not dev) if setup_code_required is None else setup_code_required
            setup_code = await new_setup_code(own, required=required, random_below=secrets.randbelow)
        opening.push_async_callback(carrier.aclose)
        opening.push_async_callback(server.aclose)
        closing = opening.pop_all()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as loops:
            await loops.enter_async_context(telling(server.tell_again))
            await loops.enter_async_context(telling(server.settle_approvals))
            if notifier is not None:
                await loops.enter_async_context(telling(notifier.send_due, every_s=NOTIFY_EVERY_S))
            yield
        await closing.aclose()

    page = BindingPage(server, sign_in, secret=page_secret) if sign_in is not None else None
    pages = (
        access_page_routes(server, own, people, clock=clock, dev=dev, setup_code=setup_code, notifier=notifier)
        if own is not None and people is not None
        else []
    )
    asgi = Starlette(routes=[*access_routes(server, page=page), *pages], lifespan=lifespan)
    # Redirects to add or drop a slash would be built from the Host header.
    asgi.router.redirect_slashes = False
    return AccessApp(server, own, people, notifier, setup_code, invitation, database, carrier, asgi, closing)
