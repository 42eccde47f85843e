"""What a resource needs kept: `store.resource` keeps it in a database, `store.resource_memory` in memory.

Every method is one transaction. Session tokens and pending ids are known to a store only as digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ..deferred.machine import Event
from ..deferred.pending import Pending, PendingStore
from ..store.resource_records import Held, HeldState, PersonRecord, Session

__all__ = ["ResourceStore"]


class ResourceStore(PendingStore, Protocol):
    """Persons, revocations, sessions and held invocations, beside pending requests.

    `advance_pending` with `Event.DELIVER` and a `NewSession` as `record` keeps the session in the same transaction.
    """

    async def count_waiting(self, owner: str, now: float) -> int:
        """How many pending requests of `owner` still wait."""

    async def decide_pending(
        self, digest: str, event: Event, decision: Mapping[str, Any], *, detail: str = ""
    ) -> Pending:
        """Apply `event` and keep `decision` with it. Raises `IllegalTransition`, or `NotFound`."""

    async def see_person(self, iss: str, sub: str, tenant: str | None, now: float) -> PersonRecord:
        """Match or establish the record of `(iss, sub)`. `last_seen` is exact to a minute."""

    async def link_person(self, iss: str, sub: str, user: str | None) -> None:
        """Link the person to the application's own account, or unlink. Raises `NotFound` for an unknown person."""

    async def revoke(self, iss: str, jti: str, until: float, now: float, *, most: int, most_of_all: int) -> bool:
        """Remember that `iss` withdrew `jti` until `until`.

        False when `iss` has `most` entries already, or there are `most_of_all` of everybody and no person of `iss` was
        ever seen: names are cheap, and those of an attacker must not keep out whom this resource deals with.
        """

    async def is_revoked(self, iss: str, jti: str) -> bool:
        """Whether `iss` withdrew `jti`."""

    async def use_session(self, digest: str, agent: tuple[str, str], now: float, *, grace_s: float) -> Session | None:
        """The session of this token if it is valid and bound to `agent`.

        The first use of a replacement ends every earlier token of the session in `grace_s` seconds.
        """

    async def replace_session(self, session_id: str, digest: str, now: float, *, interval_s: float) -> bool:
        """Add a token to the session. False when an unused replacement younger than `interval_s` exists."""

    async def end_sessions(self, user: str) -> int:
        """End every session of `user`; how many there were."""

    async def hold(self, held: Held, *, most: int) -> bool:
        """Keep an invocation. False when its key has `most` invocations held already, or there is no room."""

    async def get_held(self, digest: str) -> Held | None:
        """The held invocation with this digest."""

    async def advance_held(self, digest: str, state: HeldState, **changes: Any) -> Held | None:
        """Change the state, and what else is given, if `HELD_TRANSITIONS` allows it; `None` when it does not."""

    async def renew_held(self, digest: str, token_expires_at: float) -> None:
        """Note when the resource token that was sent last expires."""
