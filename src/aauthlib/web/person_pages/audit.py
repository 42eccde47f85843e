"""The person's audit log: searched, page by page, and as a file (#ps-approval-endpoint-auth). Only ever their own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from ...store.person_audit import AuditSearch
from ...store.person_records import AuditRecord
from ..pages import PageError
from .visit import Visit

__all__ = ["export", "show_audit"]

_FIELDS = ("agent", "resource", "action", "from", "to", "words")
_MOST_TYPED = 200
_SHOWN = 50
_AT_ONCE = 500
#: A file never holds more entries than this; the dates lead to the older ones.
_MOST_EXPORTED = 50_000
_MOST_NUMBER = 2**31 - 1
#: A spreadsheet takes a cell that begins with one of these for a formula, and carries it out.
_FORMULA = tuple("=+-@\t\r\n|%＝＋－＠")
_COLUMNS = ("at", "action", "agent_iss", "agent_sub", "resource", "result", "details")


async def show_audit(visit: Visit) -> Response:
    """GET /log."""
    typed = _typed(visit)
    try:
        sought = _sought(typed)
    except PageError as error:
        return visit.page("audit.html", status=error.status, error=str(error), typed=typed, entries=(), older=None)
    page = await visit.site.server.search_history(visit.person.person_id, sought, before=_before(visit), limit=_SHOWN)
    given = {name: value for name, value in typed.items() if value}
    return visit.page(
        "audit.html",
        error="",
        typed=typed,
        entries=[(entry, [(name, _shown(value)) for name, value in entry.details.items()]) for entry in page.entries],
        older=urlencode({**given, "before": page.before}) if page.before is not None else None,
        searched=bool(given) or _before(visit) is not None,
    )


async def export(visit: Visit) -> Response:
    """GET /log/export: what is found, in one file, written as it is read."""
    write = _FORMATS.get(visit.request.query_params.get("format", ""))
    if write is None:
        raise PageError(400, "No such format", "The log is exported as csv or as jsonl.")
    sought = _sought(_typed(visit))
    line, media_type, name, first = write
    response = StreamingResponse(
        _lines(visit, sought, line, first),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
    visit.site.pages.protect(response)
    return response


async def _lines(
    visit: Visit, sought: AuditSearch, line: Callable[[AuditRecord], str], first: str
) -> AsyncIterator[str]:
    server, person_id = visit.site.server, visit.person.person_id
    if first:
        yield first
    before, left = None, _MOST_EXPORTED
    while left > 0:
        page = await server.search_history(person_id, sought, before=before, limit=min(_AT_ONCE, left))
        yield "".join(map(line, page.entries))
        left -= len(page.entries)
        before = page.before
        if before is None:
            return


# ------------------------------------------------------------------------- what was asked for


def _typed(visit: Visit) -> dict[str, str]:
    given = visit.request.query_params
    return {name: given.get(name, "").strip()[:_MOST_TYPED] for name in _FIELDS}


def _sought(typed: dict[str, str]) -> AuditSearch:
    if any("\0" in value for value in typed.values()):
        raise PageError(400, "Not a search", "No entry has a NUL in it. Search for something else.")
    since, last = _day(typed["from"]), _day(typed["to"])
    return AuditSearch(
        agent=typed["agent"],
        resource=typed["resource"],
        action=typed["action"],
        since=since,
        until=last + timedelta(days=1).total_seconds() if last is not None else None,
        words=typed["words"],
    )


def _day(typed: str) -> float | None:
    """When a day begins, in UTC."""
    if not typed:
        return None
    try:
        day = date.fromisoformat(typed)
    except ValueError:
        raise PageError(400, "Not a date", "A date is a year, a month and a day, such as 2026-11-26.") from None
    return datetime.combine(day, time(), UTC).timestamp()


def _before(visit: Visit) -> int | None:
    given = visit.request.query_params.get("before", "")
    if not given:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 10 and int(given) <= _MOST_NUMBER):
        raise PageError(400, "No such page", "Open the log again and go on from there.")
    return int(given)


# ------------------------------------------------------------------------- what is written


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _values(entry: AuditRecord) -> dict[str, object]:
    iss, sub = entry.agent or (None, None)
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="seconds")
    values = (at, entry.action, iss, sub, entry.resource, entry.result, dict(entry.details))
    return dict(zip(_COLUMNS, values, strict=True))


def _json_line(entry: AuditRecord) -> str:
    return json.dumps(_values(entry), ensure_ascii=False) + "\n"


def _csv_line(entry: AuditRecord) -> str:
    return _csv([_cell(_shown(value) if value is not None else "") for value in _values(entry).values()])


def _cell(text: str) -> str:
    """With a quote before what a spreadsheet would carry out, also after spaces."""
    return f"'{text}" if text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _csv(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue()


_FORMATS: dict[str, tuple[Callable[[AuditRecord], str], str, str, str]] = {
    "csv": (_csv_line, "text/csv; charset=utf-8", "log.csv", _csv(list(_COLUMNS))),
    "jsonl": (_json_line, "application/jsonl", "log.jsonl", ""),
}
