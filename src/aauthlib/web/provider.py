"""The agent provider over ASGI: two documents, three ceremonies, and two small pages for people.

Routes by exact path and decides nothing (#agent-provider-metadata, #interaction-callback-errors). The pages show no
number, name or key of any install, and nothing that a request carries.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ..effects import Clock
from ..errors import NotFound
from ..http import Fields, Request, Response
from ..identifiers import server_identifier
from ..messages.metadata import dump_metadata
from ..provider import AgentProvider
from ..provider.provider import ENROLLMENT_PATH, JWKS_PATH, REFRESH_PATH, SUBAGENT_PATH
from ..store.database import Database
from ..store.keyring import KEY_SET_MAX_AGE_S
from ..store.provider import SQLProviderStore
from ..store.replays import replay_cache_of_server
from ..tokens import AGENT_DWK
from ..transport import AsyncWire
from ..transport.telling import telling
from .asgi import ASGIApp, Receive, Scope, Send, endpoint

__all__ = ["ProviderApp", "build_provider_app", "open_provider_app"]

#: Seconds a cache may keep the documents; shorter than a new key is published before it signs.

_STYLE = (
    "body{font:1.1rem/1.6 system-ui,sans-serif;max-width:38rem;margin:12vh auto;padding:0 1.5rem;color:#1b1b1f;"
    "background:#fff}h1{font-size:1.6rem;line-height:1.3}a{color:#0b57d0}code{overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#e6e6ea;background:#15161a}a{color:#9bc1ff}}"
)
_PAGE_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'sha256-"
        + b64encode(hashlib.sha256(_STYLE.encode("ascii")).digest()).decode("ascii")
        + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
)

#: #interaction-callback-errors: what the person is told. What else the address says is not shown.
_CALLBACK_TEXT: Mapping[str | None, tuple[str, str]] = {
    None: ("Done", "You can close this page and return to your agent. It goes on by itself."),
    "access_denied": ("Not approved", "Nothing was approved. You can close this page and return to your agent."),
}
_CALLBACK_OTHER = (
    "It did not work",
    "The request was not completed. You can close this page and return to your agent, which can ask again.",
)


@dataclass(frozen=True, slots=True)
class ProviderApp:
    """The app, and what it is made of."""

    provider: AgentProvider
    database: Database = field(repr=False)
    wire: AsyncWire = field(repr=False)
    _asgi: ASGIApp = field(repr=False)
    _closing: AsyncExitStack = field(repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)

    async def aclose(self) -> None:
        """Close the database and the connections; the end of the app's lifespan does it too."""
        await self._closing.aclose()


async def open_provider_app(
    database_url: str,
    issuer: str,
    *,
    dev: bool = False,
    clock: Clock = time.time,
    wire: AsyncWire | None = None,
    replay_url: str | None = None,
    **settings: Any,
) -> ProviderApp:
    """Open the agent provider `issuer` on `database_url`, in the event loop that serves it.

    `dev` is the development profile. `replay_url` is where received requests are remembered
    (`store.replays.open_replay_cache`), by default `database_url`. `settings` go to `AgentProvider`. Raises
    `InvalidIdentifier` or `ConfigurationError`.
    """
    server_identifier(issuer, dev=dev)
    async with AsyncExitStack() as opening:
        database = await Database.open(database_url)
        opening.push_async_callback(database.close)
        replay = await replay_cache_of_server(replay_url, database, opening, given=settings.pop("replay", None))
        carrier = wire if wire is not None else AsyncWire.open(dev=dev, clock=clock)
        provider = AgentProvider(
            issuer, store=SQLProviderStore(database), wire=carrier, clock=clock, dev=dev, replay=replay, **settings
        )
        opening.push_async_callback(carrier.aclose)
        closing = opening.pop_all()
    asgi = build_provider_app(provider, on_shutdown=closing.aclose)
    return ProviderApp(provider, database, carrier, asgi, closing)


async def _nothing() -> None:
    return


def build_provider_app(provider: AgentProvider, *, on_shutdown: Callable[[], Awaitable[None]] = _nothing) -> ASGIApp:
    """The ASGI app of `provider`, to be served at the root of its issuer.

    `on_shutdown` is awaited when its lifespan ends. See `open_provider_app` for a provider with all it needs.
    """

    async def metadata(request: Request) -> Response:
        return _document(dump_metadata(provider.metadata()))

    async def jwks(request: Request) -> Response:
        return _document((await provider.jwks()).to_document())

    async def index(request: Request) -> Response:
        return _index(provider)

    async def callback(request: Request) -> Response:
        return _callback(request)

    issuer = provider.issuer
    return _Paths(
        {
            "/": endpoint(issuer, GET=index),
            f"/.well-known/{AGENT_DWK}": endpoint(issuer, GET=metadata),
            JWKS_PATH: endpoint(issuer, GET=jwks),
            ENROLLMENT_PATH: endpoint(issuer, POST=provider.enroll),
            REFRESH_PATH: endpoint(issuer, POST=provider.refresh),
            SUBAGENT_PATH: endpoint(issuer, POST=provider.subagent),
            "/callback": endpoint(issuer, GET=callback),
        },
        otherwise=endpoint(issuer, GET=_not_found, POST=_not_found),
        meanwhile=telling(provider.tell_again),
        on_shutdown=on_shutdown,
    )


class _Paths:
    """One app for each exact path."""

    def __init__(
        self,
        apps: Mapping[str, ASGIApp],
        *,
        otherwise: ASGIApp,
        meanwhile: AbstractAsyncContextManager[None],
        on_shutdown: Callable[[], Awaitable[None]],
    ) -> None:
        self._apps, self._otherwise = apps, otherwise
        self._meanwhile, self._on_shutdown = meanwhile, on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send, self._meanwhile, self._on_shutdown)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await self._apps.get(scope["path"], self._otherwise)(scope, receive, send)


async def _lifespan(
    receive: Receive,
    send: Send,
    meanwhile: AbstractAsyncContextManager[None],
    on_shutdown: Callable[[], Awaitable[None]],
) -> None:
    """From startup to shutdown, `meanwhile` is open."""
    message = await receive()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(on_shutdown)
        if message["type"] == "lifespan.startup":
            await stack.enter_async_context(meanwhile)
            await send({"type": "lifespan.startup.complete"})
            await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _not_found(request: Request) -> Response:
    raise NotFound("There is nothing at this address of the agent provider.")


def _document(document: Mapping[str, object]) -> Response:
    """A public JSON document, for programs in browsers too."""
    headers = {
        "content-type": "application/json",
        "cache-control": f"public, max-age={KEY_SET_MAX_AGE_S}",
        "access-control-allow-origin": "*",
    }
    return Response(200, Fields(headers), msgspec.json.encode(document))


def _page(title: str, body: str) -> Response:
    """A page; `title` is text, `body` is HTML."""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Response(200, Fields(_PAGE_HEADERS), html.encode("utf-8"))


def _index(provider: AgentProvider) -> Response:
    metadata = provider.metadata()
    return _page(
        metadata.name or "Agent provider",
        f"<p>This is <code>{escape(provider.issuer)}</code>, an AAuth agent provider. It gives software agents an "
        "identity of their own, which they prove with a signature on every request.</p>"
        "<p>There is nothing to sign in to here: agents enrol by themselves, and what an agent may do is decided "
        "at your person server.</p>"
        f'<p><a href="/.well-known/{AGENT_DWK}">Its metadata</a>, for programs.</p>',
    )


def _callback(request: Request) -> Response:
    try:
        errors = parse_qs(request.query or "", keep_blank_values=True, max_num_fields=20).get("error")
        title, text = _CALLBACK_TEXT[errors[0] if errors else None]
    except (ValueError, KeyError):  # an address that no server made, or a code that needs no words of its own
        title, text = _CALLBACK_OTHER
    return _page(title, f"<p>{escape(text)}</p>")
