"""The person server between agent and access server (#ps-as-federation): one step at a time, driven by polls.

What stands between two steps is in the store, so that a restart, or another process, goes on where the last one was. No
step runs without somebody waiting for it: the agent that polls, or the person who has just agreed.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from ..deferred.machine import State
from ..deferred.pending import Completion, Pending
from ..effects import Flow
from ..errors import (
    AAuthError,
    AsUnreachable,
    Denied,
    Expired,
    ProblemError,
    Revoked,
    TemporarilyUnavailable,
    UserUnreachable,
)
from ..http import Response, json_response
from ..messages.identity_scopes import released_claims
from ..messages.requirement import CLARIFICATION, INTERACTION
from ..store.person_conversations import Turn
from ..store.person_records import FederatedToken, Federation
from .asked import Asked
from .federation import Delivered, Ended, Exchange, Expected, Question, Settlement, Unpaid, Waiting
from .meanwhile import Meanwhile
from .questions import is_agents, waits_of

__all__ = ["TURN_S", "Federating", "StillWaiting"]

_AT_ONCE = 64
_MAX_ENDED = 1000
#: How long the page of a person who has agreed may wait for an access server, in seconds.
_PAGE_WAIT_S = 8.0
_MAX_WAIT_S = 25
_MAX_QUESTIONS = 5
_MAX_FAILURES = 3
#: How long a process has the turn, in seconds; while its step goes on it takes it anew in time. Nobody has to wait
#: longer for one that has died.
TURN_S = 15.0


class StillWaiting(Exception):
    """Not an error: the access server has not decided, and this is what the agent is answered."""

    def __init__(self, response: Response) -> None:
        super().__init__("The access server has not decided.")
        self.response = response


class Federating(Meanwhile):
    """Asks access servers for what they, not this server, decide."""

    def __init__(self, *, settlement: Settlement | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.settlement = settlement
        self._turns: dict[str, tuple[asyncio.Lock, int]] = {}
        #: How requests ended at their access servers, until the agent has fetched it: in memory only, these are tokens.
        self._ended: OrderedDict[str, Completion | ProblemError] = OrderedDict()
        self._at_once = 0

    async def start_federation(self, digest: str, asked: Asked, tokens: Mapping[str, str], tokens_exp: float) -> None:
        """Keep what is to be presented to the access server once the person has agreed."""
        await self.store.start_federation(
            digest, access_server=str(asked.access_server), tokens=tokens, tokens_exp=tokens_exp
        )

    def has_answer(self, digest: str) -> bool:
        """Whether the access server has decided this request, and the agent has not fetched it yet."""
        ended = self._ended.get(digest)
        return ended is not None and not isinstance(ended, Expired)

    async def complete_federated(self, pending: Pending, url: str, *, wait_s: int) -> Completion:
        """The access server's auth token, if it can be had now. Raises `StillWaiting`, or what ended it."""
        asked = Asked.of(pending.request)
        outcome = await self.federate(pending, asked, wait_s=min(wait_s, _MAX_WAIT_S))
        if isinstance(outcome, ProblemError):
            raise outcome
        if isinstance(outcome, Completion):
            return outcome
        raise StillWaiting(await self.waiting_response(outcome, pending, asked, url))

    async def federate(
        self, pending: Pending, asked: Asked, *, wait_s: int = 0, returned: bool = False
    ) -> Completion | ProblemError | Federation:
        """Take one step, unless it is not time for one. Returns how it ended, or how it stands.

        With `returned` the person is back from the access server's page, so it is time. An end that the agent has not
        fetched is lost with the process; the access server is then asked again. Raises `TemporarilyUnavailable`.
        """
        digest = pending.digest
        lock, users = self._turns.get(digest, (asyncio.Lock(), 0))
        self._turns[digest] = (lock, users + 1)
        try:
            async with lock:
                ended = self._ended.get(digest)
                if ended is not None:
                    return ended
                outcome = await self._step(pending, asked, wait_s=wait_s, returned=returned)
                if not isinstance(outcome, Federation):
                    self._ended[digest] = outcome
                    while len(self._ended) > _MAX_ENDED:
                        self._ended.popitem(last=False)
                return outcome
        finally:
            lock, users = self._turns[digest]
            if users <= 1:
                del self._turns[digest]
            else:
                self._turns[digest] = (lock, users - 1)

    async def start_when_granted(self, digest: str, *, returned: bool = False) -> bool:
        """The person has agreed, or `returned` from its page: ask the access server now, since it may want the person.

        Returns whether it does: on a page of its own, or with a question on ours.
        """
        pending = await self.store.get_pending(digest)
        if pending is None or pending.state is not State.GRANTED:
            return False
        asked = Asked.of(pending.request)
        if asked.access_server is None:
            return False
        try:
            outcome = await asyncio.wait_for(self.federate(pending, asked, returned=returned), _PAGE_WAIT_S)
        except (TimeoutError, TemporarilyUnavailable):
            return False  # The agent's poll asks again.
        waits = waits_of(outcome) if isinstance(outcome, Federation) else Waiting()
        asks_person = waits.question is not None and not is_agents(waits.question, now=self.clock())
        return waits.interaction_url is not None or asks_person

    async def withdraw_federated(self, digest: str, asked: Asked) -> None:
        """Tell the access server that nobody waits any more, if it can be told."""
        self._ended.pop(digest, None)
        record = await self.store.federation(digest)
        if record is not None and record.location is not None:
            try:
                await self.run(self._exchange(asked, (), {}).withdraw(record.location))
            except AAuthError:
                return  # Its pending request times out there by itself.

    # ------------------------------------------------------------------ one step

    async def _step(
        self, pending: Pending, asked: Asked, *, wait_s: int, returned: bool
    ) -> Completion | ProblemError | Federation:
        now, digest = self.clock(), pending.digest
        record = await self.store.federation(digest)
        if record is None:
            return AsUnreachable("What was to be presented to the access server is lost; ask again.")
        waits = waits_of(record)
        if waits.ended is not None:
            return waits.ended.error()
        question = waits.question
        # When its time is over the access server does not wait any more, and says what follows.
        waits_for_answer = question is not None and question.open and not (question.ends_at or now + 1) <= now
        is_time = record.due_at <= now or (returned and waits.interaction_url is not None)
        if waits_for_answer or not is_time:
            return record
        if self._at_once >= _AT_ONCE:
            raise TemporarilyUnavailable("Too many requests are with access servers just now.", retry_after_s=5)
        # Whoever finds an answer with a turn begun cannot know whether it was sent.
        sending = question is not None and not question.open
        if not await self.store.claim_federation(digest, now=now, until=now + TURN_S, sending=sending):
            return record
        changes: dict[str, Any] = {}
        self._at_once += 1
        try:
            async with self._keeping_turn(digest):
                outcome = await self._ask_server(pending, asked, record, wait_s=wait_s)
                if isinstance(outcome, Waiting):
                    outcome = await self._judge(outcome, record, pending, asked, changes)
        except ProblemError as error:
            changes.update(tokens=None, waits_for=msgspec.to_builtins(Waiting(ended=Ended.of(error))))
            return error
        finally:
            self._at_once -= 1
            # Shielded, since a poller that hangs up must not leave the turn taken.
            await asyncio.shield(self.store.save_federation(digest, **changes))
        if isinstance(outcome, Delivered):
            return self._completion(pending, asked, outcome, record)
        fresh = await self.store.federation(digest)
        return fresh if fresh is not None else record

    @asynccontextmanager
    async def _keeping_turn(self, digest: str) -> AsyncIterator[None]:
        """Have the turn for as long as a step takes, which is as long as the access server and a payment take."""

        async def keep() -> None:
            while True:
                await asyncio.sleep(TURN_S / 3)
                await self.store.keep_federation_turn(digest, until=self.clock() + TURN_S)

        keeping = asyncio.create_task(keep(), name="keep turn")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _ask_server(
        self, pending: Pending, asked: Asked, record: Federation, *, wait_s: int
    ) -> Delivered | Waiting:
        exchange = await self._exchange_of(pending, asked)
        question = waits_of(record).question
        flow: Flow[Delivered | Waiting]
        if record.location is None:
            await self._check_presentable(asked, record)
            started = await self.run(exchange.start(record.tokens or {}, wait_s=wait_s))
            if not isinstance(started, Unpaid):
                return started
            await self.store.locate_federation(record.digest, started.location)
            flow = exchange.pay(started)
        elif question is not None and not question.open:
            if question.updates:
                await self._check_presentable(asked, record)
            # It may have been sent before, by a process that did not live to hear what follows.
            flow = exchange.reply(record.location, question, record.tokens, again=record.due_at > 0)
        else:
            flow = exchange.poll(record.location, wait_s=wait_s)
        return await self.run(flow)

    async def _exchange_of(self, pending: Pending, asked: Asked) -> Exchange:
        """With what the person released."""
        profile = await self.store.profile(str(pending.decision["granted_by"]))
        scopes = [str(value) for value in pending.decision["scopes"]]
        return self._exchange(asked, scopes, released_claims(scopes, profile))

    async def _check_presentable(self, asked: Asked, record: Federation) -> None:
        """A revoked or expired token must not be presented (#ps-to-as-token-request, #revocation-cascade)."""
        if record.tokens is None or record.tokens_exp <= self.clock() or asked.not_after <= self.clock():
            raise Expired("The resource token expired before the request could go to the access server; call again.")
        if asked.presented_jti is None:
            return  # An auth token of the access server itself: it knows better than we do.
        if not await self.store.record_presentation(
            asked.presented_jti,
            access_server=record.access_server,
            agent=asked.root or asked.agent_id,
            exp=asked.presented_exp or asked.not_after,
        ):
            raise Revoked("The presented token was revoked; obtain a fresh person token.")

    async def _judge(
        self, outcome: Delivered | Waiting, record: Federation, pending: Pending, asked: Asked, changes: dict[str, Any]
    ) -> Delivered | Waiting:
        """Whether going on waiting makes sense, once what can be answered here was. Raises what ends the request; fills
        `changes` with what to keep."""
        questions, turns = record.questions, list[Turn]()
        while isinstance(outcome, Waiting):
            question, location = outcome.question, outcome.location
            if question is None or location is None:
                break
            questions += 1
            if questions > _MAX_QUESTIONS:
                await self._give_up(asked, location)
                raise Denied("The access server asks more questions than this person server passes on.")
            asked_turn = Turn(kind="server_question", text=question.text, options=question.options, at=self.clock())
            answer = await self.own_answer(asked, question)
            if answer is None:
                outcome, turns = self._route(outcome, question, pending, asked), [asked_turn]
                break
            answer_turn = Turn(kind="mission_answer", text=answer, at=self.clock())
            await self.store.note_turns(pending.digest, [asked_turn, answer_turn])
            exchange = await self._exchange_of(pending, asked)
            reply = exchange.reply(location, msgspec.structs.replace(question, answer=answer))
            outcome = await self.run(reply)
        if isinstance(outcome, Delivered):
            return outcome
        if not outcome.failed and await self._must_tell(outcome, waits_of(record), pending, asked):
            changes.update(tell=str(pending.decision["granted_by"]), now=self.clock())
        failures = record.failures + 1 if outcome.failed else 0
        if failures >= _MAX_FAILURES:
            raise AsUnreachable("The access server stopped answering. Ask again later with a fresh resource token.")
        kept = waits_of(record) if outcome.failed else outcome
        changes.update(
            failures=failures,
            questions=questions,
            due_at=self.clock() + outcome.pause_s,
            waits_for=msgspec.to_builtins(kept),
            turns=turns,
        )
        if outcome.location is not None and not outcome.failed:
            changes.update(location=outcome.location, tokens=None)
        return outcome

    def _route(self, waiting: Waiting, question: Question, pending: Pending, asked: Asked) -> Waiting:
        """Who is to answer: the agent if it takes questions, else the person."""
        at_page = not pending.decision.get("remembered")
        agent_from = None
        if CLARIFICATION in asked.capabilities:
            agent_from = self.clock() + self.person_first_s if at_page else 0.0
        return msgspec.structs.replace(waiting, question=msgspec.structs.replace(question, agent_from=agent_from))

    async def _must_tell(self, waiting: Waiting, before: Waiting, pending: Pending, asked: Asked) -> bool:
        """Whether the person is wanted, is not on a page, and nobody but this server can bring them to one.

        Raises `UserUnreachable`, having withdrawn the request, when it cannot either: then no party reaches them.
        """
        question = waiting.question
        persons = question is not None and question.open and question.agent_from is None
        if not persons and waiting.interaction_url is None:
            return False
        if not pending.decision.get("remembered") or INTERACTION in asked.capabilities:
            return False
        if not await self.store.reaches(str(pending.decision["granted_by"])):
            if waiting.location is not None:
                await self._give_up(asked, waiting.location)
            raise UserUnreachable(
                "The access server needs the person. This server cannot reach them, and the agent cannot send them to "
                "a URL: one that can says so with capabilities: interaction."
            )
        return (question, waiting.interaction_url) != (before.question, before.interaction_url)

    async def _give_up(self, asked: Asked, location: str) -> None:
        try:
            await self.run(self._exchange(asked, (), {}).withdraw(location))
        except AAuthError:
            return  # It is told as a courtesy; what the agent hears does not depend on it.

    def _exchange(self, asked: Asked, scopes: Any, claims: Mapping[str, Any]) -> Exchange:
        expected = Expected(
            person_server=self.issuer,
            access_server=str(asked.access_server),
            aud=asked.resource,
            sub=str(asked.sub),
            cnf=asked.key,
            scope=frozenset(asked.scope) & frozenset(scopes),
            account=asked.account,
            mission_s256=asked.mission_s256,
            tenant=asked.tenant,
            not_after=asked.not_after,
        )
        return Exchange(
            expected,
            sign=self.signed,
            clock=self.clock,
            policy=self.policy,
            claims=claims,
            settlement=self.settlement,
        )

    def _completion(self, pending: Pending, asked: Asked, delivered: Delivered, record: Federation) -> Completion:
        token, now = delivered.token, self.clock()
        presented = (None, asked.presented_jti) if asked.presented_jti else (record.access_server, asked.stepped_up_jti)
        issued = FederatedToken(
            iss=token.iss,
            jti=token.jti,
            aud=token.aud,
            exp=token.exp,
            agent=asked.agent_id,
            person_id=str(pending.decision["granted_by"]),
            sub=token.sub,
            presented=(presented[0], str(presented[1])),
            subagent=asked.subagent,
            scope=" ".join(token.scope or ()),
            upstream=asked.upstream_id,
            root=asked.root,
            mission=asked.mission_s256,
            issued_at=now,
        )
        document = {"auth_token": token.raw, "expires_in": max(0, int(token.exp - now))}
        return Completion(json_response(200, document), issued)
