"""Where the caller of an intermediary sends the person: they are taken on to whoever needs them, from one question to
the next, and in the end back where they came from (#interaction-chaining, #user-interaction).

It decides nothing and shows next to nothing: `chaining.visits` does the first, whoever needs the person the second.
"""

from __future__ import annotations

from html import escape

from ..chaining import Intermediary
from ..chaining.visits import Onward
from ..deferred.machine import State
from ..errors import InvalidCode, ProblemError
from ..http import Request, Response
from ..identifiers import origin_of
from .asgi import is_ahead_of_time
from .resource_pages import InteractionPage, form_fields, redirect

__all__ = ["OnwardPage"]

_PAGE_WAIT_S = 3.0


class OnwardPage(InteractionPage):
    """Takes the person who comes with our code on to who needs them, and on from there if there is more."""

    def __init__(self, resource: Intermediary) -> None:
        super().__init__(resource)
        self._intermediary = resource

    async def onward(self, request: Request, name: str) -> Response:
        """A visit: `{handle}` with a code, or `{handle}.{nonce}.{step}` on the way back.

        What an `error` says there is not believed: the pending request it is about says so itself, to us.
        """
        handle, *back = name.split(".")
        query = form_fields(request.query or "")
        code, callback = query.get("code", ""), query.get("callback", "")
        try:
            if len(back) == 2 and back[1].isascii() and back[1].isdigit() and len(back[1]) < 4:
                onward = await self._intermediary.invocations.visits.come_back(
                    handle, back[0], int(back[1]), wait_s=_PAGE_WAIT_S
                )
                return self._answer(onward, by_page=True)
            if back:
                return self._message("This link is not whole", "Open the link your agent showed you once more.", 404)
            if not code or is_ahead_of_time(request.method, dict(request.headers)):
                # A browser that loads ahead of the person does not use their code up.
                return self._ask_code(code, callback)
            onward = await self._intermediary.invocations.visits.arrive(handle, code, callback=callback)
            return self._answer(onward, by_page="typed" in query)
        except InvalidCode as error:
            return self._ask_code("", callback, alert=error.detail, status=403)
        except ProblemError as error:
            return self._message("This request is closed", error.detail, error.status)

    def _answer(self, onward: Onward, *, by_page: bool) -> Response:
        if onward.url is not None:
            return self._lead_on(onward.url) if by_page else redirect(onward.url)
        match onward.state:
            case State.GRANTED | State.DELIVERED:
                return self._message("Done", "You can close this page and go back to your agent.", 200)
            case State.PENDING | State.INTERACTING | State.CLARIFYING:
                text = "Your agent's request goes on. This page looks by itself whether you are needed again."
                return self._message("One moment", text, 200, [("refresh", "2")])
            case State.DENIED:
                return self._message("Declined", "You said no. You can close this page.", 200)
        return self._message("This request is closed", "Go back to your agent; it knows how it ended.", 410)

    def _lead_on(self, url: str) -> Response:
        """A page that goes on to `url` by itself.

        Whoever comes here may have sent a form, of this page or of the person server's, and browsers hold every
        redirect after a form against its page's `form-action`, which does not name where we lead.
        """
        host = origin_of(url).partition("://")[2]
        body = f"""<h1>On you go</h1><p>You are taken to <b>{escape(host)}</b>.</p>
<p><a href="{escape(url)}" rel="noreferrer">Continue</a></p>"""
        return self._page("On you go", body, 200, [("refresh", f"0;url={url}")])

    def _ask_code(self, code: str, callback: str, *, alert: str = "", status: int = 200) -> Response:
        shown = f'<p class="alert" role="alert">{escape(alert)}</p>' if alert else ""
        kept = f'<input type="hidden" name="callback" value="{escape(callback)}">' if callback else ""
        body = f"""<h1>Your agent sent you here</h1>{shown}
<p>{escape(self._name)} works for it and needs you. Type the code it shows you; you are then taken to where your answer
is needed.</p>
<form method="get">{kept}<label for="code">Code</label>
<input class="code" id="code" name="code" required autocomplete="off" autocapitalize="characters" spellcheck="false"
 maxlength="64" value="{escape(code[:64])}">
<button type="submit" name="typed" value="yes">Continue</button></form>"""
        return self._page("Your agent sent you here", body, status)
