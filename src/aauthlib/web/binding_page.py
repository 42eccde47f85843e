"""The access server's one page: the person signs in and confirms a person server (#ps-as-trust-establishment).

Plain HTML, no JavaScript. It is the resource role's interaction page (its visits, cookies, forms and headers) with
another desk behind it and other words on it; it decides nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from ..access import AccessServer
from ..access.desk import BindingView, SignIn
from ..effects import Clock
from ..http import Response
from ..messages.metadata import AccessServerMetadata
from ..resource import RateLimiter
from .resource_pages import InteractionPage, Visit, shown_line

__all__ = ["BindingPage"]


class _Desk:
    """An access server's desk, as the page knows desks."""

    def __init__(self, server: AccessServer) -> None:
        self._server = server

    async def view(self, handle: str) -> BindingView:
        return await self._server.view(handle)

    async def check_code(self, handle: str, code: str) -> None:
        await self._server.check_code(handle, code)

    async def arrive(self, handle: str, code: str, user: str) -> object:
        return await self._server.arrive(handle, code, user)

    async def approve(self, handle: str, user: str) -> None:
        await self._server.approve(handle, user)

    async def deny(self, handle: str, user: str) -> None:
        await self._server.deny(handle, user)

    async def callback(self, handle: str, url: str) -> str | None:
        """Nowhere: the person server learns of the decision by polling."""
        return None


@dataclass(frozen=True, slots=True)
class _Host:
    """The access server, as the page knows servers."""

    server: AccessServer
    interactions: Any
    limiter: RateLimiter
    sign_in: SignIn | None
    prefix: str = "/"

    @property
    def issuer(self) -> str:
        return self.server.issuer

    @property
    def clock(self) -> Clock:
        return self.server.clock

    def metadata(self) -> AccessServerMetadata:
        return self.server.metadata()


class BindingPage(InteractionPage):
    """Serves `GET` and `POST` of an access server's interaction URLs."""

    def __init__(
        self,
        server: AccessServer,
        sign_in: SignIn,
        *,
        secret: bytes | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        host = _Host(server, _Desk(server), RateLimiter(clock=server.clock), sign_in)
        super().__init__(host, secret=secret, random_bytes=random_bytes)

    invitation = "An agent wants to act for you here. Compare the code with the one your agent shows you."
    agreed = "Your person server can speak for you here now."
    declined = "Your person server does not speak for you here, and the agent gets no access."

    def _consent(self, view: Any, visit: Visit) -> Response:
        scopes = "".join(f"<li><code>{escape(value)}</code></li>" for value in view.scopes)
        person_server = shown_line(view.person_server.partition("://")[2])
        body = f"""<h1>Does {person_server} speak for you?</h1>
<p>If you confirm, what <strong>{person_server}</strong> says about you at
{shown_line(view.resource.partition("://")[2])} is believed here from now on. Confirm only if you chose this person
server yourself.</p>
<dl><dt>Your account here</dt><dd>{shown_line(visit.username)}</dd>
<dt>The agent that asks now</dt><dd>{shown_line(view.agent)}</dd>
<dt>Run by</dt><dd>{shown_line(view.provider.partition("://")[2])}</dd></dl>
<h2>It asks for</h2><ul>{scopes}</ul>
<form method="post" action="{escape(self._path + view.handle)}">
<input type="hidden" name="csrf" value="{escape(self._mac("csrf", visit.nonce))}">
<button type="submit" name="action" value="approve">Confirm</button>
<button type="submit" name="action" value="deny" class="no">Decline</button>
</form>"""
        return self._page("Confirm your person server", body, 200, (), visit.callback)
