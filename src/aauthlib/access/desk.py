"""The people at an access server: who binds a person server, and who approves (#ps-as-trust-establishment).

What the page shows and who may decide. Knows no HTML and no cookies; how a person signs in is the application's hook.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..deferred.machine import Event
from ..deferred.pending import MAX_CODE_ATTEMPTS, Pending
from ..errors import Expired, Gone, InvalidIdentifier, NotFound
from ..identifiers import https_url, origin_of
from ..messages.codes import code_digest
from ..messages.requirement import APPROVAL, INTERACTION
from ..store.access_records import (
    APPROVED,
    CONFIRMED,
    DECLINED,
    EXCHANGE,
    REFUSED,
    Binding,
    DecisionRecord,
    Exchange,
)
from .asked import Asked
from .deciding import known_user
from .endpoints import TokenEndpoint

__all__ = ["MAX_REASON", "AccessDesk", "ApprovalView", "BindingView", "SignIn"]

#: The application's own sign-in: user name and password to its user id, or `None`.
SignIn = Callable[[str, str], Awaitable[str | None]]

#: The longest reason for a refusal, which the person server relays.
MAX_REASON = 500
_MAX_CALLBACK = 2_048
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
    callback: str | None = None
    """Where their browser goes when they have decided."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A request that waits for somebody's approval here."""

    digest: str
    step: int
    """Which of the steps of the exchange is waited for: a decision names the one it was made on."""
    by: str
    """Whose approval the policy wants."""
    person_server: str
    agent: str
    provider: str
    resource: str
    sub: str
    scopes: tuple[str, ...]
    account: str | None
    tenant: str | None
    in_mission: bool
    claims: Mapping[str, Any]
    """What the person server says of the person."""
    answers: Mapping[str, str]
    """Question to answer, as the person server passed it on."""
    updates: tuple[str, ...]
    """Why the request was changed since it was made, as the agent says."""
    bound_user: str | None
    """The account here whose holder confirmed the person server."""
    created_at: float
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

    async def arrive(self, handle: str, code: str, user: str, *, callback: str | None = None) -> BindingView:
        """The signed-in `user` arrives with the code, which is thereby used up. Raises as `check_code` does.

        A `callback` elsewhere than at the person server is dropped: this page is no way to send people anywhere.
        """
        exchange = await self._interaction(handle)
        pending = await self.store.arrive(
            handle,
            code_digest(code),
            user=user,
            callback=_permitted(callback, Asked.of(exchange.pending.request).ps, dev=self.dev),
            max_attempts=MAX_CODE_ATTEMPTS,
        )
        return _binding_view(pending)

    async def approve(self, handle: str, user: str, *, name: str = "") -> None:
        """`user`, who arrived, confirms that the person server speaks for them. The policy decides what follows.

        `name` is what the log calls them.
        """
        exchange = await self._arrived(handle, user)
        asked = Asked.of(exchange.pending.request)
        binding = Binding(ps=asked.ps, resource=asked.resource, sub=asked.sub, user=user, bound_at=self.clock())
        learned = msgspec.structs.replace(exchange.learned, user=user)
        decided = self._decided(exchange, CONFIRMED, by=name or user)
        if not await self.proceed(exchange, learned, binding=binding, decided=[decided]):
            raise Gone(_CLOSED)

    async def deny(self, handle: str, user: str, *, name: str = "") -> None:
        """`user`, who arrived, says no."""
        exchange = await self._arrived(handle, user)
        decided = self._decided(exchange, DECLINED, by=name or user)
        await self._refuse(exchange, "The person declined at the access server.", decided)

    async def confirmed_by(self, user: str) -> list[Binding]:
        """The person servers that an account here stands by, the latest first."""
        return await self.store.bindings_of(user)

    # ------------------------------------------------------------------ approvals

    async def approvals(self) -> list[ApprovalView]:
        """What waits for somebody's approval, the oldest first."""
        waiting = await self.store.exchanges_waiting_for(APPROVAL, now=self.clock())
        return [await self._approval_view(exchange) for exchange in waiting]

    async def approval(self, digest: str) -> ApprovalView:
        """One of them. Raises `NotFound`, `Expired` or `Gone`."""
        return await self._approval_view(self._open_one(await self.store.exchange(digest), APPROVAL))

    async def decide_approval(
        self, digest: str, *, by: str, approved: bool, reason: str = "", step: int | None = None
    ) -> None:
        """`by` approves or refuses, as the request was at `step` if one is given.

        Raises `NotFound`, `Expired`, or `Gone` when it was decided or has changed.
        """
        exchange = self._open_one(await self.store.exchange(digest), APPROVAL)
        if step is not None and step != exchange.step:
            raise Gone("The request changed meanwhile. Look at what it asks now.")
        if not approved:
            refused = reason.strip()[:MAX_REASON] or "The request was not approved."
            return await self._refuse(exchange, refused, self._decided(exchange, REFUSED, by=by, reason=refused))
        learned = msgspec.structs.replace(exchange.learned, approved_by=by)
        if not await self.proceed(exchange, learned, decided=[self._decided(exchange, APPROVED, by=by)]):
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

    async def _refuse(self, exchange: Exchange, detail: str, decided: DecisionRecord) -> None:
        refused = await self.store.move(
            exchange, exchange.learned, event=Event.DENY, detail=detail, log=[decided], now=self.clock()
        )
        if not refused:
            raise Gone(_CLOSED)

    def _decided(self, exchange: Exchange, decision: str, *, by: str, reason: str = "") -> DecisionRecord:
        """What a person decided, for the log."""
        asked = Asked.of(exchange.pending.request)
        return DecisionRecord(
            at=self.clock(),
            ps=asked.ps,
            agent=asked.sub_agent or asked.agent,
            resource=asked.resource,
            sub=asked.sub,
            scope=" ".join(asked.scope),
            decision=decision,
            reason=reason,
            rule="",
            version=exchange.learned.version,
            decided_by=by[:64],
        )

    async def _approval_view(self, exchange: Exchange) -> ApprovalView:
        asked, learned = Asked.of(exchange.pending.request), exchange.learned
        return ApprovalView(
            digest=exchange.pending.digest,
            step=exchange.step,
            by=str(exchange.terms.get("by", "")),
            person_server=asked.ps,
            agent=asked.sub_agent or asked.agent,
            provider=asked.provider,
            resource=asked.resource,
            sub=asked.sub,
            scopes=asked.scope,
            account=asked.account,
            tenant=asked.tenant,
            in_mission=asked.mission_s256 is not None,
            claims=learned.claims,
            answers=learned.answers,
            updates=learned.updates,
            bound_user=learned.user or await known_user(self, asked),
            created_at=exchange.pending.created_at,
            expires_at=exchange.pending.expires_at,
        )


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
        callback=pending.decision.get("callback") if user is not None else None,
    )


def _permitted(callback: str | None, ps: str, *, dev: bool) -> str | None:
    """`callback` if it is a page of the person server that asked."""
    if not callback or len(callback) > _MAX_CALLBACK:
        return None
    try:
        return callback if origin_of(https_url(callback, dev=dev)) == origin_of(ps) else None
    except InvalidIdentifier:
        return None
