"""Arriving with a code, and deciding (#user-interaction, #interaction-code-format, #consent-presentation).

The address a person arrives at carries the code; the page they decide on does not. A decision is a POST of somebody who
is signed in; showing the page changes nothing.
"""

from __future__ import annotations

from starlette.responses import Response

from ...deferred.machine import State
from ...errors import Expired, Gone, InvalidRequest
from ...person.consent import ConsentView, NotWaiting, RequestChanged, ResourceInteractionFirst, TooManyQuestions
from ...person.mission_views import MissionRequestView
from ...person.ruling import PolicyRefuses
from ..account_pages import arriving
from .approvals import step_words
from .faces import serving, sharing
from .missions import decide_mission, ending_of, mission_request, relay_on
from .visit import Visit

__all__ = ["answer", "arrive", "ask", "decide", "resource_returned", "show_request", "type_code"]

#: How a request that is over is shown: title, text, and the picture's name.
ENDINGS: dict[State, tuple[str, str, str]] = {
    State.GRANTED: ("Allowed", "The agent gets what you allowed, and nothing else.", "yes"),
    State.DENIED: ("Not allowed", "The agent is told that you declined. It gets nothing.", "no"),
    State.ABANDONED: ("Not decided", "You left this request without a decision. The agent gets nothing.", "no"),
    State.EXPIRED: ("Too late", "This request timed out, so the agent gets nothing. It can ask again.", "late"),
    State.CANCELLED: ("Withdrawn", "The agent withdrew its request. There is nothing left to decide.", "late"),
    State.REVOKED: ("Withdrawn", "The access this request depends on was revoked. The agent gets nothing.", "no"),
    State.INVALID_CODE: ("Closed", "Too many wrong codes were tried, so this request was closed.", "no"),
    State.FAILED: ("Not possible", "Something went wrong while this was decided. The agent can ask again.", "late"),
    State.DELIVERED: ("Answered", "This request was decided, and the agent has its answer.", "yes"),
}


_NO_ACCESS = ("No access", "You allowed it, and the service’s access server did not.", "no")
_ONE_QUESTION = ("One more question", "You allowed it. Before it decides, the service’s access server asks:", "late")


async def arrive(visit: Visit) -> Response:
    """GET /interaction/{handle}?code=&callback=."""
    try:
        return await arriving.arrive(visit)
    except Expired:
        return _too_late(visit)


async def type_code(visit: Visit) -> Response:
    """POST /interaction/{handle}: a code that was typed."""
    try:
        return await arriving.type_code(visit)
    except Expired:
        return _too_late(visit)


def _too_late(visit: Visit) -> Response:
    return visit.page("ended.html", status=410, ending=ENDINGS[State.EXPIRED], view=None)


async def show_request(visit: Visit) -> Response:
    """GET /requests/{digest}: the consent page, or how the request ended."""
    view = await _view(visit)
    if visit.request.query_params.get("from") == "access-server" and isinstance(view, ConsentView):
        # Back from the access server's page: it may have decided, so that this page can say how.
        await visit.site.server.start_when_granted(view.digest, returned=True)
        view = await _view(visit)
    if isinstance(view, MissionRequestView):
        if view.hosted is not None:
            return visit.redirect(f"/requests/{view.hosted}")
        if view.waiting and view.approval is not None:
            return visit.redirect(f"/approvals/{view.approval}")
        relayed = view.kind in ("interaction", "payment")
        if view.waiting:
            if relayed:
                await visit.site.server.see_relay(view.digest, person_id=visit.person.person_id)
            return mission_request(visit, view)
        if relayed and view.outcome is State.GRANTED:
            return relay_on(visit, view)
        return visit.page("ended.html", ending=ending_of(view, ENDINGS), view=view)
    if not view.waiting:
        return _ended(visit, view)
    if view.approval is not None:
        return visit.redirect(f"/approvals/{view.approval}")
    if _must_sign_in_again(visit, view):
        return visit.redirect(f"/sign-in?again=1&next=/requests/{view.digest}")
    return _consent_page(visit, view)


def _ended(visit: Visit, view: ConsentView, *, status: int = 200, error: str = "", typed: str = "") -> Response:
    ending = ENDINGS[view.outcome or view.state]
    if view.access_refusal is not None:
        ending = _NO_ACCESS
    elif view.access_question is not None:
        ending = _ONE_QUESTION
    return visit.page("ended.html", status=status, ending=ending, view=view, error=error, typed=typed)


def _must_sign_in_again(visit: Visit, view: ConsentView) -> bool:
    """Whether the agent asks for a sign-in newer than its request (`prompt=login`)."""
    return view.reauthenticate and visit.session is not None and visit.session.authenticated_at < view.created_at


async def _view(visit: Visit) -> ConsentView | MissionRequestView:
    return await visit.site.server.consent(visit.request.path_params["digest"], person_id=visit.person.person_id)


def _consent_page(
    visit: Visit,
    view: ConsentView,
    *,
    status: int = 200,
    error: str = "",
    typed: tuple[str, str] = ("", ""),
    anew: bool = False,
) -> Response:
    asked = [line.value for line in view.scopes]
    submitted = bool(visit.form.fields) and not anew
    interaction = view.resource_interaction
    return visit.page(
        "consent.html",
        status=status,
        view=view,
        error=error,
        typed=typed,
        step_words=step_words,
        ticked=visit.form.get_all("scope") if submitted else asked,
        remember=visit.form.get("remember") == "yes" if submitted else True,
        sharing=sharing(view),
        serving=serving(view),
        first_step=interaction.url if interaction is not None and not interaction.completed else None,
        images=(view.agent.provider_logo, view.resource.logo),
        form_targets=(view.callback,),
    )


async def decide(visit: Visit) -> Response:
    """POST /requests/{digest}: `decision=approve` or `decision=deny`."""
    server, person_id = visit.site.server, visit.person.person_id
    view, decision = await _view(visit), visit.form.get("decision")
    if isinstance(view, MissionRequestView):
        return await decide_mission(visit, view)
    here = f"/requests/{view.digest}"
    if not view.waiting:
        # A second click, or a page that was open elsewhere: what was decided stands.
        return visit.redirect(view.callback or here)
    if _must_sign_in_again(visit, view):
        return visit.redirect(f"/sign-in?again=1&next={here}")
    try:
        if decision == "deny":
            callback = await server.deny(view.digest, person_id=person_id, origin=visit.origin)
        elif decision == "approve":
            asked = {line.value for line in view.scopes}
            # An access server decides about the whole request, so the page offers no part of it.
            ticked = asked if view.access_server else asked.intersection(visit.form.get_all("scope"))
            if asked and not ticked:
                error = "You unticked everything. Tick what the agent may do, or choose “Don’t allow”."
                return _consent_page(visit, view, status=400, error=error)
            callback = await server.approve(
                view.digest,
                person_id=person_id,
                scope=ticked if asked else None,
                remember=visit.form.get("remember") == "yes",
                version=visit.form.get("version")[:64],
                origin=visit.origin,
            )
        else:
            return _consent_page(visit, view, status=400, error="Choose “Allow” or “Don’t allow”.")
    except RequestChanged:
        error = "The agent changed its request while you were looking. Nothing was allowed: look at what it asks now."
        changed = await _view(visit)
        assert isinstance(changed, ConsentView)  # An update changes what is asked, not the kind of it.
        return _consent_page(visit, changed, status=409, error=error, anew=True)
    except PolicyRefuses as refused:
        return _consent_page(visit, view, status=403, error=f"The policy of this server refuses this. {refused.detail}")
    except (NotWaiting, Expired):
        return visit.redirect((await _view(visit)).callback or here)
    except ResourceInteractionFirst:
        return visit.redirect(here)
    return visit.redirect(callback or here)


async def answer(visit: Visit) -> Response:
    """POST /requests/{digest}/answer: to a question of the access server (#requirement-clarification)."""
    server, view, form = visit.site.server, await _view(visit), visit.form
    here, text = f"/requests/{view.digest}", form.get("answer").strip() or form.get("choice")
    try:
        await server.answer_access_server(
            view.digest, text, person_id=visit.person.person_id, remember=form.get("remember") == "yes"
        )
    except (Gone, Expired):
        return visit.redirect(here)  # A second click, or the agent was faster: the page says how things stand.
    except InvalidRequest as error:
        if isinstance(view, ConsentView) and view.access_question is not None:
            return _ended(visit, view, status=400, error=error.detail, typed=text[:4_000])
        raise
    await server.start_when_granted(view.digest)
    return visit.redirect(here)


async def ask(visit: Visit) -> Response:
    """POST /requests/{digest}/ask: a question to the agent (#clarification-chat)."""
    view = await _view(visit)
    here = f"/requests/{view.digest}"
    question, options = visit.form.get("question"), visit.form.get("options")
    try:
        await visit.site.server.ask_agent(
            view.digest, question, person_id=visit.person.person_id, options=options.splitlines()
        )
    except (NotWaiting, Expired):
        # A second click, or a page that was open elsewhere: the page says how things stand.
        return visit.redirect(here)
    except (InvalidRequest, TooManyQuestions) as error:
        if isinstance(view, MissionRequestView):
            typed = (question[:4_000], options[:4_000])
            return mission_request(visit, view, status=400, error=error.detail, typed=typed)
        return _consent_page(
            visit, view, status=400, error=error.detail, typed=(question[:4_000], options[:4_000]), anew=True
        )
    return visit.redirect(f"{here}#conversation")


async def resource_returned(visit: Visit) -> Response:
    """GET /interaction-callback/{flow_id}: back from the resource's own page (#resource-initiated-interaction)."""
    digest = await visit.site.server.resource_interaction_ended(
        visit.request.path_params["flow_id"],
        person_id=visit.person.person_id,
        error=visit.request.query_params.get("error", "")[:64] or None,
    )
    return visit.redirect(f"/requests/{digest}")
