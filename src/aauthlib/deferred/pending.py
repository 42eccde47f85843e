"""Pending requests at a server (#deferred-responses, #pending-url-security).

`PendingRequests` gives out unguessable pending URLs, answers polls, and hands each terminal answer out once. It awaits
a store and knows neither SQL nor a web framework; what a granted request results in is made by the role, at delivery,
so that no token ever lies in a database.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..base64url import b64url_encode
from ..effects import Clock
from ..errors import Gone, NotFound, ProblemError, SlowDown
from ..http import Response, json_response
from ..messages.codes import code_digest, random_code
from ..messages.requirement import INTERACTION, Requirement
from .machine import TERMINAL, WAITING, WIRE_ERRORS, WIRE_STATUS, Event, IllegalTransition, State

__all__ = [
    "DEFAULT_LIFETIME_S",
    "MAX_CODE_ATTEMPTS",
    "MAX_WAIT_S",
    "Completion",
    "Opened",
    "Pending",
    "PendingRequests",
    "PendingStore",
    "id_digest",
    "stamp_of",
]

DEFAULT_LIFETIME_S = 900
#: Longest time a poll is held, in seconds, whatever `Prefer: wait` asks.
MAX_WAIT_S = 50
#: Wrong codes after which a pending interaction has failed for good (#interaction-code-format).
MAX_CODE_ATTEMPTS = 5
#: Polls of one pending URL within ten seconds before `slow_down`.
_POLLS_PER_WINDOW = 20
_POLL_WINDOW_S = 10.0
_MAX_TRACKED = 10_000


def id_digest(pending_id: str) -> str:
    """What is stored in place of a pending id, since only comparison is needed."""
    return hashlib.sha256(pending_id.encode("utf-8", "replace")).hexdigest()


def stamp_of(version: int, state: str) -> str:
    """Names a request as it stands. The state is in it for a server of an older version, which counts no versions."""
    return f"{version} {state}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One pending request as it stands in the store."""

    digest: str
    """Digest of the id in its URL."""
    owner: str
    """Who may poll it: a canonical form of the identity that started it."""
    kind: str
    """What it is for: the role's own name, such as `person_token`."""
    state: State
    created_at: float
    expires_at: float
    requirement: str | None = None
    """`interaction`, `approval`, `clarification` or `None`."""
    handle: str | None = None
    """Names the interaction in its URL. Not a secret; the code is."""
    code_digest: str | None = field(default=None, repr=False)
    code_attempts: int = 0
    code_consumed: bool = False
    request: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What was asked, as verified by the role: JSON."""
    decision: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What was decided: JSON."""
    detail: str = ""
    """For people: why it ended as it did."""
    version: int = 0
    """Counts the changes that whoever polls must see."""

    @property
    def waiting(self) -> bool:
        return self.state in WAITING

    @property
    def stamp(self) -> str:
        """Tells it from what it was before and will be after (`stamp_of`)."""
        return stamp_of(self.version, self.state)


@dataclass(frozen=True, slots=True)
class Opened:
    """A pending request just made, with the two secrets that are not stored."""

    pending: Pending
    url: str
    code: str | None = None
    interaction_url: str | None = None


class PendingStore(Protocol):
    """What `PendingRequests` needs kept. Every method is one transaction."""

    async def create_pending(self, pending: Pending) -> None:
        """Keep a new pending request."""

    async def get_pending(self, digest: str) -> Pending | None:
        """The pending request with this digest."""

    async def get_interaction(self, handle: str) -> Pending | None:
        """The pending request whose interaction has this handle."""

    async def advance_pending(self, digest: str, event: Event, *, detail: str = "", record: object = None) -> Pending:
        """Apply `event` to the current state, and return the result. Raises `IllegalTransition`, or `NotFound`.

        `record` is what the role wants kept in the same transaction as a `DELIVER`, such as the token being delivered.
        """

    async def consume_code(self, handle: str, digest: str, *, max_attempts: int) -> Pending:
        """Compare a typed code with the interaction's, count the attempt, and consume the code when it matches.

        A match applies `ARRIVE`; the last permitted failure applies `REJECT_CODE`. Raises `InvalidCode`.
        """

    async def wait_pending(self, pending: Pending, timeout_s: float) -> None:
        """Return when the request does not stand any more as `pending` says, or after `timeout_s` seconds."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to a granted request, and what is recorded in the transaction that marks it delivered."""

    response: Response
    record: object = None


Complete = Callable[[Pending], Awaitable[Completion]]
Waiting = Callable[[Pending], Awaitable[Response]]


class PendingRequests:
    """The server side of deferred responses, for one server role."""

    def __init__(
        self,
        store: PendingStore,
        *,
        issuer: str,
        clock: Clock,
        path: str = "/pending/",
        interaction_path: str = "/interaction/",
        lifetime_s: int = DEFAULT_LIFETIME_S,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        random_below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._clock = clock
        self._path = path
        self._interaction_path = interaction_path
        self._lifetime_s = lifetime_s
        self._random_bytes = random_bytes
        self._random_below = random_below
        self._polls: dict[str, tuple[float, int]] = {}

    async def open(
        self,
        *,
        kind: str,
        owner: str,
        request: Mapping[str, Any],
        requirement: str | None = None,
        lifetime_s: float | None = None,
    ) -> Opened:
        """Start a pending request and return it with its URL and, for an interaction, its code."""
        opened = self.prepare(kind=kind, owner=owner, request=request, requirement=requirement, lifetime_s=lifetime_s)
        await self._store.create_pending(opened.pending)
        return opened

    def prepare(
        self,
        *,
        kind: str,
        owner: str,
        request: Mapping[str, Any],
        requirement: str | None = None,
        lifetime_s: float | None = None,
    ) -> Opened:
        """A pending request that the role keeps itself, with what else it keeps in that transaction.

        The id has 256 random bits, the code 40; neither is stored. `lifetime_s` is in seconds.
        """
        now = self._clock()
        pending_id = b64url_encode(self._random_bytes(32))
        pending = Pending(
            digest=id_digest(pending_id),
            owner=owner,
            kind=kind,
            state=State.PENDING,
            created_at=now,
            expires_at=now + (self._lifetime_s if lifetime_s is None else lifetime_s),
            requirement=requirement,
            request=request,
        )
        code = interaction_url = None
        if requirement == INTERACTION:
            code = random_code(self._random_below)
            handle = random_code(self._random_below).replace("-", "").lower()
            pending = replace(pending, handle=handle, code_digest=code_digest(code))
            interaction_url = f"{self._issuer}{self._interaction_path}{handle}"
        return Opened(pending, f"{self._issuer}{self._path}{pending_id}", code, interaction_url)

    def accepted(self, opened: Opened, *, retry_after_s: int = 0) -> Response:
        """The first `202` (#pending-response). Only this one carries the code, since only now it is known."""
        pending = opened.pending
        requirement = None
        if pending.requirement is not None:
            requirement = Requirement(pending.requirement, url=opened.interaction_url, code=opened.code)
        return accepted_response(
            opened.url, status=WIRE_STATUS[pending.state], requirement=requirement, retry_after_s=retry_after_s
        )

    async def poll(
        self,
        pending_id: str,
        *,
        owner: str,
        wait_s: float,
        complete: Complete,
        waiting: Waiting | None = None,
        retry_after_s: int = 0,
    ) -> Response:
        """Answer a poll (#polling-with-get): `202` while waiting, the terminal answer once, then `410`.

        `owner` is the verified identity of whoever polls; `wait_s` what it asked by `Prefer: wait`, at most
        `MAX_WAIT_S`. `complete` makes the response of a granted request, and is called before it is marked delivered:
        it raises a `ProblemError` to end the request otherwise. `waiting` makes the answer of one that still waits,
        where what it waits for changes on the way; without it that is a plain `202`. Raises `NotFound`, `Gone`,
        `SlowDown` or the terminal error.
        """
        pending = await self.find(pending_id, owner=owner)
        self._count_poll(pending)
        # An open question is what the poll waits for.
        if pending.waiting and pending.state is not State.CLARIFYING and wait_s > 0:
            remaining = max(0.0, pending.expires_at - self._clock())
            await self._store.wait_pending(pending, min(wait_s, MAX_WAIT_S, remaining))
            pending = await self.find(pending_id, owner=owner)
        if pending.waiting and waiting is not None:
            return await waiting(pending)
        if pending.waiting:
            requirement = Requirement(pending.requirement) if pending.requirement not in (None, INTERACTION) else None
            return accepted_response(
                f"{self._issuer}{self._path}{pending_id}",
                status=WIRE_STATUS[pending.state],
                requirement=requirement,
                retry_after_s=retry_after_s,
            )
        self._polls.pop(pending.digest, None)
        if pending.state is not State.GRANTED:
            raise await self._report(pending)
        try:
            completion = await complete(pending)
        except ProblemError:
            await self._end(pending, Event.REPORT)
            raise
        ended = await self._end(pending, Event.DELIVER, completion.record)
        if ended is not None:
            # It was revoked, or timed out, while the answer was made: that answer must not leave.
            raise await self._report(ended)
        return completion.response

    async def find(self, pending_id: str, *, owner: str) -> Pending:
        """The pending request, if `owner` may see it; one past its time is expired first.

        Raises `NotFound` for an unknown id and for one that belongs to somebody else, alike, and `Gone` after the
        terminal answer or a cancellation.
        """
        pending = await self._store.get_pending(id_digest(pending_id))
        if pending is None or not secrets.compare_digest(pending.owner.encode(), owner.encode()):
            raise NotFound("There is no such pending request for this caller.")
        if pending.state in (State.DELIVERED, State.CANCELLED):
            raise Gone("This pending URL has given its final answer; start a new request.")
        if pending.expires_at <= self._clock() and (pending.waiting or pending.state is State.GRANTED):
            pending = await self._advance(pending, Event.EXPIRE, "The request timed out before it was completed.")
        return pending

    async def cancel(self, pending_id: str, *, owner: str) -> None:
        """Withdraw (#cancel-request): the agent's DELETE. Raises `NotFound` or `Gone`."""
        pending = await self.find(pending_id, owner=owner)
        await self._advance(pending, Event.CANCEL, "The agent withdrew its request.")

    async def _advance(self, pending: Pending, event: Event, detail: str) -> Pending:
        try:
            return await self._store.advance_pending(pending.digest, event, detail=detail)
        except IllegalTransition:
            # Somebody was faster; what they decided stands.
            current = await self._store.get_pending(pending.digest)
            if current is None or current.state in (State.DELIVERED, State.CANCELLED):
                raise Gone("This pending URL has given its final answer; start a new request.") from None
            return current

    async def _report(self, pending: Pending) -> ProblemError:
        """The error that `pending` ended with, given out this once. Raises `Gone` when another poll was faster."""
        await self._end(pending, Event.REPORT)
        return WIRE_ERRORS[pending.state](pending.detail)

    async def _end(self, pending: Pending, event: Event, record: object = None) -> Pending | None:
        """Mark the terminal answer as given; if the request ended in another way meanwhile, return it as it ended.

        Raises `Gone` when its answer was given already.
        """
        try:
            await self._store.advance_pending(pending.digest, event, record=record)
        except IllegalTransition:
            current = await self._store.get_pending(pending.digest)
            if current is None or current.state in (State.DELIVERED, State.CANCELLED):
                raise Gone("This pending URL has given its final answer; start a new request.") from None
            return current
        return None

    def _count_poll(self, pending: Pending) -> None:
        now = self._clock()
        started, count = self._polls.get(pending.digest, (now, 0))
        if now - started >= _POLL_WINDOW_S:
            started, count = now, 0
        if len(self._polls) >= _MAX_TRACKED and pending.digest not in self._polls:
            self._polls.clear()
        self._polls[pending.digest] = (started, count + 1)
        if count + 1 > _POLLS_PER_WINDOW and pending.state not in TERMINAL:
            raise SlowDown("Poll less often: add five seconds to the interval.")


def accepted_response(
    location: str,
    *,
    status: str = "pending",
    requirement: Requirement | None = None,
    retry_after_s: int = 0,
    body: Mapping[str, Any] | None = None,
) -> Response:
    """A `202 Accepted` with every header the spec requires (#pending-response)."""
    headers = [("location", location), ("retry-after", str(retry_after_s))]
    if requirement is not None:
        headers.append(("aauth-requirement", requirement.serialize()))
    return json_response(202, {"status": status, **(body or {})}, headers=headers)
