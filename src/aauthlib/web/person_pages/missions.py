"""Missions on the pages: deciding about one, the list, one with its log as a timeline (#missions, #mission-log).

The agent's words stand apart from everything verified, and each tool and resource can be refused on its own. All of it
works without JavaScript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from ...deferred.machine import State
from ...errors import Expired, InvalidRequest, MissionTerminated
from ...messages.missions import MAX_MARKDOWN
from ...person.consent import NotWaiting
from ...person.mission_views import MissionRequestView
from ...person.ruling import PolicyRefuses
from ...store.person_mission_records import LogEntry
from .approvals import step_words
from .faces import places_told
from .visit import Visit

__all__ = [
    "REASONS",
    "TERMS",
    "Event",
    "decide_mission",
    "end_mission",
    "ending_of",
    "event_of",
    "mission_request",
    "relay_on",
    "show_mission",
    "show_missions",
]

#: How long a mission may run, in the words of the page.
TERMS = (
    ("hour", "One hour"),
    ("day", "One day"),
    ("week", "One week"),
    ("month", "30 days"),
    ("open", "Until I end it"),
)
REASONS = {
    "completed": "Finished",
    "revoked": "Stopped",
    "expired": "Time is over",
    "superseded": "Replaced",
    "administrative": "Ended by an administrator",
}
_ENDINGS: dict[str, tuple[str, str, str]] = {
    "mission": ("Mission approved", "The agent may begin. You can follow it and stop it at any time.", "yes"),
    "mission_update": ("Noted", "The change is part of the mission now.", "yes"),
    "mission_completion": ("Finished", "The mission has ended. The agent can do nothing more under it.", "yes"),
    "permission": ("Allowed", "The agent may do this.", "yes"),
    "question": ("Answered", "The agent has your answer. It allows it nothing.", "yes"),
}
_TEMPLATES = {
    "mission": "mission_proposal.html",
    "mission_update": "mission_report.html",
    "mission_completion": "mission_report.html",
    "permission": "permission.html",
    "interaction": "relay.html",
    "payment": "relay.html",
    "question": "question.html",
}
_MAX_NUMBER = 2**31 - 1


def ending_of(view: MissionRequestView, otherwise: Mapping[State, tuple[str, str, str]]) -> tuple[str, str, str]:
    """How a request that is over is shown."""
    outcome = view.outcome or view.state
    if outcome is State.GRANTED and view.permission == "denied":
        return ("Not allowed", "The agent is told that it must not do this.", "no")
    if outcome is State.GRANTED:
        return _ENDINGS[view.kind]
    return otherwise[outcome]


def mission_request(
    visit: Visit,
    view: MissionRequestView,
    *,
    status: int = 200,
    error: str = "",
    typed: tuple[str, str] = ("", ""),
) -> Response:
    """The page of a proposal, an update, a completion or a permission request."""
    form = visit.form
    # A question leaves the form of the decision as it was.
    submitted = bool(form.get("decision"))
    tools = [tool.name for tool in view.tools]
    resources = [resource.issuer for resource in view.resources]
    return visit.page(
        _TEMPLATES[view.kind],
        status=status,
        view=view,
        error=error,
        typed=typed,
        step_words=step_words,
        terms=TERMS,
        max_text=MAX_MARKDOWN,
        ticked_tools=form.get_all("tool") if submitted else tools,
        ticked_resources=form.get_all("resource") if submitted else resources,
        text=form.get("description") if submitted else view.description,
        term=form.get("term", "month"),
        replaces=form.get("replaces"),
        reason=form.get("reason"),
        remember=form.get("remember") == "yes",
        answer=form.get("answer"),
        images=(view.agent.provider_logo, *(resource.logo for resource in view.resources)),
        form_targets=(view.callback,),
    )


async def decide_mission(visit: Visit, view: MissionRequestView) -> Response:
    """POST /requests/{digest} of such a request: `decision=approve` or `decision=deny`."""
    server, person_id, form = visit.site.server, visit.person.person_id, visit.form
    here = f"/requests/{view.digest}"
    if not view.waiting:
        return visit.redirect(view.callback or here)
    decision = form.get("decision")
    if decision not in ("approve", "deny"):
        return mission_request(visit, view, status=400, error="Choose one of the two buttons.")
    try:
        if decision == "approve" and view.kind in ("interaction", "payment"):
            await server.answer_request(view.digest, person_id=person_id, yes=True, origin=visit.origin)
            return relay_on(visit, view, now=True)
        if view.kind == "permission":
            callback = await server.answer_request(
                view.digest,
                person_id=person_id,
                yes=decision == "approve",
                reason=form.get("reason").strip() or None,
                remember=form.get("remember") == "yes",
                origin=visit.origin,
            )
        elif decision == "deny":
            callback = await server.deny(view.digest, person_id=person_id, origin=visit.origin)
        elif view.kind == "mission":
            # A browser sends line ends of its own; the text is the agent's where only those differ.
            text = form.get("description").replace("\r\n", "\n")
            same = text.strip() == view.description.replace("\r\n", "\n").strip()
            callback = await server.approve_mission(
                view.digest,
                person_id=person_id,
                description=None if same else text,
                tools=form.get_all("tool"),
                resources=form.get_all("resource"),
                lifetime=form.get("term"),
                replaces=form.get("replaces") or None,
                origin=visit.origin,
            )
        else:
            callback = await server.answer_request(
                view.digest,
                person_id=person_id,
                yes=True,
                answer=form.get("answer").replace("\r\n", "\n").strip() or None,
                origin=visit.origin,
            )
    except (NotWaiting, Expired):
        return visit.redirect(here)
    except PolicyRefuses as refused:
        error = f"The policy of this server refuses this. {refused.detail}"
        return mission_request(visit, view, status=403, error=error)
    except MissionTerminated:
        return mission_request(visit, view, status=409, error="That mission has ended meanwhile.")
    except InvalidRequest as error:
        return mission_request(visit, view, status=400, error=error.detail)
    return visit.redirect(callback or here)


def relay_on(visit: Visit, view: MissionRequestView, *, now: bool = False) -> Response:
    """On to the page of a relay: `now`, or when the person follows the link again."""
    return visit.page("relay_on.html", view=view, now=now)


async def show_missions(visit: Visit) -> Response:
    """GET /missions."""
    faces = await visit.site.server.missions(visit.person.person_id)
    return visit.page(
        "missions.html",
        active=[face for face in faces if face.reason is None],
        ended=[face for face in faces if face.reason is not None],
        reasons=REASONS,
    )


async def show_mission(visit: Visit) -> Response:
    """GET /missions/{s256}."""
    before = visit.request.query_params.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) <= 10 else None
    return await _mission_page(visit, before=min(number, _MAX_NUMBER) if number is not None else None)


async def _mission_page(visit: Visit, *, before: int | None = None, status: int = 200, error: str = "") -> Response:
    page = await visit.site.server.mission_page(
        visit.request.path_params["s256"], person_id=visit.person.person_id, before=before
    )
    return visit.page(
        "mission.html",
        status=status,
        page=page,
        mission=page.mission,
        events=[event_of(entry) for entry in page.log],
        reasons=REASONS,
        error=error,
        ended_now=visit.request.query_params.get("saved") == "ended",
    )


async def end_mission(visit: Visit) -> Response:
    """POST /missions/{s256}/end: `reason=revoked` or `reason=superseded`, and a note."""
    s256 = visit.request.path_params["s256"]
    try:
        outcomes = await visit.site.server.end_mission(
            s256,
            person_id=visit.person.person_id,
            reason=visit.form.get("reason"),
            note=visit.form.get("note").strip() or None,
        )
    except MissionTerminated:
        return visit.redirect(f"/missions/{s256}")
    except InvalidRequest as error:
        return await _mission_page(visit, status=400, error=error.detail)
    if all(outcome.complete for outcome in outcomes):
        return visit.redirect(f"/missions/{s256}?saved=ended")
    return visit.page("mission_ended.html", s256=s256, places=places_told(outcomes))


# ---------------------------------------------------------------------- the log in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a log, in words. What the agent says stands in `words` and `data` alone."""

    at: float
    claimed: bool
    """The agent says so; nobody has checked it."""
    title: str
    words: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    facts: Sequence[tuple[str, str]] = ()


_ASKS = {
    "person_token": "asked to act as you",
    "auth_token": "asked for access",
    "mission_update": "reported a change",
    "mission_completion": "said that it is done",
    "permission": "asked before an action",
    "interaction": "wanted you at a page",
    "payment": "wanted you to look at a payment",
    "question": "had a question",
}
_RESULTS = {
    "granted": "You allowed it",
    "agreed": "You agreed, and others were asked",
    "deny": "You declined",
    "abandon": "You left it undecided",
}
#: Where a policy had others decide.
_RESULTS_OF_OTHERS = {
    "granted": "Approved by those the policy asks",
    "denied": "Declined by an approver",
    "refused": "Declined by an approver",
    "expired": "Nobody approved in time",
    "withdrawn": "The request was taken back",
}


def event_of(entry: LogEntry) -> Event:
    """A log entry as the page tells it."""
    content = entry.content
    facts = [(name, str(content[key])) for key, name in _FACTS if content.get(key) and isinstance(content[key], str)]
    make = _EVENTS.get(entry.kind)
    title, words, data = make(content) if make is not None else (entry.kind, "", {})
    if entry.kind == "decision" and entry.actor == "server":
        title = _RESULTS_OF_OTHERS.get(content.get("result", ""), title)
    return Event(at=entry.at, claimed=entry.actor == "agent", title=title, words=words, data=data, facts=facts)


_FACTS = (
    ("resource", "Resource"),
    ("url", "Page"),
    ("scope", "Permissions"),
    ("access_server", "Decided by"),
    ("sub_agent", "For its helper"),
    ("subagent", "For its helper"),
)
_Told = tuple[str, str, Mapping[str, Any]]


def _request(content: Mapping[str, Any]) -> _Told:
    permission = content.get("permission") or {}
    words = content.get("text") or content.get("justification") or permission.get("description") or ""
    title = f"The agent {_ASKS.get(content.get('asks', ''), 'asked something')}"
    if permission:
        title += f": {permission.get('action', '')}"
    return title, words, permission.get("parameters") or {}


def _decision(content: Mapping[str, Any]) -> _Told:
    if content.get("completed"):
        return "You agreed that it is done", "", {}
    if "permission" in content:
        verb = "allowed" if content["permission"] == "granted" else "did not allow"
        return f"You {verb} {content.get('action', '')}", content.get("reason") or "", {}
    if content.get("asked") == "question" and content.get("answer"):
        return "You answered", content["answer"], {}
    if content.get("asked") in ("interaction", "payment") and content.get("result") == "granted":
        return "You went there", "", {}
    return _RESULTS.get(content.get("result", ""), "The request ended"), "", {}


def _approval(content: Mapping[str, Any]) -> _Told:
    refused = [*content.get("tools_refused", ()), *content.get("resources_refused", ())]
    words = []
    if content.get("changed"):
        words.append("You changed the wording.")
    if refused:
        words.append("You left out: " + ", ".join(refused) + ".")
    return "You approved the mission", " ".join(words), {}


def _action(verb: str, content: Mapping[str, Any]) -> _Told:
    data = {name: content[name] for name in ("parameters", "result") if content.get(name)}
    return f"{verb} {content.get('action', '')}", content.get("description") or "", data


def _issue(content: Mapping[str, Any]) -> _Told:
    title = "It may act as you" if content.get("token") == "person_token" else "It got access"
    return title, content.get("justification") or "", {}


def _termination(content: Mapping[str, Any]) -> _Told:
    reason = content.get("reason", "")
    return f"The mission ended: {REASONS.get(reason, reason)}", content.get("note") or "", {}


_EVENTS: Mapping[str, Any] = {
    "proposal": lambda content: ("The agent proposed the mission", content.get("description") or "", {}),
    "approval": _approval,
    "request": _request,
    "decision": _decision,
    "issue": _issue,
    "update": lambda content: ("A change you agreed to", content.get("description") or "", {}),
    "permission": lambda content: _action("Allowed at once:", content),
    "audit": lambda content: _action("The agent says it did", content),
    "termination": _termination,
    "question": lambda content: ("You asked the agent", content.get("text") or "", {}),
    "server_question": lambda content: ("The access server asked", content.get("text") or "", {}),
    "person_answer": lambda content: ("You answered the access server", content.get("text") or "", {}),
    "mission_answer": lambda content: ("Answered for you, without asking you again", content.get("text") or "", {}),
    "answer": lambda content: ("The agent answered", content.get("text") or "", {}),
    "change": lambda content: ("The agent changed its request", content.get("text") or "", {}),
}
