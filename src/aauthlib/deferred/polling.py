"""The client side of deferred responses: one flow that follows a `202` to its end (#deferred-responses)."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any
from urllib.parse import urljoin

import msgspec

from ..effects import Answer, Clock, Direct, Flow, Report, Send, Sleep, UpdatedRequest
from ..errors import AAuthError, Expired
from ..http import Fields, Request, Response
from ..identifiers import origin_of
from ..messages.headers import parse_retry_after
from ..messages.problems import error_of
from ..messages.requirement import APPROVAL, CLARIFICATION, INTERACTION, Requirement
from .machine import POLLING, Action

__all__ = ["DEFAULT_POLL_INTERVAL_S", "NotInTime", "PollPolicy", "UnsupportedRequirement", "follow", "withdraw"]

DEFAULT_POLL_INTERVAL_S = 5.0
_SLOW_DOWN_S = 5.0
#: What `slow_down` can add up to. What `Retry-After` asks is respected whatever it is; the deadline bounds it.
_MAX_EXTRA_S = 300.0
_LEAST_BACK_OFF_S = 1.0
_MAX_CLARIFICATIONS = 5
#: How often the person is sent for within one wait; a server may need them again.
_MAX_DIRECTIONS = 8
_MAX_SECONDS = 1e9


class UnsupportedRequirement(AAuthError):
    """The server requires something this client does not know or was not set up to do (#requirement-values)."""

    def __init__(self, detail: str, requirement: Requirement | None = None) -> None:
        super().__init__(detail)
        self.requirement = requirement


class NotInTime(Expired):
    """The client's own wait is over; the server may still decide."""


class PollPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how patiently to poll. Seconds."""

    wait_s: int = 45
    """Sent as `Prefer: wait`."""
    deadline_s: float = 900.0
    """After which the client gives up (`NotInTime`) and withdraws the request."""


def follow(
    first: Response,
    *,
    url: str,
    sign: Callable[[Request], Request],
    clock: Clock,
    policy: PollPolicy,
    on_open: Callable[[str], None] = lambda url: None,
    on_close: Callable[[str], None] = lambda url: None,
    since: float | None = None,
    unknown_requirement_ok: bool = False,
) -> Flow[Response]:
    """Follow a `202` until a response that is not `202`, and return that response, whatever it says.

    `url` is what was requested; the `Location` must be on its origin. `sign` signs each poll as it is sent. `on_open`
    and `on_close` tell the application which pending URL it may withdraw (DELETE) if it stops. The deadline is reckoned
    from `since` (Unix seconds), where the wait for the decision began before this request; from now otherwise.

    Yields `Send`, `Sleep`, `Direct` (when the person is needed, once for each URL and code), `Answer` (a
    clarification) and `Report`. Raises `UnsupportedRequirement` for one that cannot be met, `NotInTime` at the
    deadline, and `AAuthError` for a `202` that breaks the protocol.
    """
    started = clock() if since is None else since
    location = _location(first, url)
    on_open(location)
    response, extra_s, asked = first, 0.0, 0
    directed: set[tuple[str, str]] = set()
    while True:
        if response.status == 202:
            requirement = _requirement(response)
            if requirement is not None and requirement.value == INTERACTION:
                where = (requirement.url or "", requirement.code or "")
                if not all(where):
                    # It may repeat itself, but not begin, without saying where.
                    if not directed:
                        raise AAuthError("The server asks for an interaction without saying where or with which code.")
                elif where not in directed and len(directed) < _MAX_DIRECTIONS:
                    directed.add(where)
                    yield Direct(*where, origin_of(location))
            elif requirement is not None and requirement.value == CLARIFICATION:
                asked += 1
                withdrawn = yield from _clarify(response, location, sign, asked)
                if withdrawn:
                    on_close(location)
                    raise UnsupportedRequirement("The person asked a question and no answer was given.", requirement)
            elif (
                requirement is not None
                and requirement.value not in (INTERACTION, APPROVAL)
                and not unknown_requirement_ok
            ):
                raise UnsupportedRequirement(f"The server requires {requirement.value}.", requirement)
            yield Report("waiting", {"url": location, "status": _status(response), "since_s": clock() - started})
        retry_after_s = parse_retry_after(response.headers, now=clock(), default_s=DEFAULT_POLL_INTERVAL_S)
        if response.status == 503:
            # A server in trouble that asks to be tried at once is still not tried in a tight loop.
            retry_after_s = max(retry_after_s, _LEAST_BACK_OFF_S)
        pause = retry_after_s + min(extra_s, _MAX_EXTRA_S)
        if clock() + pause - started > policy.deadline_s:
            raise NotInTime(f"No decision within {int(policy.deadline_s)} seconds; the request is withdrawn.")
        if pause > 0:
            yield Sleep(pause)
        # The server is not asked to hold an answer that would come after the deadline.
        wait_s = min(policy.wait_s, max(0, ceil(policy.deadline_s - (clock() - started))))
        request = Request("GET", location, Fields({"prefer": f"wait={wait_s}", "accept": "application/json"}))
        polled: Response = yield Send(sign(request), timeout_s=wait_s + 15.0)
        response = polled
        match POLLING.get(response.status, Action.FAIL):
            case Action.POLL:
                _check_location(response, location)
            case Action.SLOW_DOWN:
                extra_s += _SLOW_DOWN_S
            case Action.BACK_OFF:
                continue
            case _:
                on_close(location)
                return response


def _clarify(response: Response, location: str, sign: Callable[[Request], Request], asked: int) -> Flow[bool]:
    """Get the question answered (#agent-response-to-clarification). Returns whether the request was withdrawn."""
    body = _body(response)
    question = body.get("clarification")
    if not isinstance(question, str) or asked > _MAX_CLARIFICATIONS:
        answer = None
    else:
        options = body.get("options")
        answer = yield Answer(
            question,
            tuple(option for option in options if isinstance(option, str)) if isinstance(options, list) else (),
            _seconds(body.get("timeout")),
        )
    if answer is None:
        yield Send(sign(Request("DELETE", location)))
        return True
    document: dict[str, Any] = {"action": "clarification_response", "clarification_response": answer}
    if isinstance(answer, UpdatedRequest):
        document = {
            "action": "updated_request",
            "resource_token": answer.resource_token,
            "presented_token": answer.presented_token,
            **({"justification": answer.justification} if answer.justification is not None else {}),
        }
    post = Request("POST", location, Fields({"content-type": "application/json"}), msgspec.json.encode(document))
    result = yield Send(sign(post))
    if result.status >= 400:
        raise error_of(result)
    return False


def withdraw(location: str, sign: Callable[[Request], Request]) -> Flow[None]:
    """Cancel a pending request at the server (#cancel-request)."""
    yield Send(sign(Request("DELETE", location)), timeout_s=5.0)


def _location(response: Response, url: str) -> str:
    value = response.headers.get("location")
    if not value:
        raise AAuthError("The server answered 202 without a Location to poll.")
    try:
        location = urljoin(url, value)
    except ValueError as error:
        raise AAuthError("The server's pending URL is not a URL, so it is not polled.") from error
    if origin_of(location) != origin_of(url) or "#" in location:
        raise AAuthError("The server's pending URL is on another origin, so it is not polled.")
    return location


def _check_location(response: Response, location: str) -> None:
    if response.headers.get("location") is not None and _location(response, location) != location:
        raise AAuthError("The server moved its pending URL while it was being polled.")


def _requirement(response: Response) -> Requirement | None:
    header = response.headers.get("aauth-requirement")
    return Requirement.parse(header) if header is not None else None


def _body(response: Response) -> dict[str, Any]:
    """The members of a `202` body; none when it is not a JSON object, since the headers carry what matters."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(value: object) -> float | None:
    """A number of seconds that makes sense, or `None`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MAX_SECONDS:
        return None
    return float(value)


def _status(response: Response) -> str:
    """`interacting` or `pending`; a status unknown here counts as pending (#pending-response)."""
    return "interacting" if _body(response).get("status") == "interacting" else "pending"
