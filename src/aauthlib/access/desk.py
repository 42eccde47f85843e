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
from ..store.access_approval_records import AccessApproval, AccessBallot, AccessStanding, may_give
from ..store.access_people_records import AccessPerson
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
from ..store.approval_records import Origin
from .approvers import approvers_in_words
from .approving import asked_of, learned_of, record_of
from .asked import Asked
from .deciding import demanded
from .decisions import NeedApproval
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
    """Something that waits for people's approval here, or did."""

    id: str
    round: int
    """A decision names the round it was made on: under another policy it begins anew."""
    by: str
    """Whose approval the policy wants now, in words."""
    standing: AccessStanding
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
    """What the person server says of the person. Like answers and updates gone once it is decided."""
    answers: Mapping[str, str]
    """Question to answer, as the person server passed it on."""
    updates: tuple[str, ...]
    """Why the request was changed since it was made, as the agent says."""
    bound_user: str | None
    """The account here whose holder confirmed the person server."""
    created_at: float
    due_at: float
    """When the time of this step is over, Unix seconds."""

    @property
    def approval(self) -> AccessApproval:
        return self.standing.approval

    def is_for(self, person: AccessPerson) -> bool:
        """Whether it waits for a decision that `person` may give."""
        waits = self.approval.waiting and person.person_id not in self.standing.spoken
        return waits and may_give(person, self.approval.step)

    def is_own(self, person_id: str) -> bool:
        """Whether it is asked for this very account, and somebody else has to approve it."""
        return self.approval.approvers.four_eyes and self.bound_user == person_id

    def may_see(self, person: AccessPerson) -> bool:
        """Who decides about it, or has had a say in it, and still approves here."""
        said = any(entry.person_id == person.person_id for entry in self.standing.entries)
        return self.is_for(person) or (said and person.approves_at_all) or person.is_administrator


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
        """What waits for somebody's approval, what ends first first."""
        waiting = await self.store.approvals_waiting(now=self.clock())
        return [await self.approval(approval.id) for approval in waiting]

    async def approval(self, id_: str) -> ApprovalView:
        """One of them, also once it is over. Raises `NotFound`."""
        return _approval_view(await self.store.approval_standing(id_, now=self.clock()))

    async def decide_approval(
        self,
        id_: str,
        *,
        by: str,
        approved: bool,
        reason: str = "",
        person_id: str | None = None,
        origin: Origin | None = None,
        round: int | None = None,
    ) -> bool:
        """`by` approves or refuses, as it was in `round` if one is given: one voice of as many as the policy wants.

        Returns whether others are still waited for.

        `person_id` is their account; without one the caller vouches that they may decide. Raises `NotFound`, `Gone`,
        `NotApprover`, `OwnRequest`, `DecidedAlready`, or `ApprovalChanged` when the policy has changed.
        """
        seen = await self.store.look_at_approval(id_, now=self.clock())
        if not seen.waiting:
            raise Gone(_CLOSED)
        verdict = await demanded(self, asked_of(seen), learned_of(seen))
        wanted = verdict.decision.asked if isinstance(verdict.decision, NeedApproval) else None
        refused = "" if approved else reason.strip()[:MAX_REASON] or "The request was not approved."
        ballot = AccessBallot(
            name=by,
            person_id=person_id,
            yes=approved,
            reason=refused,
            origin=origin or Origin(),
            round=round,
            approvers=wanted,
            version=verdict.version,
            rule=verdict.rule[:MAX_REASON],
            record=record_of(seen, APPROVED if approved else REFUSED, at=self.clock(), by=by, reason=refused),
        )
        try:
            return (await self.store.vote(id_, ballot, now=self.clock())).waiting
        finally:
            await self._follow(id_)

    async def settle_approvals(self) -> None:
        """Do what deadlines that nobody has looked at lead to: tell others, or end what nobody approved in time.

        To be called every few seconds, in every process.
        """
        for id_ in await self.store.approvals_overdue(now=self.clock()):
            await self.store.look_at_approval(id_, now=self.clock())
            await self._follow(id_)

    async def _follow(self, id_: str) -> None:
        """What is decided by now takes effect on the requests that wait for it; their polls would see to it too."""
        for digest in await self.store.requests_waiting_for(id_):
            exchange = await self.store.exchange(digest)
            if exchange is not None and exchange.pending.waiting and exchange.pending.requirement == APPROVAL:
                await self.go_on(exchange)

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


def _approval_view(standing: AccessStanding) -> ApprovalView:
    approval = standing.approval
    asked, learned = asked_of(approval), learned_of(approval)
    return ApprovalView(
        id=approval.id,
        round=approval.round,
        by=approvers_in_words(approval.step),
        standing=standing,
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
        bound_user=approval.subject,
        created_at=approval.created_at,
        due_at=approval.due_at,
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
