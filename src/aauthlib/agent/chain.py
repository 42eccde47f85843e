"""The chain of an agent's credentials from the top: the agent token first, then a dialogue signed with it.

Refreshing works downwards (#re-authorization): whoever needs a person or auth token gets a fresh agent token first.
`ServerDialogue` is how an agent speaks to its person server and its provider; resources are `loop`'s.
"""

from __future__ import annotations

from ..effects import Flow, Report, Send
from ..http import Request, Response
from .context import AgentContext
from .credentials import Credential, lasts
from .negotiation import learn
from .recovery import Recovery
from .sending import Attempt, resource_of, sign_request

__all__ = ["ServerDialogue", "agent_credential"]

_LAST_SECONDS = 10.0


def agent_credential(agent: AgentContext) -> Flow[Credential]:
    """The agent token to present, fresh; refreshed at its source when fewer than five minutes remain."""
    held = agent.credentials.own
    if held is not None and held.token is not None and lasts(held.token, agent.now()):
        return held
    with (yield from agent.credentials.turns.take("agent-token", limit_s=agent.poll.deadline_s)):
        own = agent.credentials.own
        if own is None or own is held:
            own = yield from agent.source.obtain(clock_offset_s=agent.credentials.clock_offset_s)
            agent.credentials.adopt(own)
            yield Report("agent-token", _described(own))
    return own


def _described(own: Credential) -> dict[str, object]:
    token = own.token
    return {"iss": token.iss, "sub": getattr(token, "sub", None), "exp": token.exp} if token is not None else {}


class ServerDialogue:
    """Requests to a person server, signed under the agent token with the body covered (#keying-material).

    A dialogue stays with the key it began with as long as its agent token lives: what the server issues at its end is
    bound to that key.
    """

    def __init__(self, agent: AgentContext, url: str) -> None:
        self._agent = agent
        self._memory = agent.credentials.at(resource_of(Request("GET", url)))
        self._recovery = Recovery(agent, self._memory, trusted=True)
        self._own: Credential | None = None

    def send(self, request: Request, *, timeout_s: float = 30.0) -> Flow[Response]:
        """Send one request and return the response, remedies for signature errors applied.

        Raises `RequestRefused` when the server refuses the signature for good, and what the transport raises.
        """
        while True:
            own = self._own
            if own is None or own.token is None or own.token.exp <= self._agent.now() + _LAST_SECONDS:
                own = self._own = yield from agent_credential(self._agent)
            attempt = Attempt(request, own, cid=self._memory.cid_for(own))
            signed = sign_request(attempt, self._memory, now=self._agent.clock())
            response: Response = yield Send(signed, timeout_s=timeout_s)
            learn(response, own, self._memory)
            done = self._recovery.attend(response, attempt)
            if done is None:
                return response
            self._own = None
            yield Report("recovered", {"server": resource_of(request), "done": done})
