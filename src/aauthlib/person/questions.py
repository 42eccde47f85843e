"""Questions of access servers, and who answers them (#as-response, #requirement-clarification).

In this order: what the person answered before in the mission, the server's operator (`answering`), the agent if it
takes questions. The person may answer on their page as long as nobody has, and is sent there where the agent takes
none. An answer is kept before it is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ..deferred.machine import State
from ..deferred.pending import MAX_CODE_ATTEMPTS, Pending
from ..errors import Gone, InvalidCode, InvalidRequest, NotFound, TemporarilyUnavailable
from ..messages.bodies import ClarificationAnswer
from ..messages.codes import code_digest
from ..messages.missions import MissionBlob
from ..store.person_conversations import Turn
from ..store.person_records import Federation
from ..tokens import AgentToken
from .asked import Asked
from .consent import ServerQuestion
from .core import PersonServerCore
from .federation import Question, Waiting
from .updates import MAX_ANSWER_LENGTH, said, verify_update

__all__ = ["Answering", "AskedByServer", "ServerQuestions", "waits_of"]

_NO_QUESTION = "This request is not waiting for an answer. Poll it with GET, or withdraw it with DELETE."


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedByServer:
    """A question, for whoever answers in place of the person and the agent."""

    question: str
    options: tuple[str, ...]
    access_server: str
    resource: str
    scope: tuple[str, ...]
    mission: MissionBlob | None


#: What a server's operator answers for its people; `None` leaves it to them and their agents.
Answering = Callable[[AskedByServer], Awaitable[str | None]]


class ServerQuestions(PersonServerCore):
    """Answers access servers. Federating sends what is kept here."""

    def __init__(self, *, answering: Answering | None = None, person_first_s: float = 0.0, **settings: Any) -> None:
        """`answering` is asked first. `person_first_s` is how long a person who has just agreed is alone with a
        question before the agent gets it too."""
        super().__init__(**settings)
        self.answering, self.person_first_s = answering, person_first_s

    # ------------------------------------------------------------------ by the person

    async def answer_access_server(self, digest: str, answer: str, *, person_id: str, remember: bool = False) -> None:
        """The person answers on their page; with `remember`, for as often as it is asked in the mission.

        Raises `NotFound`, `Gone` when nothing is asked any more, `InvalidRequest`, or `TemporarilyUnavailable`.
        """
        request = await self.store.request_for(digest, person_id=person_id, now=self.clock())
        pending, asked = request.pending, Asked.of(request.pending.request)
        record = await self.store.federation(digest) if pending.state is State.GRANTED else None
        question = waits_of(record).question if record is not None else None
        if record is None or question is None or not question.open:
            raise Gone("The access server does not wait for an answer any more.")
        if pending.decision.get("granted_by") != person_id:
            raise NotFound("There is no such request.")
        text = said(answer, "The answer")
        _check(question, text)
        mission = asked.mission_s256 if remember else None
        kept = await self.store.answer_server(
            record,
            [Turn(kind="person_answer", text=text, at=self.clock())],
            waits_for=_answered(record, question, text),
            remember=(mission, _key(asked, question), text) if mission is not None else None,
            now=self.clock(),
        )
        if not kept:
            raise Gone("Somebody else answered meanwhile.")

    async def question_and_refusal(self, pending: Pending) -> tuple[ServerQuestion | None, str | None]:
        """For the page: what the access server asks, and why it granted nothing."""
        if pending.state is not State.GRANTED and pending.state is not State.DELIVERED:
            return None, None
        record = await self.store.federation(pending.digest)
        if record is None:
            return None, None
        waits, shown = waits_of(record), None
        if waits.question is not None and waits.question.open and pending.state is State.GRANTED:
            question = waits.question
            shown = ServerQuestion(
                text=question.text, options=question.options, agent_too=is_agents(question, now=self.clock())
            )
        return shown, waits.ended.detail if waits.ended is not None else None

    async def arrive_for_question(self, handle: str, code: str, *, person_id: str | None) -> str | None:
        """The digest of a request whose question has a page with this handle, if it is one.

        Raises as `SQLServerQuestions.arrive_for_question` does.
        """
        pending = await self.store.get_interaction(handle)
        if pending is None or pending.state is not State.GRANTED:
            return None
        record = await self.store.federation(pending.digest)
        if record is None or not is_open(record):
            raise InvalidCode("The question was answered already.")
        await self.store.arrive_for_question(
            pending.digest, code_digest(code), person_id=person_id, max_attempts=MAX_CODE_ATTEMPTS
        )
        return pending.digest

    # ------------------------------------------------------------------ by the agent

    async def agent_answers(self, pending: Pending, asked: Asked, body: ClarificationAnswer, agent: AgentToken) -> None:
        """The agent answers in words, or updates its request.

        Raises `InvalidRequest`, `TemporarilyUnavailable`, and for an update the errors of #resource-token-verification.
        """
        record = await self.store.federation(pending.digest) if pending.state is State.GRANTED else None
        question = waits_of(record).question if record is not None else None
        if record is None or question is None or not is_agents(question, now=self.clock()):
            raise InvalidRequest(_NO_QUESTION)
        if body.action == "updated_request":
            kept = await self._update_there(record, question, pending, asked, body, agent)
        else:
            text = said(body.clarification_response, "clarification_response")
            _check(question, text)
            turn = Turn(kind="answer", text=text, at=self.clock())
            kept = await self.store.answer_server(
                record, [turn], waits_for=_answered(record, question, text), now=self.clock()
            )
        if not kept:
            raise TemporarilyUnavailable("Somebody else is answering just now. Poll with GET.", retry_after_s=2)

    async def _update_there(
        self,
        record: Federation,
        question: Question,
        pending: Pending,
        asked: Asked,
        body: ClarificationAnswer,
        agent: AgentToken,
    ) -> bool:
        updated = await verify_update(self, asked, body, agent)
        allowed = set(pending.decision.get("scopes", ()))
        if not set(updated.asked.scope) <= allowed or updated.asked.account != asked.account:
            # The person has said yes already, to what was on the page; a question cannot make it more.
            raise InvalidRequest(
                "The person allowed less than the update asks for. Withdraw this request and ask anew."
            )
        if updated.asked.interaction is not None:
            raise InvalidRequest("The resource wants the person first. Withdraw this request and ask anew.")
        turn = Turn(kind="update", text=updated.reason, added=updated.added, removed=updated.removed, at=self.clock())
        return await self.store.answer_server(
            record,
            [turn],
            waits_for=_answered(record, question, updated.reason, updates=True),
            replaced=pending.request,
            request=updated.asked.to_request(),
            expires_at=min(pending.expires_at, updated.asked.not_after),
            tokens=updated.tokens,
            tokens_exp=updated.tokens_exp,
            now=self.clock(),
        )

    # ------------------------------------------------------------------ by the server itself

    async def own_answer(self, asked: Asked, question: Question) -> str | None:
        """What is answered without asking anybody: as before in the mission, or by the operator."""
        answer = None
        if asked.mission_s256 is not None:
            answer = await self.store.mission_answer(asked.mission_s256, _key(asked, question))
        if answer is None and self.answering is not None:
            mission = None
            if asked.mission_s256 is not None:
                found = await self.store.mission(asked.root or asked.agent_id, asked.mission_s256)
                mission = found.terms() if found is not None else None
            answer = await self.answering(
                AskedByServer(
                    question=question.text,
                    options=question.options,
                    access_server=str(asked.access_server),
                    resource=asked.resource,
                    scope=asked.scope,
                    mission=mission,
                )
            )
        usable = answer is not None and 0 < len(answer) <= MAX_ANSWER_LENGTH
        return answer if usable and (not question.options or answer in question.options) else None


def waits_of(record: Federation) -> Waiting:
    """What the access server's last answer required."""
    return msgspec.convert(dict(record.waits_for), Waiting) if record.waits_for is not None else Waiting()


def is_open(record: Federation) -> bool:
    """Whether a question of the access server waits for an answer."""
    question = waits_of(record).question
    return question is not None and question.open


def is_agents(question: Question, *, now: float) -> bool:
    """Whether the question is the agent's to answer by now."""
    return question.open and question.agent_from is not None and question.agent_from <= now


def _answered(record: Federation, question: Question, answer: str, *, updates: bool = False) -> dict[str, Any]:
    waits = msgspec.structs.replace(
        waits_of(record), question=msgspec.structs.replace(question, answer=answer, updates=updates), pause_s=0.0
    )
    document: dict[str, Any] = msgspec.to_builtins(waits)
    return document


def _key(asked: Asked, question: Question) -> tuple[str, ...]:
    """What makes two questions of a mission the same: who asks, about which resource, and the very words."""
    return (str(asked.access_server), asked.resource, question.text, *question.options)


def _check(question: Question, answer: str) -> None:
    if not answer:
        raise InvalidRequest("clarification_response must be the answer, in Markdown.")
    if question.options and answer not in question.options:
        raise InvalidRequest("The answer is none of the options.")
