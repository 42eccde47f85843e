"""Searching a person's audit log (#ps-approval-endpoint-auth): the newest first, each page from the last one's end.

The details are encrypted where the operator set a key, so no database can look for words in them: they are looked for
here, in a bounded number of entries at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, or_, select

from .database import Database, from_json
from .person_records import AuditRecord
from .person_tables import audit_log

__all__ = ["AuditPage", "AuditSearch", "SQLAudit", "audit_record"]

_BATCH = 500
_MOST_LOOKED_AT = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """What entries are looked for. What is empty restricts nothing; text is found anywhere, in any case."""

    agent: str = ""
    """In the agent's identifier or its provider's."""
    resource: str = ""
    action: str = ""
    since: float | None = None
    """The first moment, in seconds since 1970."""
    until: float | None = None
    """The moment after the last."""
    words: str = ""
    """All of them are in the entry, the details included."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries found, the newest first."""

    entries: tuple[AuditRecord, ...]
    before: int | None
    """Where to look on, or `None` at the end. There may be more even if no entry was found here."""


class SQLAudit:
    """The part of a person server's store that searches the audit log."""

    database: Database

    async def search_history(
        self, person_id: str, sought: AuditSearch, *, before: int | None = None, limit: int = 50
    ) -> AuditPage:
        """At most `limit` entries about this person and older than number `before`; of nobody else, whatever is sought.

        Not more than 5000 entries are looked at for words: `before` of what is returned says where it stopped.
        """
        words = sought.words.lower().split()
        # One more than asked for tells whether there is another page.
        size = _BATCH if words else limit + 1
        found: list[Any] = []
        looked_at = 0
        while True:
            query = _query(person_id, sought, before=before).limit(size)
            async with self.database.reading() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                if not _has(row, words):
                    continue
                if len(found) == limit:
                    return AuditPage(tuple(map(audit_record, found)), found[-1].id)
                found.append(row)
            if len(rows) < size:
                return AuditPage(tuple(map(audit_record, found)), None)
            before = rows[-1].id
            looked_at += len(rows)
            if looked_at >= _MOST_LOOKED_AT:
                return AuditPage(tuple(map(audit_record, found)), before)


def _query(person_id: str, sought: AuditSearch, *, before: int | None) -> Select[Any]:
    columns = audit_log.c
    query = select(audit_log).where(columns.person_id == person_id).order_by(columns.id.desc())
    if before is not None:
        query = query.where(columns.id < before)
    if sought.since is not None:
        query = query.where(columns.at >= sought.since)
    if sought.until is not None:
        query = query.where(columns.at < sought.until)
    for text, places in (
        (sought.agent, (columns.agent_sub, columns.agent_iss)),
        (sought.resource, (columns.resource,)),
        (sought.action, (columns.action,)),
    ):
        if text:
            query = query.where(or_(*(func.lower(place).contains(text.lower(), autoescape=True) for place in places)))
    return query


def _has(row: Any, words: list[str]) -> bool:
    if not words:
        return True
    said = _texts(from_json(row.details))
    whole = "\n".join((row.action, row.result, row.agent_iss or "", row.agent_sub or "", row.resource or "", *said))
    whole = whole.lower()
    return all(word in whole for word in words)


def _texts(value: Any) -> list[str]:
    """Every text in a JSON value, names included."""
    if isinstance(value, dict):
        return [text for name, each in value.items() for text in (str(name), *_texts(each))]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [str(value)]


def audit_record(row: Any) -> AuditRecord:
    """A row of the audit log."""
    return AuditRecord(
        at=row.at,
        person_id=row.person_id,
        action=row.action,
        agent=(row.agent_iss, row.agent_sub) if row.agent_iss is not None else None,
        resource=row.resource,
        result=row.result,
        details=from_json(row.details),
    )
