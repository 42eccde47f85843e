"""Following a `202` to its end, at a person server or at a resource (#deferred-responses).

The polling itself is `deferred.polling.follow`. Around it stands what an agent owes its person and its servers: each
request of the poll goes through the dialogue that signs it, a person is sent only where the rules allow, a lost
connection is no lost decision, a server that answers at once is not asked at once again, and whatever ends the wait
early withdraws the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ..deferred.polling import UnsupportedRequirement, follow
from ..discovery import TransportError
from ..effects import Direct, Flow, Report, Send, Sleep
from ..errors import AAuthError, InvalidIdentifier
from ..http import Fields, Request, Response
from ..identifiers import endpoint_url
from ..messages.codes import is_interaction_code
from ..messages.requirement import AUTH_TOKEN, INTERACTION, Requirement, RequirementMalformed
from .context import AgentContext, OpenRequests
from .errors import ChallengeInvalid
from .waits import Wait

__all__ = ["check_interaction", "follow_through", "look_again", "refuse_direct"]

_SHORTEST_ROUND_S = 1.0
_MAX_LOST_POLLS = 3
_LOST_POLL_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
_LOOK_S = 15.0


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
    wait: Wait,
    since: float | None = None,
) -> Flow[Response]:
    """Follow `first`, a `202` to a request to `url`, and return the response that ends the wait.

    `deliver` signs and sends; `direct` gets the person to a URL; `digest` meets a requirement of the server's own in a
    `202` and returns the response without it. `wait` says what is waited for, but not yet where. `since` is when the
    wait for this decision began, Unix seconds. Raises what they raise, `UnsupportedRequirement`, `NotInTime` at the
    deadline, `ChallengeInvalid` for a `202` that breaks the protocol.
    """
    location: list[str] = []

    def opened(url: str) -> None:
        location.append(url)
        opened = msgspec.structs.replace(wait, location=url)
        open_requests.opened(url, at_person_server=at_person_server, wait=opened)

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
                    open_requests.directed(location[0], effect.url, effect.code)
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


def look_again(agent: AgentContext, deliver: Deliver, wait: Wait, *, ends: float) -> Flow[Response]:
    """The first poll of a pending URL of before, as if it had just been opened.

    A `202` says again where the person is wanted, for as long as nobody has arrived there. `ends` is Unix seconds.
    """
    request = Request("GET", wait.location, Fields({"prefer": "wait=0", "accept": "application/json"}))
    response = yield from _deliver(Send(request, timeout_s=_LOOK_S), agent, deliver, ends)
    if response.status != 202:
        return response
    response = Response(202, response.headers.with_(location=wait.location), response.body)
    able = "interaction" in agent.speaker.capabilities
    if not able or wait.url is None or wait.code is None or "aauth-requirement" in response.headers:
        return response
    if _status_of(response) != "pending":
        return response
    wanted = Requirement(INTERACTION, url=wait.url, code=wait.code)
    return Response(202, response.headers.with_(aauth_requirement=wanted.serialize()), response.body)


def _status_of(response: Response) -> object:
    try:
        body = response.json()
    except ValueError:
        return None
    return body.get("status") if isinstance(body, dict) else None


def _round(
    effect: Send,
    agent: AgentContext,
    deliver: Deliver,
    digest: Callable[[Response], Flow[Response]] | None,
    ends: float,
) -> Flow[Response]:
    """One request of the poll, with the pause that keeps a server which never waits from being hammered."""
    began = agent.clock()
    response = yield from _deliver(effect, agent, deliver, ends)
    if response.status == 202:
        if digest is not None:
            response = yield from digest(response)
        elapsed = agent.clock() - began
        if 0 <= elapsed < _SHORTEST_ROUND_S:
            yield Sleep(_SHORTEST_ROUND_S - elapsed)
    return response


def _deliver(effect: Send, agent: AgentContext, deliver: Deliver, ends: float) -> Flow[Response]:
    """Send one request of the poll, and a `GET` that is lost again.

    Somebody who sits before the agent is soon told that a server is down; an agent alone has until `ends`, since
    whoever decides for it may take hours, and servers are restarted meanwhile.
    """
    alone = "interaction" not in agent.speaker.capabilities
    pause, lost = _LOST_POLL_PAUSE_S, 0
    while True:
        try:
            return (yield from deliver(effect.request, timeout_s=effect.timeout_s))
        except TransportError:
            lost += 1
            given_up = agent.clock() + pause > ends if alone else lost > _MAX_LOST_POLLS
            if effect.request.method != "GET" or given_up:
                raise
            yield Sleep(pause)
            if alone:
                pause = min(2 * pause, _LONGEST_PAUSE_S)


def _withdraw(location: list[str], deliver: Deliver, open_requests: OpenRequests) -> Flow[None]:
    """Cancel what is still open at the server (#cancel-request); the error that ended the wait is the one to tell."""
    for url in location:
        if url not in open_requests or open_requests.kept:
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
