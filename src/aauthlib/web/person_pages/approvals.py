"""What approvers decide about, and the person's own view of it (#approval-pending, #ps-approval-endpoint-auth).

Who may decide is found out by the store from whoever is signed in; no form says it. A form says which round it was made
for, so that nobody agrees to what the policy has made something else of. All of it works without JavaScript.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.responses import Response

from ...errors import InvalidRequest
from ...person.approval_views import ApprovalView
from ...person.approving import MAX_COMMENT_LENGTH
from ...person.consent import NotWaiting, RequestChanged
from ...policies.approvers import Step
from ...store.approval_records import ApprovalEntry, AwayRefused, DecidedAlready, NotApprover, TooManyComments
from ...store.approval_states import ApprovalState
from .visit import Visit

__all__ = ["OUTCOMES", "Told", "come_back", "decide", "go_away", "show", "show_inbox", "step_words", "told_of"]

_HERE = "/approvals"
_SAVED = {
    "approved": "You approved it.",
    "denied": "You declined it. The agent is told.",
    "comment": "Your comment was added.",
    "taken-back": "You took the request back. Nobody is asked any more.",
    "away": "Saved. Who you chose decides in your place in that time.",
    "back": "You decide yourself again.",
}
#: How an approval stands, in words.
OUTCOMES = {
    ApprovalState.WAITING: "Waiting",
    ApprovalState.APPROVED: "Approved",
    ApprovalState.DENIED: "Declined",
    ApprovalState.EXPIRED: "Too late",
    ApprovalState.WITHDRAWN: "Taken back",
}
_METHODS = {
    "password": "signed in with a password",
    "passkey": "signed in with a passkey",
    "recovery": "signed in with a recovery code",
    "provider": "signed in at the organisation",
}
_MAX_ROUND = 9


async def show_inbox(visit: Visit) -> Response:
    """GET /approvals."""
    return await _inbox(visit)


async def _inbox(visit: Visit, *, status: int = 200, error: str = "") -> Response:
    server, person_id = visit.site.server, visit.person.person_id
    inbox = await server.inbox(person_id)
    zone = await _zone(visit)
    absence = await server.absence(person_id)
    return visit.page(
        "approvals.html",
        status=status,
        error=error,
        saved=_SAVED.get(visit.request.query_params.get("saved", "")) if not error else None,
        inbox=inbox,
        outcomes=OUTCOMES,
        step_words=step_words,
        absence=absence,
        away_from=_day(absence.since, zone) if absence is not None else "",
        away_until=_day(absence.until - 1, zone) if absence is not None else "",
        delegates=await server.delegates_for(person_id),
        zone=str(zone),
        typed={name: visit.form.get(name)[:64] for name in ("delegate", "from", "until")},
    )


async def show(visit: Visit) -> Response:
    """GET /approvals/{id}."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, error: str = "", typed: str = "") -> Response:
    view = await visit.site.server.approval(visit.request.path_params["id"], person_id=visit.person.person_id)
    return visit.page(
        "approval.html",
        status=status,
        error=error,
        saved=_SAVED.get(visit.request.query_params.get("saved", "")) if not error else None,
        view=view,
        outcomes=OUTCOMES,
        step_words=step_words,
        log=[told_of(entry, view) for entry in view.standing.entries],
        max_comment=MAX_COMMENT_LENGTH,
        typed=typed,
        images=(view.agent.provider_logo, view.resource.logo if view.resource is not None else None),
    )


async def decide(visit: Visit) -> Response:
    """POST /approvals/{id}: `decision` is `approve`, `deny`, `comment`, or for the person themselves `take-back`."""
    server, form, person_id = visit.site.server, visit.form, visit.person.person_id
    id_, decision, comment = visit.request.path_params["id"], form.get("decision"), form.get("comment")
    here, round_ = f"{_HERE}/{id_}", form.get("round")
    typed = comment[: 2 * MAX_COMMENT_LENGTH]
    try:
        if decision == "comment":
            await server.comment_on_approval(id_, comment, person_id=person_id, origin=visit.origin)
            return visit.redirect(f"{here}?saved=comment")
        if decision == "take-back":
            await server.take_back_approval(id_, person_id=person_id, origin=visit.origin)
            return visit.redirect(f"{here}?saved=taken-back")
        if decision not in ("approve", "deny"):
            return await _page(visit, status=400, error="Choose “Approve” or “Decline”.", typed=typed)
        if not (round_.isascii() and round_.isdigit() and len(round_) <= _MAX_ROUND):
            return await _page(visit, status=400, error="The form was not complete. Decide once more.", typed=typed)
        await server.decide_approval(
            id_,
            person_id=person_id,
            yes=decision == "approve",
            comment=comment,
            round_=int(round_),
            origin=visit.origin,
        )
    except (DecidedAlready, NotWaiting):
        # A second click, or somebody who was faster: the page says how things stand.
        return visit.redirect(here)
    except NotApprover:
        return await _page(visit, status=403, error="It is not for you to decide. Nothing was changed.", typed=typed)
    except RequestChanged:
        error = "The policy changed while you were looking, so it begins anew. Nothing was decided: look at it again."
        return await _page(visit, status=409, error=error, typed=typed)
    except (InvalidRequest, TooManyComments) as refused:
        return await _page(visit, status=400, error=refused.detail, typed=typed)
    return visit.redirect(f"{here}?saved={'approved' if decision == 'approve' else 'denied'}")


# ---------------------------------------------------------------------- being away


async def go_away(visit: Visit) -> Response:
    """POST /approvals/away: `delegate`, `from` and `until`, days in the person's time zone."""
    if not visit.is_recent:
        return visit.sign_in_again(_HERE)
    form, zone = visit.form, await _zone(visit)
    try:
        since = _start(form.get("from"), zone)
        until = _start(form.get("until"), zone, after=1)
        await visit.site.server.go_away(visit.person.person_id, form.get("delegate"), since=since, until=until)
    except (InvalidRequest, AwayRefused) as error:
        return await _inbox(visit, status=400, error=error.detail)
    return visit.redirect(f"{_HERE}?saved=away")


async def come_back(visit: Visit) -> Response:
    """POST /approvals/back."""
    await visit.site.server.come_back(visit.person.person_id)
    return visit.redirect(f"{_HERE}?saved=back")


async def _zone(visit: Visit) -> tzinfo:
    """The time zone the person is told in."""
    preferences = await visit.site.notifier.preferences(visit.person.person_id)
    try:
        return ZoneInfo(preferences.zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _start(text: str, zone: tzinfo, *, after: int = 0) -> float:
    """When a day begins, or the one `after` days later; Unix seconds. Raises `InvalidRequest`."""
    try:
        day = date.fromisoformat(text) + timedelta(days=after)
        return datetime.combine(day, time(), zone).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("Choose a first and a last day.") from error


def _day(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, zone).date().isoformat()


# ---------------------------------------------------------------------- in words


def step_words(step: Step) -> str:
    """Who is asked, such as `2 of finance and Ada`. Names are the operator's."""
    named = [*step.groups, *step.people]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    alone = step.needed == 1 and not step.groups and len(step.people) == 1
    return listed if alone else f"{step.needed} of {listed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing that happened, in words. `words` alone are somebody's own."""

    at: float
    title: str
    words: str = ""
    from_where: str = ""
    policy: str = ""
    counts: bool = False
    past: bool = False
    """A decision that counts no more."""


def told_of(entry: ApprovalEntry, view: ApprovalView) -> Told:
    """An entry as the page tells it."""
    name = entry.name or "Somebody who is gone"
    decided = entry.kind in ("approved", "denied")
    instead = f" in place of {entry.seat_name or 'somebody who is gone'}" if decided and entry.seat != entry.by else ""
    titles = {
        "opened": f"An agent of {view.standing.subject or 'somebody who is gone'} asked",
        "agreed": f"{name} agreed",
        "approved": f"{name} approved{instead}",
        "denied": f"{name} declined{instead}",
        "comment": f"{name} said",
        "stage": f"Step {entry.stage + 1} began",
        "escalated": "Nobody decided in time, so others are asked",
        "restarted": "The policy changed, so it began anew",
        "granted": "It was approved",
        "refused": "It was declined",
        "expired": "Nobody approved in time",
        "withdrawn": f"{name} took it back" if entry.by else "It was taken back",
    }
    origin = entry.origin
    parts = (origin.browser, origin.network, _METHODS.get(origin.method, ""))
    # Of an earlier step a yes has done its work; of an earlier round it has lost it.
    current = view.line.waiting and entry.stage == view.line.stage and not entry.counts
    return Told(
        at=entry.at,
        title=titles.get(entry.kind, entry.kind),
        words=entry.text,
        from_where=", ".join(part for part in parts if part),
        policy=entry.version,
        counts=entry.counts,
        past=entry.kind == "approved" and (entry.round < view.round or current),
    )
