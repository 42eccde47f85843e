"""Where the browser goes after an interaction (#user-interaction, #interaction-callback-errors).

Only to a URL that the agent's provider vouches for: anything else would make this server's consent page a way to send
people elsewhere.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from ..errors import InvalidIdentifier
from ..identifiers import callback_url
from ..messages.metadata import AgentProviderMetadata
from .machine import Event, State

__all__ = ["CALLBACK_ERRORS", "EVENTS_OF_CALLBACK_ERRORS", "permitted_callback", "with_parameters"]

#: The `error` a callback carries when a request ended in this state.
CALLBACK_ERRORS: dict[State, str] = {
    State.DENIED: "access_denied",
    State.ABANDONED: "user_abandoned",
    State.EXPIRED: "interaction_expired",
    State.INVALID_CODE: "interaction_expired",
    State.REVOKED: "server_error",
    State.FAILED: "server_error",
}

#: How an `error` at our own callback, from a resource's interaction, ends the request; any other is `FAIL`.
EVENTS_OF_CALLBACK_ERRORS: dict[str, Event] = {
    "access_denied": Event.DENY,
    "user_abandoned": Event.ABANDON,
    "interaction_expired": Event.EXPIRE,
}


def permitted_callback(value: str, provider: AgentProviderMetadata | None, *, dev: bool = False) -> str | None:
    """`value` if the agent's provider permits it as a callback, else `None`: the person then ends on our own page.

    It must be the provider's `callback_endpoint`, or one below it or with a query, or a loopback URL where the provider
    sets `localhost_callback_allowed`.
    """
    if provider is None:
        return None
    try:
        callback_url(value, dev=dev, localhost_allowed=provider.localhost_callback_allowed)
    except InvalidIdentifier:
        return None
    if provider.localhost_callback_allowed and _is_loopback(value):
        return value
    endpoint = provider.callback_endpoint
    if endpoint is None:
        return None
    below = endpoint if endpoint.endswith("/") else endpoint + "/"
    # The character after the endpoint decides: a longer host name or path segment is another place.
    return value if value == endpoint or value.startswith((endpoint + "?", below)) else None


def _is_loopback(value: str) -> bool:
    return re.match(r"http://(?:localhost|127\.0\.0\.1)(?::[0-9]+)?(?:[/?]|$)", value) is not None


def with_parameters(url: str, **parameters: str) -> str:
    """`url` with parameters added to its query."""
    return url + ("&" if "?" in url else "?") + urlencode(parameters)
