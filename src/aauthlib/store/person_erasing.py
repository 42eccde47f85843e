"""Erasing a person, in the caller's transaction: what identifies them goes, what must be kept names a pseudonym.

What is kept: records of tokens until they expire, which revocation needs; ended requests for the hour in which their
agents may still ask; the audit log, which says what was done but not by whom.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import Text, delete, or_, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .access_approval_tables import access_approval_entries
from .approval_tables import approval_entries
from .database import from_json, to_json
from .pending import pending_table
from .person_conversations import turns
from .person_data import PERSONAL
from .person_tables import audit_log, federated_tokens, federations, issued_tokens, person_requests
from .sealing import PREFIX

__all__ = ["erase"]

#: Of an audit entry's details, what says what was done and not who did it.
_KEPT_DETAILS = frozenset({"scopes", "scope", "remember", "tokens", "requests", "tenant", "role", "exp"})
#: Of a request, what names the person, what the agent says for them to read, and whom it would have asked.
_WORDS = (
    "sub",
    "justification",
    "device",
    "platform",
    "login_hint",
    "domain_hint",
    "account",
    "proposal",
    "text",
    "permission",
)


async def erase(connection: AsyncConnection, person_id: str, *, pseudonym: str) -> None:
    """Agents are disconnected already. `pseudonym` is random: nothing leads back from it."""
    await _requests(connection, person_id, pseudonym)
    await _audit(connection, person_id, pseudonym)
    for table in (issued_tokens, federated_tokens):
        await connection.execute(update(table).where(table.c.person_id == person_id).values(person_id=pseudonym))
    for column in (approval_entries.c.person_id, approval_entries.c.seat):
        # Others rely on how something was decided; what was said, and from where, goes.
        await connection.execute(
            update(approval_entries)
            .where(column == person_id)
            .values({column.name: pseudonym, "text": "", "network": "", "browser": "", "method": ""})
        )
    # The same of an access server that shares the database, where who decided is named, too.
    await connection.execute(
        update(access_approval_entries)
        .where(access_approval_entries.c.person_id == person_id)
        .values(person_id=pseudonym, name="", text="", network="", browser="", method="")
    )
    # The account last: other tables refer to it.
    for held in reversed(PERSONAL):
        if held.ending == "deleted":
            await connection.execute(delete(held.table).where(held.of(person_id)))


async def _requests(connection: AsyncConnection, person_id: str, pseudonym: str) -> None:
    mine = or_(person_requests.c.person_id == person_id, person_requests.c.acting_for == person_id)
    digests = list((await connection.execute(select(person_requests.c.digest).where(mine))).scalars())
    for table in (federations, turns):
        await connection.execute(delete(table).where(table.c.digest.in_(digests)))
    rows = await connection.execute(
        select(pending_table.c.digest, pending_table.c.request, pending_table.c.decision).where(
            pending_table.c.digest.in_(digests)
        )
    )
    for row in rows.all():
        request = {name: value for name, value in from_json(row.request).items() if name not in _WORDS}
        await connection.execute(
            update(pending_table)
            .where(pending_table.c.digest == row.digest)
            .values(
                request=_renamed(to_json(request), person_id, pseudonym),
                decision=_renamed(row.decision, person_id, pseudonym),
            )
        )
    for column in (person_requests.c.person_id, person_requests.c.acting_for):
        await connection.execute(
            update(person_requests).where(column == person_id).values({column.name: pseudonym, "callback": None})
        )


async def _audit(connection: AsyncConnection, person_id: str, pseudonym: str) -> None:
    rows = await connection.execute(
        select(audit_log.c.id, audit_log.c.agent_sub, audit_log.c.details).where(audit_log.c.person_id == person_id)
    )
    for row in rows.all():
        details = {name: value for name, value in from_json(row.details).items() if name in _KEPT_DETAILS}
        values: dict[str, Any] = {"person_id": pseudonym, "details": to_json(details)}
        if row.agent_sub is not None:
            # The same agent stays recognisable as the same, and its name, often its owner's, is gone.
            values["agent_sub"] = "agent-" + hashlib.sha256(f"{pseudonym} {row.agent_sub}".encode()).hexdigest()[:16]
        await connection.execute(update(audit_log).where(audit_log.c.id == row.id).values(**values))
    # Entries of others that say who did it, such as an administrator.
    raw = type_coerce(audit_log.c.details, Text)
    mentioned = or_(raw.contains(person_id, autoescape=True), raw.startswith(PREFIX, autoescape=True))
    others = await connection.execute(select(audit_log.c.id, audit_log.c.details).where(mentioned))
    for other in others:
        # What is sealed has to be opened to be searched.
        if person_id not in other.details:
            continue
        renamed = _renamed(other.details, person_id, pseudonym)
        await connection.execute(update(audit_log).where(audit_log.c.id == other.id).values(details=renamed))


def _renamed(text: str, person_id: str, pseudonym: str) -> str:
    """JSON text with the person's identifier, 128 random bits, replaced wherever it stands."""
    return text.replace(person_id, pseudonym)
