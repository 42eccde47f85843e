"""A request that waits for somebody, as a value to keep: to go on with hours later, in another process.

It holds what was asked and where the answer is to be had, and no token and no key: whoever finds it can do nothing with
it but see what was asked. Reading and writing it is all that happens here (#deferred-responses, #pending-url-security).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec

from ..base64url import b64url_decode, b64url_encode
from ..errors import ConfigurationError
from ..http import Fields, Request
from .context import GrantPreferences
from .waits import Wait

__all__ = ["MAX_KEPT_BODY_BYTES", "PendingRequest"]

#: The largest body that a request can be kept with. What is larger is a file's business, not a note's.
MAX_KEPT_BODY_BYTES = 32_768


class PendingRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request of the application's that waits. `agent.resume` takes it."""

    agent: str
    """Whose request it is; nobody else can go on with it."""
    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    """base64url."""
    preferences: dict[str, str] = {}
    waits: tuple[Wait, ...]
    """Where it is waited: at the resource, at the person server, or both."""
    since: float
    """When it began to wait, Unix seconds."""

    def to_json(self) -> str:
        """A JSON document, of some hundred characters and the request's body."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> PendingRequest:
        """Read what `to_json` made. Raises `ConfigurationError` for anything else."""
        try:
            pending = msgspec.json.decode(text, type=cls)
            b64url_decode(pending.body)
            GrantPreferences(**pending.preferences)
        except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError("This is no pending request that was kept, or it was changed since.") from error
        return pending

    @classmethod
    def of(
        cls, agent: str, request: Request, preferences: GrantPreferences, waits: tuple[Wait, ...], *, since: float
    ) -> PendingRequest:
        """A request as it was made, and where it waits."""
        said: dict[str, Any] = asdict(preferences)
        return cls(
            agent=agent,
            method=request.method,
            url=request.url,
            headers=tuple(request.headers),
            body=b64url_encode(request.body),
            preferences={name: value for name, value in said.items() if value is not None},
            waits=waits,
            since=since,
        )

    @property
    def request(self) -> Request:
        """The request as the application made it."""
        return Request(self.method, self.url, Fields(self.headers), b64url_decode(self.body))

    @property
    def wishes(self) -> GrantPreferences:
        """What goes with it to the person server."""
        return GrantPreferences(**self.preferences)

    @property
    def mission_s256(self) -> str | None:
        """The mission it is made in."""
        return self.preferences.get("mission_s256")
