"""`aauth pending`, and what `aauth fetch` does with a request that waits longer than the command does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx2

from ..agent import Agent, PendingRequest
from ..agent.mission_files import MissionFiles
from ..agent.pending_files import KeptRequest, PendingFiles, new_id
from ..discovery import TransportError
from ..errors import AAuthError, ConfigurationError
from .calling import Calling, in_mission, open_agent
from .exchanges import Exchanges
from .exits import Exit
from .screen import Screen, safe

__all__ = ["cancel_request", "list_requests", "see_through"]

#: Begins a request or goes on with one, given the agent and where what it waits for is to be kept.
Begin = Callable[[Agent, Callable[[PendingRequest], object]], httpx2.Response | PendingRequest]


def see_through(
    screen: Screen,
    calling: Calling,
    begin: Begin,
    exchanges: Exchanges,
    *,
    mission: str | None = None,
    kept: KeptRequest | None = None,
) -> httpx2.Response | Exit:
    """The response to a request; where it is not had in time, the exit code, the request being kept.

    It is on disk as long as it waits, so that neither Ctrl-C nor a crash loses it. `kept` is the one to go on with.
    """
    files, kept_id = PendingFiles(calling.name), kept.id if kept is not None else new_id()

    def work(agent: Agent) -> httpx2.Response | PendingRequest:
        return begin(agent, lambda pending: files.keep(kept_id, pending))

    try:
        answer = _carry(screen, calling, work, exchanges, mission, goes_on=kept is not None)
    except KeyboardInterrupt:
        if kept_id not in files:
            raise
        _tell(screen, files.find(kept_id))
        return Exit.INTERRUPTED
    except (TransportError, ConfigurationError):
        if kept_id in files:
            _tell(screen, files.find(kept_id))
        raise
    except AAuthError:
        files.remove(kept_id)  # It was decided, or cannot go on.
        raise
    if isinstance(answer, PendingRequest):
        files.keep(kept_id, answer)
        _tell(screen, KeptRequest(kept_id, answer))
        return Exit.TIMED_OUT
    files.remove(kept_id)
    return answer


def list_requests(screen: Screen, name: str) -> int:
    """The requests kept for an identity. Nothing is asked."""
    kept, now = PendingFiles(name).all(), time.time()
    if screen.json_output:
        for each in kept:
            screen.document(_document(each))
        return Exit.OK
    if not kept:
        screen.say("Nothing waits. `aauth fetch` keeps a request here as long as it does.")
    for each in kept:
        screen.out.print(f"{each.id}  {_age(now - each.pending.since):<12}  {safe(_line(each.pending))}")
    return Exit.OK


def cancel_request(screen: Screen, calling: Calling, kept_id: str) -> int:
    """Withdraw a request at the servers where it waits, and forget it."""
    files = PendingFiles(calling.name)
    kept = files.find(kept_id)
    with open_agent(screen, calling) as agent:
        withdrawn = agent.cancel(kept.pending)
    files.remove(kept.id)
    if screen.json_output:
        screen.document({"event": "cancelled", "id": kept.id, "withdrawn": withdrawn})
        return Exit.OK
    screen.say("The request was withdrawn." if withdrawn else "No server had it any more; it is forgotten here, too.")
    return Exit.OK


def _carry(
    screen: Screen,
    calling: Calling,
    work: Callable[[Agent], httpx2.Response | PendingRequest],
    exchanges: Exchanges,
    mission: str | None,
    *,
    goes_on: bool,
) -> httpx2.Response | PendingRequest:
    # A request that goes on knows its mission itself; only what is kept of that is looked up.
    known = [each.mission.s256 for each in MissionFiles(calling.name).all()] if mission and goes_on else [mission]
    if mission is not None and mission in known:
        return in_mission(screen, calling, mission, work, exchanges)
    with open_agent(screen, calling, exchanges) as agent:
        return work(agent)


def _tell(screen: Screen, kept: KeptRequest) -> None:
    if screen.json_output:
        screen.document({"event": "pending", **_document(kept)})
        return
    screen.say(f"The request is still open. Go on with it: [bold]aauth fetch --resume {kept.id}[/]")
    screen.say(f"Withdraw it: aauth pending cancel {kept.id}")


def _document(kept: KeptRequest) -> dict[str, Any]:
    pending = kept.pending
    return {
        "id": kept.id,
        "method": pending.method,
        "url": pending.url,
        "since": pending.since,
        "waits_for": [wait.gives for wait in pending.waits],
        "mission": pending.mission_s256,
    }


def _line(pending: PendingRequest) -> str:
    return f"{pending.method} {pending.url}"


def _age(seconds: float) -> str:
    minutes = max(0, int(seconds // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 2880 else f"{minutes // 1440} days"
