"""Invocations whose caller waits at a pending URL of the intermediary's own (#interaction-chaining).

Rules for whoever edits this file:

1. The application goes on where it stopped; an invocation is never carried out twice. It lives in one process. What
   its caller and the person need to see of it is in the store, so that any process can show it (`polls`, `visits`).
2. It ends no later than the upstream token, and with it: withdrawn, revoked or expired, the task is cancelled, which
   withdraws what is pending downstream. With its process it ends too, and its caller is told (`ledger`).
3. The result is kept until the invocation's time is over, for the key and the person that asked and nobody else; an
   error is told once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..base64url import b64url_encode
from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import Opened, Pending, PendingRequests
from ..effects import Answer, Clock, Direct
from ..errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    ExpiredUpstreamToken,
    Gone,
    RateLimited,
    Revoked,
    RevokedUpstreamToken,
)
from ..http import Response
from ..messages.codes import code_digest, derived_handle
from ..resource.callers import AsyncRunner
from ..store.resource_records import InvocationRecord
from .invocation import Invocation
from .ledger import ALIVE_S, LOST, Ledger
from .policy import ChainPolicy
from .polls import Polls, code_of, owner_of
from .storage import ChainStore
from .visits import KIND, Visits

__all__ = ["Invocations"]

#: How often it is looked whether a token was revoked, and said that this process lives, in seconds.
_WATCH_S = 10.0
_MAX_DETAIL = 300
#: What belongs to a connection, or is said anew.
_NOT_KEPT = frozenset(
    {"cache-control", "connection", "content-length", "keep-alive", "transfer-encoding", "upgrade", "date", "server"}
)

_log = logging.getLogger("aauthlib.chaining")


class Invocations:
    """The invocations of one intermediary: those this process carries out, and what callers and persons see of all."""

    def __init__(
        self,
        store: ChainStore,
        *,
        issuer: str,
        prefix: str,
        clock: Clock,
        policy: ChainPolicy,
        wire: AsyncRunner,
        dev: bool,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store, self._clock, self.policy, self._random_bytes = store, clock, policy, random_bytes
        path, onward = f"{prefix}chained/", f"{prefix}onward/"
        self._pending = PendingRequests(store, issuer=issuer, clock=clock, path=path, interaction_path=onward)
        self._ledger = Ledger(store, clock)
        self.polls = Polls(self._ledger, self._pending, path=issuer + path, onward=issuer + onward)
        self.visits = Visits(self._ledger, url=issuer + onward, wire=wire, dev=dev)
        self._live: dict[str, tuple[Invocation, asyncio.Task[Any]]] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._live)

    @property
    def clock(self) -> Clock:
        """The intermediary's."""
        return self._clock

    # ---------------------------------------------------------------- opening

    async def open(self, invocation: Invocation, direct: Direct | None = None) -> Opened:
        """Start the pending request of `invocation`, whose task is the current one, with where the person is needed.

        Raises `RateLimited` at the bounds of `ChainPolicy`.
        """
        upstream, now = invocation.upstream, self._clock()
        self._check_room(upstream.person_server)
        opened = self._pending.prepare(
            kind=KIND,
            owner=owner_of(upstream),
            request={"ps": upstream.person_server},
            lifetime_s=invocation.expires_at - now,
        )
        pending = replace(
            opened.pending,
            handle=derived_handle(opened.url.rpartition("/")[2], KIND),
            code_digest=code_digest(code_of(opened.url, 1)),
        )
        record = InvocationRecord(
            digest=pending.digest,
            iss=upstream.iss,
            jti=upstream.jti,
            nonce=b64url_encode(self._random_bytes(16)),
            alive_until=now + ALIVE_S,
            step=0 if direct is None else 1,
            url=None if direct is None else direct.url,
            code=None if direct is None else direct.code,
            shown=direct is not None,
            seen_at=now,
        )
        self._ledger.here[pending.digest] = upstream.person_server
        try:
            kept = await self._store.open_invocation(pending, record, most=self.policy.most_waiting, now=now)
            if not kept:
                raise RateLimited("Too many requests of this caller wait already; withdraw one.", retry_after_s=60)
        except BaseException:
            self._ledger.here.pop(pending.digest, None)
            raise
        return replace(opened, pending=pending)

    def _check_room(self, person_server: str) -> None:
        here = list(self._ledger.here.values())
        if here.count(person_server) >= self.policy.most_of_person_server or len(here) >= self.policy.most_in_all:
            raise RateLimited("Too many requests wait for a person here already.", retry_after_s=60)

    def attach(self, invocation: Invocation, task: asyncio.Task[Any]) -> None:
        """From now on `task` carries on without its caller's connection; cancelled when the caller's time ends."""
        assert invocation.opened is not None
        pending = invocation.opened.pending
        digest = pending.digest
        self._live[digest] = (invocation, task)
        watcher = asyncio.create_task(self._watch(pending, invocation, task))
        self._watchers.add(watcher)

        def done(_: object) -> None:
            self._live.pop(digest, None)
            self._ledger.here.pop(digest, None)
            watcher.cancel()

        task.add_done_callback(done)
        watcher.add_done_callback(self._watchers.discard)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        """Say that this process lives, as long as it has anything to live for."""
        while self._live:
            await asyncio.sleep(_WATCH_S)
            try:
                await self._store.beat_invocations(list(self._live), self._clock() + ALIVE_S)
            except Exception as error:
                # The next one may get through in time.
                _log.warning("it could not be kept that invocations are under way: %s", type(error).__name__)

    async def _watch(self, opened: Pending, invocation: Invocation, task: asyncio.Task[Any]) -> None:
        digest, seen = opened.digest, opened
        while True:
            await self._store.wait_pending(seen, max(0.1, min(_WATCH_S, seen.expires_at - self._clock())))
            pending = await self._store.get_pending(digest)
            if pending is not None:
                pending = await self._ledger.settled(pending)
            if pending is None or not pending.waiting:
                invocation.ended = True
                task.cancel()
                return
            seen = pending

    # ---------------------------------------------------------------- on the way

    async def direct(self, opened: Opened, direct: Direct) -> None:
        """The person is needed again, or for the first time. Raises `Gone` when the request is over."""
        try:
            digest = opened.pending.digest
            await self._store.direct_invocation(digest, direct.url, direct.code, now=self._clock())
        except IllegalTransition as error:
            raise Gone("The caller withdrew its request, or its time is over.") from error

    async def ask(self, opened: Opened, question: Answer, *, until: float) -> Pending:
        """Put a question to the caller, open until `until`. Raises `Gone` when the request is over."""
        digest = opened.pending.digest
        asked = {"question": question.question, "options": list(question.options), "until": until}
        try:
            pending = await self._store.get_pending(digest)
            if pending is not None and pending.state is State.PENDING:
                await self._store.decide_pending(digest, Event.ARRIVE, {})
            return await self._store.decide_pending(digest, Event.ASK, {"asked": asked})
        except IllegalTransition as error:
            raise Gone("The caller withdrew its request, or its time is over.") from error

    async def changed(self, pending: Pending, timeout_s: float) -> Pending:
        """The request when it has changed, or after `timeout_s` seconds. Raises `Gone` when it is there no more."""
        await self._store.wait_pending(pending, timeout_s)
        current = await self._store.get_pending(pending.digest)
        if current is None:
            raise Gone("The request is over.")
        return current

    # ---------------------------------------------------------------- the end

    async def finish(self, invocation: Invocation, response: Response) -> None:
        """Keep what the application answered."""
        if len(response.body) > self.policy.max_result_bytes:
            await self.fail(invocation, AAuthError("The result is larger than what is kept of one."))
            return
        kept = [[name, value] for name, value in response.headers if name not in _NOT_KEPT]
        result = {"status": response.status, "headers": kept, "body": b64encode(response.body).decode()}
        await self._end(invocation, Event.GRANT, result)

    async def fail(self, invocation: Invocation, error: BaseException) -> None:
        """Keep how it failed: what the person or their server said, else that it failed."""
        match error:
            case Denied():
                event = Event.DENY
            case Abandoned():
                event = Event.ABANDON
            case Expired() | ExpiredUpstreamToken():
                event = Event.EXPIRE
            case Revoked() | RevokedUpstreamToken():
                event = Event.REVOKE
            case _:
                event = Event.FAIL
        detail = "The request could not be completed."
        if event is not Event.FAIL and isinstance(error, AAuthError):
            detail = _line(error.detail)
        await self._end(invocation, event, detail=detail)

    async def _end(
        self, invocation: Invocation, event: Event, decision: dict[str, Any] | None = None, detail: str = ""
    ) -> None:
        invocation.ended = True
        if invocation.opened is not None:
            await self._ledger.end(invocation.opened.pending.digest, event, decision, detail)

    async def withdraw(self, invocation: Invocation) -> None:
        """End it as its caller would (#cancel-request): its task is cancelled, which withdraws what is below."""
        await self._end(invocation, Event.CANCEL, detail="The caller hung up.")

    async def aclose(self) -> None:
        """Stop what is under way, as at the end of the process: downstream it is withdrawn, its callers are told."""
        live = list(self._live.values())
        for invocation, task in live:
            await self._end(invocation, Event.FAIL, detail=LOST)
            task.cancel()
        beating = [self._beating] if self._beating is not None else []
        for task in beating:
            task.cancel()
        await asyncio.gather(*(task for _, task in live), *self._watchers, *beating, return_exceptions=True)


def _line(text: str) -> str:
    """What another server said, as far as it can be said on."""
    return "".join(character for character in text if character.isprintable())[:_MAX_DETAIL]
