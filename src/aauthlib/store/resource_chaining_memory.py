"""Invocations of an intermediary in memory: `resource_chaining` for one process."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..deferred.machine import Event, IllegalTransition
from ..deferred.pending import Pending
from ..errors import NotFound
from .resource_records import InvocationRecord
from .waiters import Waiters

__all__ = ["MemoryInvocations"]


class MemoryInvocations:
    """The part of `ChainStore` that a `ResourceStore` has not. Each goes with its pending request."""

    _pending: dict[str, Pending]
    _waiters: Waiters

    def __init__(self) -> None:
        self._invocations: dict[str, InvocationRecord] = {}

    async def create_pending(self, pending: Pending) -> None:
        """As `PendingStore.create_pending`."""
        raise NotImplementedError

    async def open_invocation(self, pending: Pending, record: InvocationRecord, *, most: int, now: float) -> bool:
        alive = sum(
            known.owner == pending.owner
            and known.waiting
            and known.expires_at > now
            and self._invocations[digest].alive_until > now
            for digest, known in self._pending.items()
            if digest in self._invocations
        )
        if alive >= most:
            return False
        await self.create_pending(pending)
        self._invocations = {digest: kept for digest, kept in self._invocations.items() if digest in self._pending}
        self._invocations[record.digest] = record
        return True

    async def get_invocation(self, digest: str) -> InvocationRecord | None:
        return self._invocations.get(digest) if digest in self._pending else None

    async def direct_invocation(self, digest: str, url: str, code: str, *, now: float) -> None:
        pending = self._pending.get(digest)
        if pending is None:
            raise NotFound("There is no such pending request.")
        if not pending.waiting:
            raise IllegalTransition(pending.state, Event.ARRIVE)
        known = self._invocations[digest]
        self._invocations[digest] = replace(known, url=url, code=code, seen_at=now, step=known.step + 1)
        self._pending[digest] = pending = replace(pending, version=pending.version + 1)
        self._waiters.wake(digest, pending.stamp)

    async def recode_invocation(self, digest: str, coded: int, code_digest: str) -> bool:
        known = self._invocations.get(digest)
        if known is None or known.coded != coded:
            return False
        self._invocations[digest] = replace(known, coded=coded + 1, shown=True)
        self._pending[digest] = replace(self._pending[digest], code_digest=code_digest, code_consumed=False)
        return True

    async def update_invocation(self, digest: str, **changes: Any) -> None:
        if digest in self._invocations:
            self._invocations[digest] = replace(self._invocations[digest], **changes)

    async def beat_invocations(self, digests: Collection[str], until: float) -> None:
        for digest in digests:
            await self.update_invocation(digest, alive_until=until)
