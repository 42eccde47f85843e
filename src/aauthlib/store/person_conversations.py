"""The conversation between a person and the agent that asks, turn by turn (#clarification-chat).

Each turn, the state it leads to and its entry in the log are one transaction. A turn is never changed or removed while
its request is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Float, Integer, String, Table, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event, IllegalTransition, State
from ..errors import AAuthError, Expired
from .database import Database, from_json, schema, to_json
from .pending import advance, pending_table
from .person_deciding import TIMED_OUT, check_waiting, expire, lock_owner, request_of, visible
from .person_mission_log import add_entry
from .person_mission_records import LogEntry
from .person_records import AuditRecord, NotWaiting, PersonRequest
from .person_tables import federations, person_requests
from .person_tokens import add_audit
from .rows import token_key
from .sealed import Sealed

__all__ = [
    "MAX_QUESTIONS",
    "RequestChanged",
    "SQLConversations",
    "TooManyQuestions",
    "Turn",
    "append_turn",
    "replace_request",
    "turn_entry",
    "turns",
    "turns_of",
    "version_of",
]

#: Questions a person may ask about one request (#clarification-limits).
MAX_QUESTIONS = 5

_ACTIONS = {
    "question": "ask agent",
    "answer": "agent answers",
    "update": "agent updates request",
    "server_question": "access server asks",
    "person_answer": "answer access server",
    "mission_answer": "answer access server as before",
}
_ACTORS = {
    "question": "person",
    "server_question": "access server",
    "person_answer": "person",
    "mission_answer": "server",
}

turns = Table(
    "person_turns",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("text", Sealed("person_turns.text"), nullable=False),
    Column("details", Sealed("person_turns.details"), nullable=False),
    Column("at", Float, nullable=False),
)


class TooManyQuestions(AAuthError):
    """The person has asked as often as one request allows (#clarification-limits)."""


class RequestChanged(AAuthError):
    """The agent has updated its request since the page that decides was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of a conversation. The words are those of whoever said them, unsanitised."""

    kind: Literal["question", "answer", "update", "server_question", "person_answer", "mission_answer"]
    """A question is the person's; answers and updates are the agent's. An access server's question is answered by the
    agent too, by the person, or by what was answered before in the mission."""
    text: str
    at: float
    options: tuple[str, ...] = ()
    """Of a question: answers the person offered."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    """Of an update: scope values."""


def version_of(request: Mapping[str, Any]) -> str:
    """Names what is asked exactly as it stands: a decision counts only for the version that was shown."""
    return hashlib.sha256(to_json(dict(request)).encode()).hexdigest()[:32]


class SQLConversations:
    """The part of a person server's store that keeps conversations."""

    database: Database

    async def conversation(self, digest: str) -> list[Turn]:
        """Every turn about a request, the oldest first."""
        async with self.database.reading() as connection:
            return await turns_of(connection, digest)

    async def ask_agent(self, digest: str, *, person_id: str, turn: Turn, now: float) -> PersonRequest:
        """The person asks the agent. Raises `NotFound`, `NotWaiting`, `Expired` or `TooManyQuestions`."""
        async with self.database.transaction() as connection:
            await lock_owner(connection, digest)
            request = await visible(connection, digest, person_id)
            timed_out = await expire(connection, request, now=now)
            if not timed_out:
                check_waiting(request)
                if request.pending.state is State.CLARIFYING:
                    raise NotWaiting("The agent has not answered the question before this one.")
                asked = select(func.count()).where(turns.c.digest == digest, turns.c.kind == "question")
                if (await connection.scalar(asked) or 0) >= MAX_QUESTIONS:
                    raise TooManyQuestions(f"At most {MAX_QUESTIONS} questions can be asked about one request.")
                if request.pending.state is State.PENDING:
                    # Who asks has engaged, also where the page was reached without the code.
                    await advance(connection, digest, Event.ARRIVE)
                await advance(connection, digest, Event.ASK)
                await append_turn(connection, request, turn, person_id)
            request = await request_of(connection, digest)
        if timed_out:
            raise Expired(TIMED_OUT)
        return request

    async def answer_person(
        self,
        digest: str,
        turn: Turn,
        *,
        replaced: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
        expires_at: float | None = None,
        tokens: Mapping[str, str] | None = None,
        tokens_exp: float | None = None,
    ) -> None:
        """The agent answers; with `request`, by an update of `replaced`, and `tokens` for its access server.

        Raises `NotFound`, or `NotWaiting` when no question is open, or the request is not `replaced` any more.
        """
        async with self.database.transaction() as connection:
            await lock_owner(connection, digest)
            before = await request_of(connection, digest, lock=True)
            if replaced is not None and version_of(before.pending.request) != version_of(replaced):
                raise NotWaiting("This request was updated at the same time.")
            try:
                await advance(connection, digest, Event.ANSWER)
            except IllegalTransition as error:
                raise NotWaiting("This request is not waiting for an answer.") from error
            if request is not None:
                await replace_request(connection, digest, request, expires_at or before.pending.expires_at)
            if tokens is not None:
                held = await connection.scalar(select(federations.c.tokens).where(federations.c.digest == digest))
                merged = {**(from_json(held) if held else {}), **tokens}
                await connection.execute(
                    update(federations)
                    .where(federations.c.digest == digest)
                    .values(tokens=to_json(merged), tokens_exp=tokens_exp)
                )
            await append_turn(connection, before, turn, before.person_id)


async def replace_request(
    connection: AsyncConnection, digest: str, request: Mapping[str, Any], expires_at: float
) -> None:
    """What is asked becomes `request`, in the caller's transaction."""
    await connection.execute(
        update(pending_table)
        .where(pending_table.c.digest == digest)
        .values(request=to_json(dict(request)), expires_at=expires_at)
    )
    await connection.execute(
        update(person_requests)
        .where(person_requests.c.digest == digest)
        .values(
            resource_token=token_key(request["resource"], request["resource_jti"]),
            flow=(request.get("interaction") or {}).get("flow"),
            resource_done=False,
        )
    )


async def append_turn(connection: AsyncConnection, request: PersonRequest, turn: Turn, person_id: str | None) -> None:
    """Keep a turn and its entry in the log; the request's row is locked, so the number is free."""
    digest = request.pending.digest
    lists = {"options": turn.options, "added": turn.added, "removed": turn.removed}
    details = {name: list(values) for name, values in lists.items() if values}
    number = await connection.scalar(select(func.count()).where(turns.c.digest == digest)) or 0
    await connection.execute(
        insert(turns).values(
            digest=digest, number=number, kind=turn.kind, text=turn.text, details=to_json(details), at=turn.at
        )
    )
    action = _ACTIONS[turn.kind]
    await add_audit(
        connection,
        AuditRecord(
            at=turn.at,
            person_id=person_id,
            action=action,
            agent=request.agent,
            resource=request.pending.request.get("resource"),
            result=turn.kind,
            details={"text": turn.text, **details},
        ),
    )
    mission = request.pending.request.get("mission_s256")
    if mission is not None:
        await add_entry(connection, mission, turn_entry(turn))


def turn_entry(turn: Turn) -> LogEntry:
    """What a mission's log says of a turn of a conversation (#mission-log)."""
    lists = {"options": turn.options, "added": turn.added, "removed": turn.removed}
    content = {"text": turn.text, **{name: list(values) for name, values in lists.items() if values}}
    kind = "change" if turn.kind == "update" else turn.kind
    return LogEntry(at=turn.at, kind=kind, actor=_ACTORS.get(turn.kind, "agent"), content=content)


async def turns_of(connection: AsyncConnection, digest: str) -> list[Turn]:
    """The conversation about a request, oldest turn first."""
    rows = await connection.execute(select(turns).where(turns.c.digest == digest).order_by(turns.c.number))
    return [
        Turn(
            kind=row.kind,
            text=row.text,
            at=row.at,
            **{name: tuple(values) for name, values in from_json(row.details).items()},
        )
        for row in rows
    ]
