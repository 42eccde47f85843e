"""Clarification chat at the person server (#clarification-chat): the person asks, the agent answers or updates.

What the agent says is a claim of the agent's (#consent-presentation) and is shown as one. An update replaces what is
asked under the same pending URL; a decision made on the page of an older version does not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..deferred.machine import State
from ..deferred.pending import Pending, accepted_response
from ..errors import InvalidRequest
from ..http import Response
from ..messages.bodies import ClarificationAnswer
from ..messages.requirement import APPROVAL, CLARIFICATION, Requirement
from ..store.person_conversations import Turn
from ..store.person_records import NotWaiting
from ..tokens import AgentToken
from .asked import Asked
from .core import PersonServerCore
from .updates import said, verify_update

__all__ = ["MAX_OPTIONS", "MAX_QUESTION_LENGTH", "Clarifying"]

MAX_QUESTION_LENGTH = 2_000
MAX_OPTIONS = 8
_MAX_OPTION_LENGTH = 200
#: Of a poll that asked for no wait, while somebody is told and decides when they come to it; in seconds.
_APPROVAL_PAUSE_S = 5
_NO_QUESTION = "This request is not waiting for an answer. Poll it with GET, or withdraw it with DELETE."


class Clarifying(PersonServerCore):
    """Both ends of the conversation: what the page calls, and what the agent sends."""

    async def ask_agent(self, digest: str, question: str, *, person_id: str, options: Sequence[str] = ()) -> None:
        """Ask the agent a question in Markdown, with answers to choose from if there are any.

        Raises `NotFound`, `NotWaiting`, `Expired`, `TooManyQuestions`, or `InvalidRequest` for a question that cannot
        be put and for an agent that did not declare that it answers any (#aauth-capabilities).
        """
        question, now = question.strip(), self.clock()
        offered = tuple(dict.fromkeys(option.strip() for option in options if option.strip()))
        if not question or len(question) > MAX_QUESTION_LENGTH or "\0" in question:
            raise InvalidRequest(f"A question has between 1 and {MAX_QUESTION_LENGTH} characters.")
        if len(offered) > MAX_OPTIONS or any(len(text) > _MAX_OPTION_LENGTH or "\0" in text for text in offered):
            raise InvalidRequest(
                f"At most {MAX_OPTIONS} answers can be offered, of at most {_MAX_OPTION_LENGTH} characters each."
            )
        request = await self.store.request_for(digest, person_id=person_id, now=now)
        if CLARIFICATION not in Asked.of(request.pending.request).capabilities:
            raise InvalidRequest("This agent takes no questions.")
        turn = Turn(kind="question", text=question, options=offered, at=now)
        await self.store.ask_agent(digest, person_id=person_id, turn=turn, now=now)

    async def question_response(self, pending: Pending, url: str, *, held: bool) -> Response:
        """A `202` for whoever polls while a question is open, or while somebody only thinks; `held` if that was."""
        if pending.state is not State.CLARIFYING:
            status = "interacting" if pending.state is State.INTERACTING else "pending"
            if pending.requirement != APPROVAL:
                return accepted_response(url, status=status)
            pause_s = 0 if held else _APPROVAL_PAUSE_S
            return accepted_response(url, status=status, requirement=Requirement(APPROVAL), retry_after_s=pause_s)
        question = next(
            turn for turn in reversed(await self.store.conversation(pending.digest)) if turn.kind == "question"
        )
        body: dict[str, object] = {
            "clarification": question.text,
            "timeout": max(0, int(pending.expires_at - self.clock())),
        }
        if question.options:
            body["options"] = list(question.options)
        return accepted_response(url, requirement=Requirement(CLARIFICATION), body=body)

    async def answer_person(self, pending: Pending, body: ClarificationAnswer, agent: AgentToken) -> None:
        """Take the agent's answer to the person's question (#agent-response-to-clarification).

        Raises `InvalidRequest`, and for an updated request the errors of #resource-token-verification.
        """
        if pending.state is not State.CLARIFYING:
            raise InvalidRequest(_NO_QUESTION)
        try:
            if body.action == "updated_request":
                await self._update(pending, body, agent)
            else:
                text = said(body.clarification_response, "clarification_response")
                if not text:
                    raise InvalidRequest("clarification_response must be the answer, in Markdown.")
                await self.store.answer_person(pending.digest, Turn(kind="answer", text=text, at=self.clock()))
        except NotWaiting as error:
            raise InvalidRequest(_NO_QUESTION) from error

    async def _update(self, pending: Pending, body: ClarificationAnswer, agent: AgentToken) -> None:
        asked = Asked.of(pending.request)
        updated = await verify_update(self, asked, body, agent)
        turn = Turn(kind="update", text=updated.reason, added=updated.added, removed=updated.removed, at=self.clock())
        await self.store.answer_person(
            pending.digest,
            turn,
            replaced=pending.request,
            request=updated.asked.to_request(),
            expires_at=min(pending.expires_at, updated.asked.not_after),
            tokens=updated.tokens if asked.access_server is not None else None,
            tokens_exp=updated.tokens_exp,
        )
