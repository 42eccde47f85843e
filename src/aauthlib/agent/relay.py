"""A relayed interaction, as the agent follows it beside the resource's own pending URL (#interaction-relay)."""

from __future__ import annotations

from urllib.parse import urljoin

from ..effects import Direct, Flow, Report
from ..errors import AAuthError, Abandoned, Denied
from ..http import Request, Response
from ..messages.headers import parse_retry_after
from ..messages.problems import error_of
from .asking import ACCEPT_JSON
from .chain import ServerDialogue
from .context import AgentContext

__all__ = ["RELAY_WINDOW_S", "Relay"]

#: How long a person server may take to bring a person to a page where the agent could, too.
RELAY_WINDOW_S = 30


class Relay:
    """A relayed interaction: the person server's own `202`, which says only whether it reached the person.

    Whether the interaction is complete is the resource's to say (#interaction-response-poll-authority).
    """

    def __init__(
        self, agent: AgentContext, endpoint: str, first: Response, dialogue: ServerDialogue, direct: Direct
    ) -> None:
        self._agent, self._dialogue, self.direct = agent, dialogue, direct
        self._location = _same_origin(endpoint, first) if first.status == 202 else None
        self._next_at = self._due(first)
        self.failed = False
        """The person server gave up without reaching the person."""
        self.engaged = False
        """The person looks, or went there."""

    def _due(self, response: Response) -> float:
        now = self._agent.clock()
        return now + max(1.0, parse_retry_after(response.headers, now=now, default_s=5.0))

    def poll(self) -> Flow[None]:
        """Ask how the relay is doing, if it is time to."""
        if self._location is None or self._agent.clock() < self._next_at:
            return
        try:
            response = yield from self._dialogue.send(Request("GET", self._location, ACCEPT_JSON))
        except AAuthError:
            self._location = None
            return
        if response.status in (202, 429, 503):
            self._next_at = self._due(response)
            self.engaged = self.engaged or _says_interacting(response)
            return
        self._location = None
        if response.status == 200:
            self.engaged = True
            return
        error = error_of(response)
        # A person who was reached and does not want to go is not sent there by another way.
        self.failed = not isinstance(error, Denied | Abandoned)
        yield Report("relay-ended", {"failed": self.failed, "reason": error.detail or type(error).__name__})

    def close(self) -> Flow[None]:
        """Nobody needs to go there any more: withdraw the relay, where it is open (#cancel-request)."""
        location, self._location = self._location, None
        if location is None:
            return
        try:
            yield from self._dialogue.send(Request("DELETE", location), timeout_s=5.0)
        except AAuthError as error:
            yield Report("withdrawal-failed", {"url": location, "reason": error.detail})

    @property
    def waits(self) -> bool:
        """Whether it is still to be seen if the person server reaches the person."""
        return self._location is not None and not self.engaged


def _says_interacting(response: Response) -> bool:
    try:
        body = response.json() if response.status == 202 else None
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("status") == "interacting"


def _same_origin(endpoint: str, response: Response) -> str | None:
    value = response.headers.get("location")
    location = urljoin(endpoint, value) if value else None
    return location if location and Request("GET", location).origin == Request("GET", endpoint).origin else None
