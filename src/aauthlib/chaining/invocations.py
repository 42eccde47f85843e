"""Invocations whose caller waits at a pending URL of the intermediary's own (#interaction-chaining).

Rules for whoever edits this file:

1. The application goes on where it stopped; an invocation is never carried out twice. It lives in one process. What
   its caller and the person need to see of it is in the store, so that any process can show it.
2. The caller gets our own `Location`, URL and code. What is downstream of us, and its codes, the caller never sees:
   the person is taken there by our own page.
3. It ends no later than the upstream token, and with it: withdrawn, revoked or expired, the task is cancelled, which
   withdraws what is pending downstream.
4. The result is kept until the invocation's time is over, for the key and the person that asked and nobody else; an
   error is told once.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base64url import b64url_encode
from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import (
    Completion,
    Opened,
    Pending,
    PendingRequests,
    accepted_response,
)
from ..effects import Clock
from ..errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    ExpiredUpstreamToken,
    Gone,
    InvalidRequest,
    NotFound,
    RateLimited,
    Revoked,
    RevokedUpstreamToken,
)
from ..http import Fields, Request, Response
from ..messages.bodies import ClarificationAnswer, decode_request
from ..messages.headers import parse_prefer_wait
from ..messages.requirement import CLARIFICATION, INTERACTION, Requirement
from ..resource.storage import ResourceStore
from ..tokens import AuthToken, PersonToken
from ..verification import Caller
from .invocation import Invocation
from .visits import KIND, Visits

__all__ = ["ChainPolicy", "Invocations"]

_WATCH_S = 10.0
_RETRY_AFTER_S = 1
_MAX_DETAIL = 300
_MAX_ANSWER = 16_384
#: What belongs to a connection, or is said anew.
_NOT_KEPT = frozenset(
    {"cache-control", "connection", "content-length", "keep-alive", "transfer-encoding", "upgrade", "date", "server"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPolicy:
    """Bounds on calling downstream."""

    lifetime_s: float = 900.0
    """How long an invocation waits for the person, and its result for the caller."""
    most_per_person: int = 32
    """Calls under way at a time for one person. It also ends a circle of services that call each other."""
    most_waiting: int = 20
    """Invocations of one caller that wait for the person at a time."""
    most_of_person_server: int = 250
    """Of the callers of one person server: anybody can run one, and have as many persons and keys there as it likes."""
    most_in_all: int = 1000
    """Of everybody, in one process; each is a task that polls downstream."""
    max_result_bytes: int = 1_048_576
    poll_wait_s: int = 45
    """`Prefer: wait` of our own polls downstream, in seconds."""


class Invocations:
    """The waiting invocations of one intermediary."""

    def __init__(self, store: ResourceStore, *, issuer: str, prefix: str, clock: Clock, policy: ChainPolicy) -> None:
        self._store, self._clock, self.policy = store, clock, policy
        self._path = f"{issuer}{prefix}chained/"
        self.visits = Visits(store, url=f"{issuer}{prefix}onward/", clock=clock)
        self._pending = PendingRequests(
            store, issuer=issuer, clock=clock, path=f"{prefix}chained/", interaction_path=f"{prefix}onward/"
        )
        self._live: dict[str, tuple[Invocation, asyncio.Task[Any]]] = {}
        self._opening: Counter[str] = Counter()
        """How many are about to wait, by person server."""
        self._watchers: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._live)

    # ---------------------------------------------------------------- the invocation's side

    async def open(self, invocation: Invocation, target: Mapping[str, Any]) -> Opened:
        """Start the pending request of `invocation`, whose task is the current one. Raises `RateLimited`."""
        upstream, now = invocation.upstream, self._clock()
        owner, server = _owner(upstream), upstream.person_server
        self._check_room(server)
        self._opening[server] += 1
        try:
            return await self._open(owner, upstream, target, now)
        finally:
            self._opening[server] -= 1
            self._opening += Counter()  # Forgets who has none.

    def _check_room(self, person_server: str) -> None:
        waiting = Counter(invocation.upstream.person_server for invocation, _ in self._live.values()) + self._opening
        if waiting[person_server] >= self.policy.most_of_person_server or waiting.total() >= self.policy.most_in_all:
            raise RateLimited("Too many requests wait for a person here already.", retry_after_s=60)

    async def _open(
        self, owner: str, upstream: PersonToken | AuthToken, target: Mapping[str, Any], now: float
    ) -> Opened:
        if await self._store.count_waiting(owner, now) >= self.policy.most_waiting:
            raise RateLimited("Too many requests of this caller wait for its person already.", retry_after_s=60)
        request = {
            "upstream": [upstream.iss, upstream.jti],
            "nonce": b64url_encode(secrets.token_bytes(16)),
            "target": dict(target),
        }
        lifetime_s = min(self.policy.lifetime_s, upstream.exp - now)
        return await self._pending.open(
            kind=KIND, owner=owner, request=request, requirement=INTERACTION, lifetime_s=lifetime_s
        )

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
            watcher.cancel()

        task.add_done_callback(done)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, opened: Pending, invocation: Invocation, task: asyncio.Task[Any]) -> None:
        digest, seen = opened.digest, opened
        while True:
            await self._store.wait_pending(seen, _WATCH_S)
            pending = await self._store.get_pending(digest)
            if pending is not None and pending.waiting:
                iss, jti = pending.request["upstream"]
                if await self._store.is_revoked(iss, jti):
                    await self._end(digest, Event.REVOKE, {}, "The token this was asked with was revoked.")
                elif pending.expires_at <= self._clock():
                    await self._end(digest, Event.EXPIRE, {}, "The request timed out before it was completed.")
                else:
                    seen = pending
                    continue
            invocation.ended = True
            task.cancel()
            return

    async def finish(self, invocation: Invocation, response: Response) -> None:
        """Keep what the application answered."""
        if len(response.body) > self.policy.max_result_bytes:
            await self.fail(invocation, AAuthError("The result is larger than what is kept of one."))
            return
        kept = [[name, value] for name, value in response.headers if name not in _NOT_KEPT]
        result = {"status": response.status, "headers": kept, "body": b64encode(response.body).decode()}
        await self._finish(invocation, Event.GRANT, result, "")

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
        await self._finish(invocation, event, {}, detail)

    async def _finish(self, invocation: Invocation, event: Event, decision: Mapping[str, Any], detail: str) -> None:
        invocation.ended = True
        if invocation.opened is not None:
            await self._end(invocation.opened.pending.digest, event, decision, detail)

    async def _end(self, digest: str, event: Event, decision: Mapping[str, Any], detail: str) -> None:
        try:
            await self._store.decide_pending(digest, event, decision, detail=detail)
        except (IllegalTransition, NotFound):
            return  # Withdrawn or timed out meanwhile, which stands.

    async def decide(self, opened: Opened, event: Event, decision: Mapping[str, Any]) -> Pending:
        """Move the pending request on. Raises `Gone` when it is over."""
        try:
            return await self._store.decide_pending(opened.pending.digest, event, decision)
        except IllegalTransition as error:
            raise Gone("The caller withdrew its request, or its time is over.") from error

    async def decision(self, opened: Opened) -> Mapping[str, Any]:
        """What is noted with the pending request."""
        return (await self.current(opened)).decision

    async def current(self, opened: Opened) -> Pending:
        """The pending request as it stands. Raises `NotFound`."""
        pending = await self._store.get_pending(opened.pending.digest)
        if pending is None:
            raise NotFound("There is no such pending request for this caller.")
        return pending

    async def wait(self, pending: Pending, timeout_s: float) -> None:
        """Return when it may have changed."""
        await self._store.wait_pending(pending, timeout_s)

    # ---------------------------------------------------------------- the caller's side

    def interaction_required(self, opened: Opened) -> Response:
        """The `202` that hands the interaction on: our own URL and our own code."""
        return self._pending.accepted(opened, retry_after_s=_RETRY_AFTER_S)

    def clarification_required(self, url: str, pending: Pending) -> Response:
        """The `202` that hands a question on (#requirement-clarification)."""
        asked = pending.decision["asked"]
        remaining = max(0, int(pending.expires_at - self._clock()))
        timeout = asked["timeout"]
        body: dict[str, Any] = {
            "clarification": asked["question"],
            "timeout": remaining if timeout is None else min(int(timeout), remaining),
        }
        if asked["options"]:
            body["options"] = asked["options"]
        requirement = Requirement(CLARIFICATION)
        return accepted_response(url, requirement=requirement, retry_after_s=_RETRY_AFTER_S, body=body)

    async def poll(self, request: Request, caller: Caller, pending_id: str) -> Response:
        """Answer the caller's poll (#polling-with-get).

        Raises `NotFound` for anybody else, `Gone`, `SlowDown`, or how it ended.
        """
        owner = _owner_of(caller)
        pending = await self._find(pending_id, owner)
        wait_s = parse_prefer_wait(request.headers, most_s=50)
        unshown = self._unshown(pending)
        if unshown is not None:
            return unshown
        if pending.state in (State.PENDING, State.INTERACTING) and wait_s:
            remaining = max(0.0, pending.expires_at - self._clock())
            await self._store.wait_pending(pending, min(wait_s, remaining))
            pending = await self._find(pending_id, owner)
        if pending.state is State.GRANTED:
            return _result(pending)

        async def waiting(current: Pending) -> Response:
            url = self._path + pending_id
            if current.state is State.CLARIFYING:
                return self.clarification_required(url, current)
            status = "interacting" if current.state is State.INTERACTING else "pending"
            return self._unshown(current) or accepted_response(url, status=status, retry_after_s=_RETRY_AFTER_S)

        async def complete(granted: Pending) -> Completion:
            return Completion(_result(granted))

        return await self._pending.poll(pending_id, owner=owner, wait_s=0, complete=complete, waiting=waiting)

    def _unshown(self, pending: Pending) -> Response | None:
        live = self._live.get(pending.digest)
        if live is None or live[0].unshown is None:
            return None
        response, live[0].unshown = live[0].unshown, None
        return response

    async def answer(self, request: Request, caller: Caller, pending_id: str) -> Response:
        """The caller's answer to a clarification question (#agent-response-to-clarification).

        Raises `InvalidRequest`, or as `poll`.
        """
        pending = await self._find(pending_id, _owner_of(caller))
        answer = decode_request(ClarificationAnswer, request)
        text = answer.clarification_response
        if answer.action != "clarification_response" or not text or len(text) > _MAX_ANSWER:
            raise InvalidRequest("action is clarification_response, with the answer in a member of the same name.")
        noted = {name: value for name, value in pending.decision.items() if name != "asked"}
        try:
            await self._store.decide_pending(pending.digest, Event.ANSWER, {**noted, "answer": text})
        except IllegalTransition as error:
            raise InvalidRequest("No question is open on this request.") from error
        return accepted_response(self._path + pending_id, retry_after_s=_RETRY_AFTER_S)

    async def cancel(self, caller: Caller, pending_id: str) -> Response:
        """The caller withdraws (#cancel-request); what is pending downstream is withdrawn with it."""
        owner = _owner_of(caller)
        await self._find(pending_id, owner)
        await self._pending.cancel(pending_id, owner=owner)
        return Response(204, Fields({"cache-control": "no-store"}))

    async def _find(self, pending_id: str, owner: str) -> Pending:
        pending = await self._pending.find(pending_id, owner=owner)
        if pending.kind != KIND:
            raise NotFound("There is no such pending request for this caller.")
        if pending.waiting or pending.state is State.GRANTED:
            iss, jti = pending.request["upstream"]
            if await self._store.is_revoked(iss, jti):
                await self._end(pending.digest, Event.REVOKE, {}, "The token this was asked with was revoked.")
                pending = await self._pending.find(pending_id, owner=owner)
        return pending

    # ---------------------------------------------------------------- the end

    async def aclose(self) -> None:
        """Stop what is under way, as at the end of the process: downstream it is withdrawn, its callers are told."""
        live = list(self._live.values())
        for invocation, task in live:
            await self.fail(invocation, AAuthError("The server stopped."))
            task.cancel()
        await asyncio.gather(*(task for _, task in live), *self._watchers, return_exceptions=True)


def _owner(upstream: PersonToken | AuthToken) -> str:
    return f"{upstream.person_server} {upstream.sub} {upstream.cnf.thumbprint}"


def _owner_of(caller: Caller) -> str:
    """Who polls: the same key, for the same person. Raises `NotFound` as for an id that does not exist."""
    if caller.presented is None:
        raise NotFound("There is no such pending request for this caller.")
    return _owner(caller.presented)


def _result(pending: Pending) -> Response:
    kept = pending.decision
    headers = [(name, value) for name, value in kept["headers"]]
    return Response(kept["status"], Fields([*headers, ("cache-control", "no-store")]), b64decode(kept["body"]))


def _line(text: str) -> str:
    """What another server said, as far as it can be said on."""
    return "".join(character for character in text if character.isprintable())[:_MAX_DETAIL]
