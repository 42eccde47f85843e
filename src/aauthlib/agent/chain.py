"""The chain of an agent's credentials from the top: the agent token first, then a dialogue signed with it.

Refreshing works downwards (#re-authorization): whoever needs a person or auth token gets a fresh agent token first.
`ServerDialogue` is how an agent speaks to its person server and its provider; resources are `loop`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..effects import Flow, Report, Send, Sleep
from ..http import Request, Response
from .context import AgentContext
from .credentials import Credential, lasts
from .recovery import Recovery
from .sending import Attempt, resource_of, sign_request

__all__ = ["ServerDialogue", "agent_credential", "turn", "wait_for_turn"]

_TURN_S = 0.2


def wait_for_turn(busy: set[str], kind: str, *, limit_s: float) -> Flow[bool]:
    """Wait while another exchange of this agent obtains a `kind`; returns whether there was anything to wait for.

    Ten requests that meet the same challenge at once ask the person once, not ten times.
    """
    waited = 0.0
    while kind in busy and waited < limit_s:
        waited += _TURN_S
        yield Sleep(_TURN_S)
    return waited > 0


@contextmanager
def turn(busy: set[str], kind: str) -> Iterator[None]:
    """Mark that a `kind` is being obtained, until it is there or was given up."""
    busy.add(kind)
    try:
        yield
    finally:
        busy.discard(kind)


def agent_credential(agent: AgentContext) -> Flow[Credential]:
    """The agent token to present, fresh; refreshed at its source when fewer than five minutes remain."""
    held = agent.credentials.own
    if held is not None and held.token is not None and lasts(held.token, agent.now()):
        return held
    yield from wait_for_turn(agent.credentials.busy, "agent-token", limit_s=agent.poll.deadline_s)
    now_held = agent.credentials.own
    if now_held is not None and now_held is not held:
        return now_held
    with turn(agent.credentials.busy, "agent-token"):
        own = yield from agent.source.obtain(clock_offset_s=agent.credentials.clock_offset_s)
    agent.credentials.adopt(own)
    yield Report("agent-token", _described(own))
    return own


def _described(own: Credential) -> dict[str, object]:
    token = own.token
    return {"iss": token.iss, "sub": getattr(token, "sub", None), "exp": token.exp} if token is not None else {}


class ServerDialogue:
    """Requests to a person server, signed under the agent token with the body covered (#keying-material)."""

    def __init__(self, agent: AgentContext, url: str) -> None:
        self._agent = agent
        self._memory = agent.credentials.at(resource_of(Request("GET", url)))
        self._recovery = Recovery(agent, self._memory, trusted=True)

    def send(self, request: Request, *, timeout_s: float = 30.0) -> Flow[Response]:
        """Send one request and return the response, remedies for signature errors applied.

        Raises `RequestRefused` when the server refuses the signature for good, and what the transport raises.
        """
        while True:
            credential = yield from agent_credential(self._agent)
            attempt = Attempt(request, credential)
            signed = sign_request(attempt, self._memory, now=self._agent.clock())
            response: Response = yield Send(signed, timeout_s=timeout_s)
            done = self._recovery.attend(response, attempt)
            if done is None:
                return response
            yield Report("recovered", {"server": resource_of(request), "done": done})
