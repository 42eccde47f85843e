"""Questions of access servers and what was answered to them, in a person server's database (#clarification-chat).

An answer is kept before it is sent, in one transaction with its turn of the conversation and its log entry.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import State
from ..errors import AAuthError, InvalidCode
from .database import Database, from_json, to_json
from .pending import load, pending_table
from .person_conversations import Turn, append_turn, replace_request, version_of
from .person_deciding import lock_owner, may_decide, request_of
from .person_mission_tables import mission_answers
from .person_records import AgentOfAnotherPerson, Federation, PersonRequest
from .person_tables import federations, person_requests
from .rows import insert_once, key_of

__all__ = ["SQLServerQuestions", "add_turns"]

_MOST_LISTED = 50


class SQLServerQuestions:
    """The part of a person server's store that is about questions of access servers."""

    database: Database

    async def answer_server(
        self,
        before: Federation,
        turns: Sequence[Turn],
        *,
        waits_for: Mapping[str, Any],
        replaced: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
        expires_at: float = 0.0,
        tokens: Mapping[str, str] | None = None,
        tokens_exp: float | None = None,
        remember: tuple[str, tuple[str, ...], str] | None = None,
        now: float,
    ) -> bool:
        """Keep an answer that is to be sent: `waits_for` in place of what it was in `before`.

        An update has what is asked from now on (`request`, in place of `replaced`, ending at `expires_at`) and the
        `tokens` to present. `remember` is a mission, what its answer is found by, and the answer. Returns `False`,
        having written nothing, when somebody was faster or the request is not with its access server any more.
        """
        digest = before.digest
        async with self.database.transaction() as connection:
            await lock_owner(connection, digest)
            found = await request_of(connection, digest, lock=True)
            row = (await connection.execute(_locked(digest))).one_or_none()
            if row is None or row.waits_for is None or row.lease_until > now:
                return False
            if found.pending.state is not State.GRANTED or from_json(row.waits_for) != before.waits_for:
                return False
            if replaced is not None and version_of(found.pending.request) != version_of(replaced):
                return False
            values: dict[str, Any] = {"waits_for": to_json(dict(waits_for)), "due_at": 0.0}
            if request is not None:
                await replace_request(connection, digest, request, expires_at)
                values |= {"tokens": to_json(dict(tokens or {})), "tokens_exp": tokens_exp}
            await connection.execute(update(federations).where(federations.c.digest == digest).values(**values))
            for turn in turns:
                await append_turn(connection, found, turn, found.pending.decision.get("granted_by"))
            if remember is not None:
                mission, key, answer = remember
                await insert_once(
                    connection,
                    mission_answers,
                    key=key_of(mission, *key),
                    mission=mission,
                    answer=answer,
                    at=now,
                )
        return True

    async def note_turns(self, digest: str, turns: Sequence[Turn]) -> None:
        """Add turns to a conversation with an access server."""
        async with self.database.transaction() as connection:
            await add_turns(connection, digest, turns)

    async def mission_answer(self, mission: str, key: tuple[str, ...]) -> str | None:
        """What the person answers whenever this is asked in the mission."""
        query = select(mission_answers.c.answer).where(mission_answers.c.key == key_of(mission, *key))
        async with self.database.transaction() as connection:
            answer: str | None = await connection.scalar(query)
        return answer

    async def questions_for(self, person_id: str, *, now: float) -> list[PersonRequest]:
        """Requests of this person that an access server asks something about, the oldest first."""
        query = (
            select(federations.c.digest, federations.c.waits_for)
            .join(pending_table, pending_table.c.digest == federations.c.digest)
            .join(person_requests, person_requests.c.digest == federations.c.digest)
            .where(
                pending_table.c.state == str(State.GRANTED),
                pending_table.c.expires_at > now,
                federations.c.waits_for.is_not(None),
                may_decide(person_id),
            )
            .order_by(pending_table.c.created_at)
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            rows = list(await connection.execute(query))
            asked = [row.digest for row in rows if _is_open(from_json(row.waits_for).get("question"))]
            return [await request_of(connection, digest) for digest in asked]

    # ------------------------------------------------------------------ sending the person to the page

    async def name_question(self, digest: str, *, handle: str, code_digest: str) -> None:
        """Give a question's page a name and a code, if it does not have them already."""
        async with self.database.transaction() as connection:
            pending = await load(connection, digest, lock=True)
            if pending.state is State.GRANTED and pending.handle != handle:
                await connection.execute(
                    update(pending_table)
                    .where(pending_table.c.digest == digest)
                    .values(handle=handle, code_digest=code_digest, code_attempts=0, code_consumed=False)
                )

    async def arrive_for_question(
        self, digest: str, code_digest: str, *, person_id: str | None, max_attempts: int
    ) -> None:
        """Use up the code of a question's page for the person who had said yes; without one only compare it.

        A wrong code counts. Raises `InvalidCode`, or `AgentOfAnotherPerson`, which uses nothing up.
        """
        failure: AAuthError | None = None
        async with self.database.transaction() as connection:
            pending = await load(connection, digest, lock=True)
            where = pending_table.c.digest == digest
            spent = pending.code_consumed or pending.code_attempts >= max_attempts
            if pending.state is not State.GRANTED or spent:
                failure = InvalidCode("The code was used already, or is no longer valid.")
            elif not hmac.compare_digest(pending.code_digest or "", code_digest):
                attempts = pending.code_attempts + 1
                await connection.execute(update(pending_table).where(where).values(code_attempts=attempts))
                failure = InvalidCode("The code is not recognised.")
            elif person_id is not None and pending.decision.get("granted_by") != person_id:
                failure = AgentOfAnotherPerson("This agent is connected to another account at this person server.")
            elif person_id is not None:
                await connection.execute(update(pending_table).where(where).values(code_consumed=True))
        if failure is not None:
            raise failure


async def add_turns(connection: AsyncConnection, digest: str, turns: Sequence[Turn]) -> None:
    """`SQLServerQuestions.note_turns`, in the caller's transaction."""
    await lock_owner(connection, digest)
    found = await request_of(connection, digest, lock=True)
    for turn in turns:
        await append_turn(connection, found, turn, found.pending.decision.get("granted_by"))


def _locked(digest: str) -> Any:
    return select(federations).where(federations.c.digest == digest).with_for_update()


def _is_open(question: Mapping[str, Any] | None) -> bool:
    return question is not None and question.get("answer") is None
