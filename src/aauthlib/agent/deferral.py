"""Following a `202` to its end, at a person server or at a resource (#deferred-responses).

The polling itself is `deferred.polling.follow`. Around it stands what an agent owes its person and its servers: each
request of the poll goes through the dialogue that signs it, a person is sent only where the rules allow, a lost
connection is no lost decision, a server that answers at once is not asked at once again, and whatever ends the wait
early withdraws the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..deferred.polling import UnsupportedRequirement, follow
from ..discovery import TransportError
from ..effects import Direct, Flow, Report, Send, Sleep
from ..errors import AAuthError, InvalidIdentifier
from ..http import Request, Response
from ..identifiers import endpoint_url
from ..messages.codes import is_interaction_code
from ..messages.requirement import AUTH_TOKEN, Requirement, RequirementMalformed
from .context import AgentContext, OpenRequests
from .errors import ChallengeInvalid

__all__ = ["check_interaction", "follow_through", "refuse_direct"]

_SHORTEST_ROUND_S = 1.0
_MAX_LOST_POLLS = 3
_LOST_POLL_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0


class Deliver(Protocol):
    """Signs and sends one request of the poll."""

    def __call__(self, request: Request, *, timeout_s: float) -> Flow[Response]: ...


def check_interaction(direct: Direct, *, dev: bool) -> None:
    """An interaction a person may be sent to: `https`, no query, no fragment, a code that cannot break out of a URL.

    Raises `ChallengeInvalid` (#interaction-required, #interaction-code-format).
    """
    try:
        endpoint_url(direct.url, dev=dev, what="The interaction URL")
    except InvalidIdentifier as error:
        raise ChallengeInvalid(
            f"{direct.server} wants the person sent to a URL that no person may be sent to: {error.detail}"
        ) from error
    if not is_interaction_code(direct.code):
        raise ChallengeInvalid(f"{direct.server} gave an interaction code with characters no code has.")


def refuse_direct(agent: AgentContext, direct: Direct) -> None:
    """Raise when this agent was not set up to send its person anywhere."""
    if "interaction" not in agent.speaker.capabilities:
        raise UnsupportedRequirement(
            f"{direct.server} needs the person at a web page, and this agent was not set up to send them there. "
            "Give it an on_interaction hook, or a person server that can reach the person."
        )


def follow_through(
    first: Response,
    *,
    url: str,
    agent: AgentContext,
    deliver: Deliver,
    direct: Callable[[Direct], Flow[None]],
    digest: Callable[[Response], Flow[Response]] | None,
    open_requests: OpenRequests,
    at_person_server: bool,
    since: float | None = None,
) -> Flow[Response]:
    """Follow `first`, a `202` to a request to `url`, and return the response that ends the wait.

    `deliver` signs and sends; `direct` gets the person to a URL; `digest` meets a requirement of the server's own in a
    `202` and returns the response without it. `since` is when the wait for this decision began, Unix seconds. Raises
    what they raise, `UnsupportedRequirement`, `NotInTime` at the deadline, `ChallengeInvalid` for a `202` that breaks
    the protocol.
    """
    location: list[str] = []

    def opened(url: str) -> None:
        location.append(url)
        open_requests.opened(url, at_person_server=at_person_server)

    flow = follow(
        _without_requirement(first) if digest is not None and _wants_token(first) else first,
        url=url,
        sign=lambda request: request,
        clock=agent.clock,
        policy=agent.poll,
        on_open=opened,
        on_close=open_requests.closed,
        since=since,
    )
    ends = (agent.clock() if since is None else since) + agent.poll.deadline_s
    try:
        effect = next(flow)
        if digest is not None:
            yield from digest(first)
        while True:
            answer: object = None
            match effect:
                case Send():
                    answer = yield from _round(effect, agent, deliver, digest, ends)
                case Direct():
                    check_interaction(effect, dev=agent.dev)
                    yield from direct(effect)
                case _:
                    answer = yield effect
            effect = flow.send(answer)
    except StopIteration as end:
        result: Response = end.value
        return result
    except AAuthError:
        yield from _withdraw(location, deliver, open_requests)
        raise


def _round(
    effect: Send,
    agent: AgentContext,
    deliver: Deliver,
    digest: Callable[[Response], Flow[Response]] | None,
    ends: float,
) -> Flow[Response]:
    """One request of the poll, with the pause that keeps a server which never waits from being hammered.

    A poll that is lost is sent again. Somebody who sits before the agent is soon told that a server is down; an agent
    alone has until `ends`, since whoever decides for it may take hours, and servers are restarted meanwhile.
    """
    began = agent.clock()
    lost = 0
    response: Response | None = None
    while response is None:
        try:
            response = yield from deliver(effect.request, timeout_s=effect.timeout_s)
        except TransportError:
            lost += 1
            alone = "interaction" not in agent.speaker.capabilities
            pause = min(_LOST_POLL_PAUSE_S * 2 ** (lost - _MAX_LOST_POLLS), _LONGEST_PAUSE_S) if alone else 0.0
            pause = max(pause, _LOST_POLL_PAUSE_S)
            given_up = agent.clock() + pause > ends if alone else lost > _MAX_LOST_POLLS
            if effect.request.method != "GET" or given_up:
                raise
            yield Sleep(pause)
    if response.status == 202:
        if digest is not None:
            response = yield from digest(response)
        elapsed = agent.clock() - began
        if 0 <= elapsed < _SHORTEST_ROUND_S:
            yield Sleep(_SHORTEST_ROUND_S - elapsed)
    return response


def _withdraw(location: list[str], deliver: Deliver, open_requests: OpenRequests) -> Flow[None]:
    """Cancel what is still open at the server (#cancel-request); the error that ended the wait is the one to tell."""
    for url in location:
        if url not in open_requests:
            continue
        open_requests.closed(url)
        try:
            yield from deliver(Request("DELETE", url), timeout_s=5.0)
        except AAuthError as error:
            yield Report("withdrawal-failed", {"url": url, "reason": error.detail})


def _wants_token(response: Response) -> bool:
    header = response.headers.get("aauth-requirement")
    try:
        return header is not None and Requirement.parse(header).value == AUTH_TOKEN
    except RequirementMalformed:
        return False


def _without_requirement(response: Response) -> Response:
    return Response(response.status, response.headers.with_(aauth_requirement=None), response.body)
