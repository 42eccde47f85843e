"""Where and when a person is told that something waits for them (#approval-pending).

What is told later leads here, so adding a place takes a recent sign-in, as everything does that outlives a session.
"""

from __future__ import annotations

from typing import TypeAlias
from zoneinfo import available_timezones

from starlette.responses import Response

from ...errors import AAuthError, ConfigurationError, InvalidCode, InvalidRequest, NotFound, RateLimited
from ...notifying import NotDelivered, Notifier
from ...store.notification_records import WEB_PUSH, Preferences
from .browsers import browser_name
from .site import AccountSite
from .visit import Visit as AnyVisit

__all__ = ["confirm", "remove", "send_test", "set_when", "show", "subscribe", "subscribe_browser"]

_SAVED = {
    "browser": "This browser will be told.",
    "sent": "A code was sent there. Type it below to confirm the address.",
    "confirmed": "The address is confirmed. You will be told there.",
    "removed": "You will not be told there any more.",
    "test": "A message is on its way.",
    "when": "Saved.",
}
Visit: TypeAlias = AnyVisit[AccountSite]

_DIGESTS = ((0, "At once"), (15, "Every 15 minutes"), (60, "Every hour"), (24 * 60, "Once a day"))
_NO_PLACES = ("Etc/", "posix", "right", "SystemV/", "US/")
_ZONES = sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith(_NO_PLACES))


async def show(visit: Visit) -> Response:
    """GET /notifications."""
    return await _page(visit)


async def _page(visit: Visit, *, status: int = 200, field: str = "", error: str = "", typed: str = "") -> Response:
    notifier, person_id = _notifier(visit), visit.person.person_id
    try:
        push_key = await notifier.application_server_key()
    except ConfigurationError:
        push_key = None
    return visit.page(
        "notifications.html",
        status=status,
        saved=_SAVED.get(visit.request.query_params.get("saved", "")) if not error else None,
        field=field,
        error=error,
        typed=typed,
        places=await notifier.subscriptions(person_id),
        channels=list(notifier.channels.values()),
        push_key=push_key,
        preferences=await notifier.preferences(person_id),
        digests=_DIGESTS,
        zones=_ZONES,
        web_push=WEB_PUSH,
    )


def _notifier(visit: Visit) -> Notifier:
    if visit.site.notifier is None:
        raise NotFound("This server tells nobody anything.")
    return visit.site.notifier


async def subscribe_browser(visit: Visit) -> Response:
    """POST /notifications/browser: what `PushManager.subscribe` gave."""
    if not visit.is_recent:
        return visit.sign_in_again("/notifications")
    form = visit.form
    try:
        await _notifier(visit).subscribe_browser(
            visit.person.person_id,
            endpoint=form.get("endpoint"),
            p256dh=form.get("p256dh"),
            auth=form.get("auth"),
            name=browser_name(visit.request.headers.get("user-agent", "")),
        )
    except (InvalidRequest, RateLimited) as error:
        return await _page(visit, status=400, field="browser", error=error.detail)
    return visit.redirect("/notifications?saved=browser")


async def subscribe(visit: Visit) -> Response:
    """POST /notifications/channel: an address on one of the operator's channels."""
    if not visit.is_recent:
        return visit.sign_in_again("/notifications")
    channel, to = visit.form.get("channel"), visit.form.get("to")
    try:
        await _notifier(visit).subscribe(visit.person.person_id, channel, to)
    except (InvalidRequest, RateLimited, NotDelivered) as error:
        return await _page(visit, status=400, field=channel, error=error.detail, typed=to)
    return visit.redirect("/notifications?saved=sent")


async def confirm(visit: Visit) -> Response:
    """POST /notifications/confirm: the code that was sent there."""
    id_ = visit.form.get("id")
    try:
        await _notifier(visit).confirm(visit.person.person_id, id_, visit.form.get("code"))
    except InvalidCode as error:
        return await _page(visit, status=400, field=id_, error=error.detail)
    return visit.redirect("/notifications?saved=confirmed")


async def remove(visit: Visit) -> Response:
    """POST /notifications/remove."""
    await _notifier(visit).unsubscribe(visit.person.person_id, visit.form.get("id"))
    return visit.redirect("/notifications?saved=removed")


async def send_test(visit: Visit) -> Response:
    """POST /notifications/test."""
    id_ = visit.form.get("id")
    try:
        await _notifier(visit).send_test(visit.person.person_id, id_)
    except NotFound:
        raise
    except (AAuthError, OSError):
        return await _page(visit, status=502, field=id_, error="The message could not be delivered there now.")
    return visit.redirect("/notifications?saved=test")


async def set_when(visit: Visit) -> Response:
    """POST /notifications/when: quiet hours and digests."""
    form = visit.form
    try:
        preferences = Preferences(
            quiet_from=_minute(form.get("quiet_from")),
            quiet_until=_minute(form.get("quiet_until")),
            zone=form.get("zone") or "UTC",
            digest_minutes=_whole(form.get("digest")),
        )
        await _notifier(visit).set_preferences(visit.person.person_id, preferences)
    except InvalidRequest as error:
        return await _page(visit, status=400, field="when", error=error.detail)
    return visit.redirect("/notifications?saved=when")


def _minute(text: str) -> int | None:
    """Minutes after midnight of `HH:MM`, as a time field sends it; `None` for an empty one."""
    if not text:
        return None
    hours, _, minutes = text.partition(":")
    return _whole(hours, most=23) * 60 + _whole(minutes, most=59)


def _whole(text: str, *, most: int = 24 * 60) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > most:
        raise InvalidRequest("Choose a time such as 22:00.")
    return int(text)
