"""What is said while an access server decides: to the person on the page, to the agent that polls (#as-response)."""

from __future__ import annotations

from math import ceil
from typing import Any

from ..deferred.callbacks import with_parameters
from ..deferred.machine import State
from ..deferred.pending import Pending, accepted_response
from ..http import Response
from ..messages.codes import code_digest, derived_code, derived_handle
from ..messages.requirement import APPROVAL, CLARIFICATION, INTERACTION, Requirement
from ..store.person_records import Federation
from .asked import Asked
from .federation import Waiting
from .questions import ServerQuestions, is_agents, waits_of

__all__ = ["Meanwhile"]


class Meanwhile(ServerQuestions):
    """Says what a request waits for that is with its access server."""

    async def page_of_access_server(self, pending: Pending, asked: Asked) -> str | None:
        """Where the access server wants the person, with its code, while it does."""
        if asked.access_server is None or pending.state is not State.GRANTED:
            return None
        record = await self.store.federation(pending.digest)
        waits = waits_of(record) if record is not None else Waiting()
        if waits.interaction_url is None:
            return None
        # From there the browser comes back to our page, which then says what became of the request.
        here = f"{self.issuer}/requests/{pending.digest}?from=access-server"
        return with_parameters(waits.interaction_url, code=waits.interaction_code or "", callback=here)

    async def waiting_response(self, record: Federation, pending: Pending, asked: Asked, url: str) -> Response:
        """The `202` of a request that is with the access server."""
        waits, now = waits_of(record), self.clock()
        question = waits.question if waits.question is not None and waits.question.open else None
        requirement, body, status = None, dict[str, Any](), "pending"
        pause_s = max(1, ceil(record.due_at - now))
        if question is not None and is_agents(question, now=now):
            requirement, pause_s = Requirement(CLARIFICATION), 0
            body = {"clarification": question.text}
            if question.options:
                body["options"] = list(question.options)
            if question.ends_at is not None:
                body["timeout"] = max(0, int(question.ends_at - now))
        elif question is not None or waits.interaction_url is not None:
            if not pending.decision.get("remembered"):
                status = "interacting"  # The person is on this server's page, which asks them or sends them on.
            elif INTERACTION not in asked.capabilities:
                requirement = Requirement(APPROVAL)  # This server has told the person.
            elif question is not None:
                requirement = await self._question_page(record, pending, url.rpartition("/")[2])
            else:
                requirement = Requirement(INTERACTION, url=waits.interaction_url, code=waits.interaction_code)
        elif waits.approval:
            requirement = Requirement(APPROVAL)
        return accepted_response(url, status=status, requirement=requirement, retry_after_s=pause_s, body=body)

    async def _question_page(self, record: Federation, pending: Pending, pending_id: str) -> Requirement:
        """Where the person answers, with a code that whoever polls can be told again."""
        name = f"question {record.questions}"
        handle, code = derived_handle(pending_id, name), derived_code(pending_id, name)
        await self.store.name_question(pending.digest, handle=handle, code_digest=code_digest(code))
        return Requirement(INTERACTION, url=f"{self.issuer}/interaction/{handle}", code=code)
