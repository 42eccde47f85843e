"""What an intermediary needs kept beside what a resource does: `store.resource` keeps it in a database,
`store.resource_memory` in memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from ..deferred.pending import Pending
from ..resource.storage import ResourceStore
from ..store.resource_records import InvocationRecord

__all__ = ["ChainStore"]


class ChainStore(ResourceStore, Protocol):
    """Invocations whose caller waits, each beside a pending request. Every method is one transaction."""

    async def open_invocation(self, pending: Pending, record: InvocationRecord, *, most: int, now: float) -> bool:
        """Keep both. False when `most` invocations of the owner wait already whose process lives."""

    async def get_invocation(self, digest: str) -> InvocationRecord | None:
        """The invocation of the pending request with this digest."""

    async def direct_invocation(self, digest: str, url: str, code: str, *, now: float) -> None:
        """The person is needed at `url`, one step further. Whoever polls sees that something changed.

        Raises `IllegalTransition` when the request is over, or `NotFound`.
        """

    async def recode_invocation(self, digest: str, coded: int, code_digest: str) -> bool:
        """Have the code after the one numbered `coded` count, which nobody has used yet. False if it does already."""

    async def update_invocation(self, digest: str, **changes: Any) -> None:
        """Change members that nobody waits for."""

    async def beat_invocations(self, digests: Collection[str], until: float) -> None:
        """The process that carries these out lives, and says so again before `until`."""
