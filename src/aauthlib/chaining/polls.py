"""The caller's side of an invocation: it polls, answers questions, withdraws (#deferred-responses).

Any process answers it, from the store. The caller gets our own `Location`, URL and code; what is downstream of us, and
its codes, it never sees (#interaction-chaining). A code is derived from the id in the pending URL, which is not stored:
so it can be said again, and a copy of the database holds none.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import Completion, Opened, Pending, PendingRequests, accepted_response
from ..errors import InvalidRequest, NotFound
from ..http import Fields, Request, Response
from ..messages.bodies import ClarificationAnswer, decode_request
from ..messages.codes import code_digest, derived_code
from ..messages.headers import parse_prefer_wait
from ..messages.requirement import CLARIFICATION, INTERACTION, Requirement
from ..resource.challenges import person_token_required
from ..store.resource_records import InvocationRecord
from ..tokens import AuthToken, PersonToken
from ..verification import Caller
from .ledger import Ledger
from .visits import KIND

__all__ = ["Polls", "code_of", "owner_of"]

_RETRY_AFTER_S = 1
_MAX_ANSWER = 16_384
#: After which a person who is needed again and has not come back is sent for anew, in seconds.
_ABSENT_S = 20.0
#: How often, at most.
_MOST_CODES = 6


class Polls:
    """Answers the callers of one intermediary."""

    def __init__(self, ledger: Ledger, pending: PendingRequests, *, path: str, onward: str) -> None:
        self._ledger, self._store, self._clock = ledger, ledger.store, ledger.clock
        self._pending, self._path, self._onward = pending, path, onward

    # ---------------------------------------------------------------- the first answer

    def accepted(self, opened: Opened, *, interaction: bool) -> Response:
        """The `202` of an invocation just opened: with our own URL and code when the person is needed."""
        return accepted_response(
            opened.url,
            requirement=self._code_requirement(opened.url, opened.pending, 1) if interaction else None,
            retry_after_s=_RETRY_AFTER_S,
        )

    def clarification_required(self, url: str, pending: Pending) -> Response:
        """The `202` that hands a question on (#requirement-clarification)."""
        asked = pending.decision["asked"]
        remaining = max(0, int(min(pending.expires_at, asked["until"]) - self._clock()))
        body: dict[str, Any] = {"clarification": asked["question"], "timeout": remaining}
        if asked["options"]:
            body["options"] = asked["options"]
        requirement = Requirement(CLARIFICATION)
        return accepted_response(url, requirement=requirement, retry_after_s=_RETRY_AFTER_S, body=body)

    # ---------------------------------------------------------------- requests to the pending URL

    async def poll(self, request: Request, caller: Caller, pending_id: str) -> Response:
        """Answer the caller's poll (#polling-with-get).

        Raises `NotFound` for anybody else, a `Challenge` for who proves no person, `Gone`, `SlowDown`, or how it ended.
        """
        owner = owner_of(caller.presented)
        wait_s = float(parse_prefer_wait(request.headers, most_s=50))
        pending = await self._find(pending_id, owner)
        if pending.state in (State.PENDING, State.INTERACTING) and wait_s:
            wait_s = min(wait_s, await self._news_in_s(pending))
            if wait_s > 0:
                await self._store.wait_pending(pending, wait_s)
                pending = await self._find(pending_id, owner)
        if pending.state is State.GRANTED:
            return _result(pending)

        async def waiting(current: Pending) -> Response:
            url = self._path + pending_id
            if current.state is State.CLARIFYING:
                return self.clarification_required(url, current)
            record = await self._store.get_invocation(current.digest)
            interacting = record is not None and record.visited > 0
            return accepted_response(
                url,
                status="interacting" if interacting else "pending",
                requirement=await self._interaction_of(url, current, record),
                retry_after_s=_RETRY_AFTER_S,
            )

        async def complete(granted: Pending) -> Completion:
            return Completion(_result(granted))

        return await self._pending.poll(pending_id, owner=owner, wait_s=0, complete=complete, waiting=waiting)

    async def answer(self, request: Request, caller: Caller, pending_id: str) -> Response:
        """The caller's answer to a clarification question (#agent-response-to-clarification).

        Raises `InvalidRequest`, or as `poll`.
        """
        pending = await self._find(pending_id, owner_of(caller.presented))
        answer = decode_request(ClarificationAnswer, request)
        if answer.action == "updated_request":
            # It would replace a resource token that is bound to our key, and that the caller never saw.
            raise InvalidRequest(
                "What is asked for below is this resource's own request, which its caller cannot replace. Answer in "
                "words (clarification_response), or withdraw with DELETE and call for something else."
            )
        text = answer.clarification_response
        if answer.action != "clarification_response" or not text or len(text) > _MAX_ANSWER:
            raise InvalidRequest(
                f"action is clarification_response, with 1 to {_MAX_ANSWER} characters in a member of the same name."
            )
        asked: Mapping[str, Any] = pending.decision.get("asked", {})
        if asked.get("options") and text not in asked["options"]:
            raise InvalidRequest("The question has options; answer with one of them.")
        try:
            await self._store.decide_pending(pending.digest, Event.ANSWER, {"answer": text})
        except IllegalTransition as error:
            raise InvalidRequest("No question is open on this request.") from error
        return accepted_response(self._path + pending_id, retry_after_s=_RETRY_AFTER_S)

    async def cancel(self, caller: Caller, pending_id: str) -> Response:
        """The caller withdraws (#cancel-request); what is pending downstream is withdrawn with it."""
        owner = owner_of(caller.presented)
        await self._find(pending_id, owner)
        await self._pending.cancel(pending_id, owner=owner)
        return Response(204, Fields({"cache-control": "no-store"}))

    # ---------------------------------------------------------------- parts

    async def _find(self, pending_id: str, owner: str) -> Pending:
        pending = await self._pending.find(pending_id, owner=owner)
        if pending.kind != KIND:
            raise NotFound("There is no such pending request for this caller.")
        return await self._ledger.settled(pending)

    async def _news_in_s(self, pending: Pending) -> float:
        """After how long there is something to tell that no change of the request announces: at once, if the caller has
        yet to be given the code it already needs."""
        now = self._clock()
        news = pending.expires_at - now
        record = await self._store.get_invocation(pending.digest)
        if record is not None and _needs_person(record):
            if not record.shown:
                return 0.0
            if pending.code_consumed:
                news = min(news, record.seen_at + _ABSENT_S - now)
        return max(0.0, news)

    async def _interaction_of(self, url: str, pending: Pending, record: InvocationRecord | None) -> Requirement | None:
        """What sends the person to our page, as long as they are needed and are not there."""
        if record is None or not _needs_person(record):
            return None
        coded = record.coded
        if pending.code_consumed:
            # They came, went, and are needed again. From our page they are taken on without the caller.
            if record.seen_at + _ABSENT_S > self._clock() or coded >= _MOST_CODES:
                return None
            if not await self._store.recode_invocation(pending.digest, coded, code_digest(code_of(url, coded + 1))):
                return None
            coded += 1
        elif not record.shown:
            await self._store.update_invocation(pending.digest, shown=True)
        return self._code_requirement(url, pending, coded)

    def _code_requirement(self, url: str, pending: Pending, coded: int) -> Requirement:
        return Requirement(INTERACTION, url=f"{self._onward}{pending.handle}", code=code_of(url, coded))


def code_of(url: str, coded: int) -> str:
    """The code numbered `coded` of the invocation with this pending URL."""
    return derived_code(url.rpartition("/")[2], f"{KIND} {coded}")


def owner_of(presented: PersonToken | AuthToken | None) -> str:
    """Who may poll: the same key, for the same person. Raises a `Challenge` when it does not say for whom.

    So an agent whose token was revoked while it waited comes again with another one, and hears how its request ended.
    """
    if presented is None:
        raise person_token_required()
    return f"{presented.person_server} {presented.sub} {presented.cnf.thumbprint}"


def _needs_person(record: InvocationRecord) -> bool:
    return record.url is not None and record.visited < record.step


def _result(pending: Pending) -> Response:
    kept = pending.decision
    headers = [(name, value) for name, value in kept["headers"]]
    return Response(kept["status"], Fields([*headers, ("cache-control", "no-store")]), b64decode(kept["body"]))
