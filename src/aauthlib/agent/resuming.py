"""Putting a request aside while somebody decides, and going on with it (#deferred-responses).

`put_aside` carries an exchange until it has waited for as long as it may and says what is left of it as a value;
`resumed` goes on from that value, in whatever process: it asks the pending URLs it knows, and where they have nothing
for it any more it asks anew, which a decision that was made meanwhile answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ..discovery import TransportError
from ..effects import Direct, Effect, Flow, Report, Sleep
from ..errors import AAuthError, ConfigurationError
from ..http import Request, Response
from ..tokens import AgentToken
from ..verification import Level
from .chain import agent_credential
from .context import AgentContext, GrantPreferences, OpenRequests
from .loop import Exchange
from .pending import MAX_KEPT_BODY_BYTES, PendingRequest
from .person_server import PersonServerClient
from .waits import ANSWER, Wait
from .withdrawal import withdraw_all

__all__ = ["Answered", "Keep", "begun", "cancelled", "resumed"]

#: Is given the request as soon as it waits, and again whenever what it waits for changes.
Keep = Callable[[PendingRequest], object]

#: The answer, and what it answers.
Answered: TypeAlias = tuple[Response, Request]
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def begun(
    agent: AgentContext,
    request: Request,
    preferences: GrantPreferences,
    open_requests: OpenRequests,
    *,
    wait_s: float,
    keep: Keep | None = None,
) -> Flow[Answered | PendingRequest]:
    """As `loop.exchange`; after `wait_s` seconds of it, a request that waits for somebody is put aside.

    Raises as `exchange` does, and `ConfigurationError` for a request that cannot be kept.
    """
    own = yield from _name(agent)
    if len(request.body) > MAX_KEPT_BODY_BYTES:
        raise ConfigurationError(
            f"The body has {len(request.body)} bytes, and a request is kept with {MAX_KEPT_BODY_BYTES} at most."
        )
    talk = Exchange(agent, request, preferences=preferences, open_requests=open_requests)
    return (yield from _put_aside(talk.run(), talk, agent, own, request, preferences, open_requests, wait_s, keep))


def resumed(
    agent: AgentContext,
    pending: PendingRequest,
    open_requests: OpenRequests,
    *,
    wait_s: float,
    keep: Keep | None = None,
) -> Flow[Answered | PendingRequest]:
    """Go on with `pending`; put it aside again after `wait_s` seconds.

    Raises as `begun` does, and `ConfigurationError` for a request of another agent's.
    """
    own = yield from _owner(agent, pending)
    held = next((wait for wait in pending.waits if wait.gives == ANSWER), None)
    floor = Level.PERSON if held is not None and held.with_person else Level.ANONYMOUS
    talk = Exchange(agent, pending.request, preferences=pending.wishes, open_requests=open_requests, floor=floor)
    flow = _go_on(talk, held, pending)
    since = pending.since
    return (
        yield from _put_aside(
            flow, talk, agent, own, pending.request, pending.wishes, open_requests, wait_s, keep, since=since
        )
    )


def cancelled(agent: AgentContext, pending: PendingRequest) -> Flow[int]:
    """Withdraw `pending` wherever it waits; returns how many servers took it back (#cancel-request)."""
    yield from _owner(agent, pending)
    opened = OpenRequests()
    _reopen(pending, opened)
    return (yield from withdraw_all(agent, opened))


def _owner(agent: AgentContext, pending: PendingRequest) -> Flow[str]:
    own = yield from _name(agent)
    if own != pending.agent:
        raise ConfigurationError(f"This request is {pending.agent}'s, and this agent is {own}.")
    return own


def _reopen(pending: PendingRequest, opened: OpenRequests) -> None:
    for wait in pending.waits:
        opened.opened(wait.location, at_person_server=wait.gives != ANSWER, wait=wait)


def _go_on(talk: Exchange, held: Wait | None, pending: PendingRequest) -> Flow[Response]:
    _reopen(pending, talk.open_requests)
    asked = [wait for wait in pending.waits if wait.gives != ANSWER]
    for wait in asked:
        client = PersonServerClient(talk.agent, preferences=talk.preferences, open_requests=talk.open_requests)
        yield from client.fetch(wait, talk.resource)
    if held is None:
        return (yield from talk.run())
    # Without the auth token that is only had now, the resource cannot have carried anything out.
    return (yield from talk.run(held, again=bool(asked) or pending.method in _SAFE))


def _put_aside(
    flow: Flow[Response],
    talk: Exchange,
    agent: AgentContext,
    own: str,
    request: Request,
    preferences: GrantPreferences,
    open_requests: OpenRequests,
    wait_s: float,
    keep: Keep | None,
    *,
    since: float | None = None,
) -> Flow[Answered | PendingRequest]:
    until = agent.clock() + wait_s
    kept: tuple[object, ...] = ()
    try:
        effect: Effect = next(flow)
        while True:
            if _waits(effect) and open_requests and not talk.is_due:
                waits = open_requests.waits()
                if since is None:
                    since = agent.clock()
                pending = PendingRequest.of(own, request, preferences, waits, since=since)
                if keep is not None and waits != kept:
                    kept = waits
                    keep(pending)
                    open_requests.kept = True
                # Whoever is wanted somewhere is sent there first.
                if agent.clock() >= until and not isinstance(effect, Direct):
                    flow.close()
                    open_requests.take()
                    return pending
            try:
                answer = yield effect
            except AAuthError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as end:
        response: Response = end.value
        return response, request
    except TransportError:
        raise
    except AAuthError:
        # There is nothing to go on with; what is still open is withdrawn.
        open_requests.kept = False
        raise


def _waits(effect: Effect) -> bool:
    """Whether somebody is waited for from here on."""
    return isinstance(effect, Sleep | Direct) or (isinstance(effect, Report) and effect.event == "waiting")


def _name(agent: AgentContext) -> Flow[str]:
    """The agent's identifier. Raises `ConfigurationError` for one that no other process can go on as."""
    if agent.parent is not None or agent.upstream is not None:
        raise ConfigurationError(
            "A sub-agent's key is its process's alone, and a chained call is its caller's: neither can be put aside."
        )
    credential = yield from agent_credential(agent)
    if not isinstance(credential.token, AgentToken):
        raise ConfigurationError("This agent's source gives something that is no agent token.")
    return credential.token.sub
