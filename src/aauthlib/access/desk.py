"""The people at an access server: who binds a person server, and who approves (#ps-as-trust-establishment).

What the page shows and who may decide. Knows no HTML and no cookies; how a person signs in is the application's hook.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from ..deferred.machine import Event
from ..deferred.pending import MAX_CODE_ATTEMPTS, Pending
from ..errors import Expired, Gone, NotFound
from ..messages.codes import code_digest
from ..messages.requirement import APPROVAL, INTERACTION
from ..store.access_records import EXCHANGE, Binding, Exchange
from .asked import Asked
from .endpoints import TokenEndpoint

__all__ = ["AccessDesk", "ApprovalView", "BindingView", "SignIn"]

#: The application's own sign-in: user name and password to its user id, or `None`.
SignIn = Callable[[str, str], Awaitable[str | None]]

_CLOSED = "This request was decided or withdrawn already."


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingView:
    """What the page shows: who asks for whom, and where."""

    handle: str
    person_server: str
    agent: str
    provider: str
    resource: str
    scopes: tuple[str, ...]
    user: str | None
    """Who arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A request that waits for somebody's approval here."""

    digest: str
    by: str
    """Whose approval the policy wants."""
    person_server: str
    agent: str
    provider: str
    resource: str
    sub: str
    scopes: tuple[str, ...]
    expires_at: float


class AccessDesk(TokenEndpoint):
    """What the pages and the administration of an access server call."""

    # ------------------------------------------------------------------ binding a person server

    async def view(self, handle: str) -> BindingView:
        """What stands at an interaction URL. Raises `NotFound`, `Expired`, or `Gone` when it was decided."""
        return _binding_view((await self._interaction(handle)).pending)

    async def check_code(self, handle: str, code: str) -> None:
        """Compare a code without consuming it. A wrong one counts. Raises `InvalidCode`, `NotFound` or `Expired`."""
        await self._interaction(handle)
        await self.store.check_code(handle, code_digest(code), max_attempts=MAX_CODE_ATTEMPTS)

    async def arrive(self, handle: str, code: str, user: str) -> BindingView:
        """The signed-in `user` arrives with the code, which is thereby used up. Raises as `check_code` does."""
        await self._interaction(handle)
        pending = await self.store.arrive(handle, code_digest(code), user=user, max_attempts=MAX_CODE_ATTEMPTS)
        return _binding_view(pending)

    async def approve(self, handle: str, user: str) -> None:
        """`user`, who arrived, confirms that the person server speaks for them. The policy decides what follows."""
        exchange = await self._arrived(handle, user)
        asked = Asked.of(exchange.pending.request)
        binding = Binding(ps=asked.ps, resource=asked.resource, sub=asked.sub, user=user, bound_at=self.clock())
        learned = msgspec.structs.replace(exchange.learned, user=user)
        if not await self.proceed(exchange, learned, binding=binding):
            raise Gone(_CLOSED)

    async def deny(self, handle: str, user: str) -> None:
        """`user`, who arrived, says no."""
        exchange = await self._arrived(handle, user)
        await self._refuse(exchange, "The person declined at the access server.")

    # ------------------------------------------------------------------ approvals

    async def approvals(self) -> list[ApprovalView]:
        """What waits for somebody's approval, the oldest first."""
        waiting = await self.store.exchanges_waiting_for(APPROVAL, now=self.clock())
        return [_approval_view(exchange) for exchange in waiting]

    async def decide_approval(self, digest: str, *, by: str, approved: bool, reason: str = "") -> None:
        """`by` approves or refuses. Raises `NotFound`, `Expired` or `Gone`."""
        exchange = self._open_one(await self.store.exchange(digest), APPROVAL)
        if not approved:
            return await self._refuse(exchange, reason or "The request was not approved.")
        learned = msgspec.structs.replace(exchange.learned, approved_by=by)
        if not await self.proceed(exchange, learned):
            raise Gone(_CLOSED)

    # ------------------------------------------------------------------ inside

    async def _interaction(self, handle: str) -> Exchange:
        pending = await self.store.get_interaction(handle)
        exchange = await self.store.exchange(pending.digest) if pending is not None else None
        return self._open_one(exchange, INTERACTION)

    def _open_one(self, exchange: Exchange | None, requirement: str) -> Exchange:
        if exchange is None or exchange.pending.kind != EXCHANGE:
            raise NotFound("There is no such request. Check the link, or ask your agent to try again.")
        pending = exchange.pending
        if pending.waiting and pending.expires_at <= self.clock():
            raise Expired("This request timed out. Ask your agent to try again.")
        if not pending.waiting or pending.requirement != requirement:
            raise Gone(_CLOSED)
        return exchange

    async def _arrived(self, handle: str, user: str) -> Exchange:
        exchange = await self._interaction(handle)
        arrived = exchange.pending.decision.get("user")
        if not exchange.pending.code_consumed or not isinstance(arrived, str):
            raise Gone(_CLOSED)
        if not hmac.compare_digest(arrived.encode(), user.encode()):
            raise Gone(_CLOSED)
        return exchange

    async def _refuse(self, exchange: Exchange, detail: str) -> None:
        refused = await self.store.move(
            exchange, exchange.learned, event=Event.DENY, detail=detail[:500], now=self.clock()
        )
        if not refused:
            raise Gone(_CLOSED)


def _binding_view(pending: Pending) -> BindingView:
    asked = Asked.of(pending.request)
    user = pending.decision.get("user") if pending.code_consumed else None
    return BindingView(
        handle=pending.handle or "",
        person_server=asked.ps,
        agent=asked.sub_agent or asked.agent,
        provider=asked.provider,
        resource=asked.resource,
        scopes=asked.scope,
        user=user if isinstance(user, str) else None,
    )


def _approval_view(exchange: Exchange) -> ApprovalView:
    asked = Asked.of(exchange.pending.request)
    return ApprovalView(
        digest=exchange.pending.digest,
        by=str(exchange.terms.get("by", "")),
        person_server=asked.ps,
        agent=asked.sub_agent or asked.agent,
        provider=asked.provider,
        resource=asked.resource,
        sub=asked.sub,
        scopes=asked.scope,
        expires_at=exchange.pending.expires_at,
    )
