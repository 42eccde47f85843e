"""A resource's store in memory: for a resource without a database, and for tests. Bounded; one process, one event loop.

Nothing survives a restart: revocations and sessions least of all. Every method runs without a pause, so each is one
transaction.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..deferred.machine import TERMINAL, Event, transition
from ..deferred.pending import Pending
from ..effects import Clock
from ..errors import InvalidCode, NotFound, TemporarilyUnavailable
from .resource_chaining_memory import MemoryInvocations
from .resource_records import HELD_TRANSITIONS, Held, HeldState, NewSession, PersonRecord, Session
from .waiters import Waiters

__all__ = ["MemoryResourceStore"]

_SEEN_RESOLUTION_S = 60.0
_KEEP_DELIVERED_S = 900.0


@dataclass(slots=True)
class _Token:
    session_id: str
    issued_at: float
    used: bool
    valid_until: float | None = None


class MemoryResourceStore(MemoryInvocations):
    """`ResourceStore` and `ChainStore` in memory, with at most `max_entries` of each kind and `max_held_bytes` of held
    invocations.

    A new entry beyond that is refused with `TemporarilyUnavailable` after what has expired is forgotten. Persons make
    room for each other, the one not seen for longest going first, with the link to the application's account.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_entries: int = 10_000,
        max_held_bytes: int = 64 * 1_048_576,
        waiters: Waiters | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._max_entries = max_entries
        self._max_held_bytes = max_held_bytes
        self._waiters = waiters if waiters is not None else Waiters()
        self._pending: dict[str, Pending] = {}
        self._handles: dict[str, str] = {}
        self._persons: dict[tuple[str, str], PersonRecord] = {}
        self._revoked: dict[str, dict[str, float]] = {}
        self._sessions: dict[str, NewSession] = {}
        self._tokens: dict[str, _Token] = {}
        self._held: dict[str, Held] = {}

    def _make_room(self, entries: Mapping[str, Any]) -> None:
        if len(entries) >= self._max_entries:
            self._forget_expired()
        if len(entries) >= self._max_entries:
            raise TemporarilyUnavailable("This resource holds as much as it can for now.", retry_after_s=30)

    def _forget_expired(self) -> None:
        now = self._clock()
        for digest, pending in list(self._pending.items()):
            if pending.expires_at + (_KEEP_DELIVERED_S if pending.state in TERMINAL else 0.0) <= now:
                del self._pending[digest]
                self._handles.pop(pending.handle or "", None)
        for digest, held in list(self._held.items()):
            if max(held.expires_at, held.retain_until or 0.0) + _KEEP_DELIVERED_S <= now:
                del self._held[digest]
        for session_id, session in list(self._sessions.items()):
            if session.expires_at <= now:
                self._end(session_id)
        for digest, token in list(self._tokens.items()):
            if token.valid_until is not None and token.valid_until <= now:
                del self._tokens[digest]

    # ---------------------------------------------------------------- pending requests

    async def create_pending(self, pending: Pending) -> None:
        self._make_room(self._pending)
        self._pending[pending.digest] = pending
        if pending.handle is not None:
            self._handles[pending.handle] = pending.digest

    async def get_pending(self, digest: str) -> Pending | None:
        return self._pending.get(digest)

    async def get_interaction(self, handle: str) -> Pending | None:
        return self._pending.get(self._handles.get(handle, ""))

    async def advance_pending(self, digest: str, event: Event, *, detail: str = "", record: object = None) -> Pending:
        pending = self._advance(digest, event, detail=detail)
        if event is Event.DELIVER and isinstance(record, NewSession):
            self._make_room(self._sessions)
            self._sessions[record.session_id] = record
            self._tokens[record.digest] = _Token(record.session_id, record.now, used=True)
        return pending

    async def decide_pending(
        self, digest: str, event: Event, decision: Mapping[str, Any], *, detail: str = ""
    ) -> Pending:
        return self._advance(digest, event, detail=detail, decision=dict(decision))

    def _advance(self, digest: str, event: Event, *, detail: str = "", **changes: Any) -> Pending:
        pending = self._pending.get(digest)
        if pending is None:
            raise NotFound("There is no such pending request.")
        if detail:
            changes["detail"] = detail
        state = transition(pending.state, event)
        self._pending[digest] = pending = replace(pending, state=state, version=pending.version + 1, **changes)
        self._waiters.wake(digest, pending.stamp)
        return pending

    async def consume_code(self, handle: str, digest: str, *, max_attempts: int) -> Pending:
        pending = await self.get_interaction(handle)
        if pending is None:
            raise InvalidCode("The code is not recognised.")
        if not pending.waiting or pending.code_consumed or pending.code_attempts >= max_attempts:
            raise InvalidCode("The code was used already, or is no longer valid.")
        if hmac.compare_digest(pending.code_digest or "", digest):
            return self._advance(pending.digest, Event.ARRIVE, code_consumed=True)
        attempts = pending.code_attempts + 1
        self._pending[pending.digest] = replace(pending, code_attempts=attempts)
        if attempts >= max_attempts:
            self._advance(pending.digest, Event.REJECT_CODE, detail="Too many wrong codes were tried.")
        raise InvalidCode("The code is not recognised.")

    async def wait_pending(self, pending: Pending, timeout_s: float) -> None:
        await self._waiters.wait(pending.digest, pending.stamp, timeout_s, self._stamps)

    async def _stamps(self, digests: Sequence[str]) -> Mapping[str, str]:
        return {digest: self._pending[digest].stamp for digest in digests if digest in self._pending}

    async def count_waiting(self, owner: str, now: float) -> int:
        return sum(p.owner == owner and p.waiting and p.expires_at > now for p in self._pending.values())

    # ---------------------------------------------------------------- persons

    async def see_person(self, iss: str, sub: str, tenant: str | None, now: float) -> PersonRecord:
        record = self._persons.pop((iss, sub), None)
        if record is None:
            while len(self._persons) >= self._max_entries:
                del self._persons[next(iter(self._persons))]
            record = PersonRecord(iss=iss, sub=sub, tenant=tenant, first_seen=now, last_seen=now)
        elif now - record.last_seen >= _SEEN_RESOLUTION_S or tenant != record.tenant:
            record = replace(record, last_seen=now, tenant=tenant)
        self._persons[iss, sub] = record
        return record

    async def link_person(self, iss: str, sub: str, user: str | None) -> None:
        if (iss, sub) not in self._persons:
            raise NotFound("This resource has not seen that person.")
        self._persons[iss, sub] = replace(self._persons[iss, sub], user=user)

    # ---------------------------------------------------------------- revocations

    async def revoke(self, iss: str, jti: str, until: float, now: float, *, most: int, most_of_all: int) -> bool:
        known = self._revoked.get(iss, {})
        kept = {old: end for old, end in known.items() if end > now or old == jti}
        if jti not in kept and (len(kept) >= most or self._no_room_for(iss, most_of_all)):
            return False
        kept[jti] = max(until, kept.get(jti, 0.0))
        self._revoked[iss] = kept
        return True

    def _no_room_for(self, iss: str, most_of_all: int) -> bool:
        most_of_all = min(most_of_all, self._max_entries)
        if sum(map(len, self._revoked.values())) < most_of_all:
            return False
        now = self._clock()
        living = {
            each: {jti: end for jti, end in entries.items() if end > now} for each, entries in self._revoked.items()
        }
        self._revoked = {each: entries for each, entries in living.items() if entries}
        full = sum(map(len, self._revoked.values())) >= most_of_all
        return full and not any(seen == iss for seen, _ in self._persons)

    async def is_revoked(self, iss: str, jti: str) -> bool:
        return jti in self._revoked.get(iss, ())

    # ---------------------------------------------------------------- sessions

    async def use_session(self, digest: str, agent: tuple[str, str], now: float, *, grace_s: float) -> Session | None:
        token = self._tokens.get(digest)
        session = self._sessions.get(token.session_id) if token is not None else None
        if token is None or session is None or session.agent != agent or session.expires_at <= now:
            return None
        if token.valid_until is not None and token.valid_until <= now:
            return None
        if not token.used and token.valid_until is None:
            token.used = True
            for other in self._tokens.values():
                if other is not token and other.session_id == token.session_id:
                    other.valid_until = min(other.valid_until or now + grace_s, now + grace_s)
        return Session(
            session_id=session.session_id,
            agent=session.agent,
            user=session.user,
            scope=session.scope,
            created_at=session.now,
            expires_at=session.expires_at,
            issued_at=token.issued_at,
            superseded=token.valid_until is not None,
        )

    async def replace_session(self, session_id: str, digest: str, now: float, *, interval_s: float) -> bool:
        tokens = [token for token in self._tokens.values() if token.session_id == session_id]
        if session_id not in self._sessions or any(not t.used and now - t.issued_at < interval_s for t in tokens):
            return False
        if len(self._tokens) >= 4 * self._max_entries:
            self._forget_expired()
            if len(self._tokens) >= 4 * self._max_entries:
                return False
        self._tokens[digest] = _Token(session_id, now, used=False)
        return True

    async def end_sessions(self, user: str) -> int:
        ended = [session_id for session_id, session in self._sessions.items() if session.user == user]
        for session_id in ended:
            self._end(session_id)
        return len(ended)

    def _end(self, session_id: str) -> None:
        del self._sessions[session_id]
        self._tokens = {digest: token for digest, token in self._tokens.items() if token.session_id != session_id}

    # ---------------------------------------------------------------- held invocations

    async def hold(self, held: Held, *, most: int) -> bool:
        now = self._clock()
        mine = [h for h in self._held.values() if h.agent_jkt == held.agent_jkt and h.state is HeldState.HELD]
        if sum(h.expires_at > now for h in mine) >= most:
            return False
        self._make_room(self._held)
        if sum(len(h.body) + len(h.result_body) for h in self._held.values()) + len(held.body) > self._max_held_bytes:
            return False
        self._held[held.digest] = held
        return True

    async def get_held(self, digest: str) -> Held | None:
        return self._held.get(digest)

    async def advance_held(self, digest: str, state: HeldState, **changes: Any) -> Held | None:
        held = self._held.get(digest)
        if held is None or state not in HELD_TRANSITIONS[held.state]:
            return None
        self._held[digest] = held = replace(held, state=state, **changes)
        return held

    async def renew_held(self, digest: str, token_expires_at: float) -> None:
        held = self._held.get(digest)
        if held is not None:
            self._held[digest] = replace(held, token_expires_at=token_expires_at)
