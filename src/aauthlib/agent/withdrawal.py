"""Withdrawing what is still pending when the application stops waiting (#cancel-request).

Signs with what is held, refreshes nothing and asks nobody: it runs while a program is being interrupted.
"""

from __future__ import annotations

from ..effects import Flow, Report, Send
from ..errors import AAuthError
from ..http import Request
from ..verification import Level
from .context import AgentContext, OpenRequests
from .credentials import ANONYMOUS, Credential, ServerMemory
from .sending import Attempt, resource_of, sign_request

__all__ = ["withdraw_all"]

_TIMEOUT_S = 3.0


def withdraw_all(agent: AgentContext, open_requests: OpenRequests) -> Flow[int]:
    """Send a `DELETE` to every pending URL in `open_requests`; returns how many servers took it."""
    withdrawn = 0
    for location, at_person_server in open_requests.take():
        request = Request("DELETE", location)
        memory = agent.credentials.at(resource_of(request))
        credential = agent.speaker.credentials.own if at_person_server else _held(agent, memory)
        try:
            attempt = Attempt(request, credential or ANONYMOUS)
            response = yield Send(sign_request(attempt, memory, now=agent.clock()), timeout_s=_TIMEOUT_S)
        except AAuthError as error:
            yield Report("withdrawal-failed", {"url": location, "reason": error.detail})
            continue
        withdrawn += response.status < 300
        yield Report("withdrawn", {"url": location, "status": response.status})
    return withdrawn


def _held(agent: AgentContext, memory: ServerMemory) -> Credential | None:
    """The best credential at hand for a resource."""
    own = agent.credentials.own
    if own is None or memory.level < Level.IDENTIFIED:
        return Credential(Level.PSEUDONYM, memory.pseudonym) if memory.pseudonym is not None else own
    token = memory.auth_token or next(reversed(memory.person_tokens.values()), None)
    return own if token is None else Credential(Level.PERSON, own.key, token)
