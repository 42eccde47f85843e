"""The token endpoint and the pending URLs (#as-token-endpoint, #as-response, #deferred-responses).

One exchange may need several things one after the other, on one `Location`. What it waits for is in the store; what a
response says about it is made here, the interaction's code too: it is derived from the pending URL's id, which is not
stored, so that a poll whose answer was lost can be repeated and a copy of the database holds no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import msgspec

from ..deferred.machine import WAITING, Event, State
from ..deferred.pending import MAX_WAIT_S, Completion, Opened, Pending, accepted_response, id_digest
from ..errors import Denied, Gone, InvalidRequest, NotFound, Revoked
from ..http import Fields, Request, Response, json_response
from ..messages.bodies import ClarificationAnswer, FederatedTokenRequest, decode_request
from ..messages.codes import code_digest, derived_code, derived_handle
from ..messages.headers import parse_prefer_wait
from ..messages.requirement import APPROVAL, CLAIMS, CLARIFICATION, INTERACTION, Requirement
from ..store.access_records import EXCHANGE, REVOCATION, DecisionRecord, Exchange, IssuedAuthToken, Learned
from ..store.approval_states import ApprovalState
from ..tokens import PERSON_DWK
from ..verification import SigningServer
from .answering import learned_from_update, verify_update, with_answer, with_claims
from .asked import Asked
from .core import AccessServerCore
from .deciding import PAYMENT, Outcome, evaluate
from .decisions import NeedPayment
from .minting import mint
from .verifying import verify_request

__all__ = ["TokenEndpoint"]

_NOBODY_APPROVED = "Nobody approved the request in time."


class TokenEndpoint(AccessServerCore):
    """What person servers call."""

    async def auth_token(self, request: Request) -> Response:
        """POST to `auth_token_endpoint` (#ps-to-as-token-request): `200` with an auth token, `202`, or `402`.

        Raises a `SignatureError`, the errors of the tokens it carries, `Denied` or `RateLimited`.
        """
        ps = await self.calling_person_server(request)
        self.turnstile.count(ps, billed=await self.store.has_billing(ps))
        body = decode_request(FederatedTokenRequest, request)
        asked = await verify_request(self, body, ps=ps)
        outcome = await evaluate(self, asked, Learned())
        if outcome.event is None:
            return await self._open(asked, outcome)
        if outcome.event is Event.DENY:
            await self.store.log(outcome.log)
            raise Denied(outcome.detail)
        completion = mint(self, asked, scope=outcome.scope, claims={})
        assert isinstance(completion.record, IssuedAuthToken)
        if not await self.store.record_issued(completion.record, log=[outcome.log]):
            raise Revoked("A token the request depends on was revoked.")
        return completion.response

    async def poll(self, request: Request, pending_id: str) -> Response:
        """GET of a pending URL (#polling-with-get). Raises the errors of #polling-error-codes."""
        server = await self._poller(request)
        pending = await self.pending.find(pending_id, owner=server.id)
        wait_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        if pending.kind == REVOCATION:
            return await self.poll_revocation(pending, pending_id, wait_s=wait_s)
        exchange = await self._exchange(pending)
        pending = exchange.pending
        if pending.state in WAITING and pending.requirement == PAYMENT:
            await self._settle(exchange, pending_id, request)
        elif pending.state in WAITING:
            await self.go_on(exchange)
        # Held is what somebody else works on. What the person server itself is to do, it is told at once.
        if pending.requirement not in (INTERACTION, APPROVAL):
            wait_s = 0
        return await self._answer(pending_id, ps=server.id, wait_s=wait_s)

    async def cancel(self, request: Request, pending_id: str) -> Response:
        """DELETE of a pending URL (#cancel-request): `204`. A revocation cannot be withdrawn."""
        server = await self._poller(request)
        pending = await self.pending.find(pending_id, owner=server.id)
        if pending.kind == REVOCATION:
            raise InvalidRequest("A revocation cannot be withdrawn; poll it with GET.")
        await self.pending.cancel(pending_id, owner=server.id)
        await self.store.leave_approval(pending.digest, now=self.clock())
        return Response(204, Fields([("cache-control", "no-store")]))

    async def answer(self, request: Request, pending_id: str) -> Response:
        """POST to a pending URL: the claims or the answer it waits for (#requirement-claims, #clarification-chat).

        Answers as a poll does. Raises `InvalidRequest` when the request waits for something else, and for an updated
        request the errors of #resource-token-verification.
        """
        server = await self._poller(request)
        pending = await self.pending.find(pending_id, owner=server.id)
        exchange = await self._exchange(pending)
        pending = exchange.pending  # As it is by now, with the terms of that moment.
        if pending.kind != EXCHANGE or not pending.waiting:
            raise InvalidRequest("This request is not waiting for an answer. Poll it with GET.")
        if pending.requirement == CLAIMS:
            await self.proceed(exchange, with_claims(exchange, request))
        else:
            body = decode_request(ClarificationAnswer, request)
            if body.action == "updated_request":
                await self._update(exchange, body)
            elif pending.requirement == CLARIFICATION:
                await self.proceed(exchange, with_answer(exchange, body))
            else:
                raise _not_answered(exchange)
        return await self._answer(pending_id, ps=server.id, wait_s=0)

    async def _update(self, exchange: Exchange, body: ClarificationAnswer) -> None:
        """Replace what is asked, and decide again (#updated-request). A repetition changes nothing."""
        before = Asked.of(exchange.pending.request)
        after = await verify_update(self, before, body)
        if after.resource_token == before.resource_token:
            return
        if exchange.pending.requirement != CLARIFICATION:
            raise _not_answered(exchange)
        learned = learned_from_update(exchange.learned, before, after, body)
        expires_at = min(exchange.pending.expires_at, after.not_after)
        outcome = await evaluate(self, after, learned)
        await self._move(exchange, outcome, request=after.to_request(), expires_at=expires_at)

    # ------------------------------------------------------------------ for the desk and the revocations

    async def proceed(self, exchange: Exchange, learned: Learned, **also: Any) -> bool:
        """Decide again, with what was learned, and write down both. `also` goes into the same
        transaction, `decided` into the log before it.

        Returns `False` when the request moved or ended meanwhile: then nothing was written, and that stands.
        """
        asked = Asked.of(exchange.pending.request)
        outcome = await evaluate(self, asked, learned)
        return await self._move(exchange, outcome, **also)

    async def go_on(self, exchange: Exchange) -> None:
        """Decide again where what a request waits for is over, or is wanted no more.

        Whoever decided may have ended before this followed, and a policy or a setting may have changed: without it a
        request would be answered `202` until its time is over.
        """
        stuck = exchange.pending.requirement is None
        if exchange.pending.requirement == INTERACTION:
            stuck = not self.interactive
        if exchange.pending.requirement == APPROVAL:
            approval = None
            if exchange.approval is not None:
                approval = await self.store.look_at_approval(exchange.approval, now=self.clock())
            if approval is not None and approval.state is ApprovalState.EXPIRED:
                await self.store.move(
                    exchange, exchange.learned, event=Event.EXPIRE, detail=_NOBODY_APPROVED, now=self.clock()
                )
                return
            stuck = approval is None or not approval.waiting or approval.version != self.decider.version
        if stuck:
            await self.proceed(exchange, exchange.learned)

    async def poll_revocation(self, pending: Pending, pending_id: str, *, wait_s: float) -> Response:
        """A poll of a revocation; in `revocation`."""
        raise NotFound("There is no such pending request for this caller.")

    # ------------------------------------------------------------------ inside

    async def _poller(self, request: Request) -> SigningServer:
        server = await self.calling_server(request)
        if server.dwk != PERSON_DWK:
            # What this server started for somebody is nobody else's to know of.
            raise NotFound("There is no such pending request for this caller.")
        return server

    async def _open(self, asked: Asked, outcome: Outcome) -> Response:
        await self.tidy()
        billed = await self.store.has_billing(asked.ps)
        # One stranger after the other, so that what asks at once is counted too.
        alone = nullcontext() if billed or self.turnstile.known(asked.ps) else self.turnstile.strangers
        async with alone:
            opened = await self._opened(asked, billed=billed)
        await self._move(await self._exchange(opened.pending), outcome)
        return await self._answer(opened.url.rpartition("/")[2], ps=asked.ps, wait_s=0)

    async def _opened(self, asked: Asked, *, billed: bool) -> Opened:
        """A request that waits, if there is room for one more. Raises `RateLimited`."""
        now = self.clock()
        known = self.turnstile.trust.person_servers
        own, of_tenant, first_contacts = await self.store.open_exchanges(
            asked.ps, tenant=asked.tenant, known=list(known), now=now
        )
        self.turnstile.check_open(asked.ps, own=own, of_tenant=of_tenant, first_contacts=first_contacts, billed=billed)
        return await self.pending.open(
            kind=EXCHANGE,
            owner=asked.ps,
            request=asked.to_request(),
            # A decision after this could not be turned into a token any more.
            lifetime_s=min(float(self.lifetime_s), asked.not_after - now),
        )

    async def _move(
        self,
        exchange: Exchange,
        outcome: Outcome,
        *,
        decided: Sequence[DecisionRecord] = (),
        **also: Any,
    ) -> bool:
        return await self.store.move(
            exchange,
            outcome.learned,
            requirement=outcome.requirement,
            terms=outcome.terms,
            event=outcome.event,
            decision={"scope": list(outcome.scope)} if outcome.event is Event.GRANT else None,
            detail=outcome.detail,
            log=[*decided, outcome.log],
            approval=outcome.opening,
            now=self.clock(),
            **also,
        )

    async def _settle(self, exchange: Exchange, pending_id: str, request: Request) -> None:
        if self.settlement is None:
            await self.proceed(exchange, exchange.learned)  # It takes none any more.
            return
        payment = await self.settlement.settled(
            NeedPayment(**exchange.terms), reference=_reference(exchange.pending), request=request
        )
        if payment is not None:
            await self.proceed(exchange, msgspec.structs.replace(exchange.learned, paid=True), payment=payment)

    async def _answer(self, pending_id: str, *, ps: str, wait_s: float) -> Response:
        async def waiting(pending: Pending) -> Response:
            return await self._waiting(pending, pending_id)

        return await self.pending.poll(pending_id, owner=ps, wait_s=wait_s, complete=self._complete, waiting=waiting)

    async def _complete(self, pending: Pending) -> Completion:
        exchange = await self._exchange(pending)
        asked = Asked.of(pending.request)
        return mint(self, asked, scope=pending.decision["scope"], claims=exchange.learned.claims)

    async def _exchange(self, pending: Pending) -> Exchange:
        exchange = await self.store.exchange(pending.digest)
        if exchange is None:
            raise Gone("This pending URL has given its final answer; start a new request.")
        return exchange

    async def _waiting(self, pending: Pending, pending_id: str) -> Response:
        """What the request waits for now."""
        exchange = await self._exchange(pending)
        pending, terms = exchange.pending, exchange.terms
        location = f"{self.root}/pending/{pending_id}"
        if not pending.waiting:
            return accepted_response(location)  # It ended while this was being answered; the next poll says how.
        match pending.requirement:
            case "payment" if self.settlement is not None:
                demand = self.settlement.demand(NeedPayment(**terms), reference=_reference(pending), url=location)
                headers = [("location", location), *demand.headers]
                return json_response(402, {"status": "pending", **demand.body}, headers=headers)
            case "claims":
                body = {"required_claims": terms["claims"]}
                return accepted_response(location, requirement=Requirement(CLAIMS), body=body)
            case "clarification":
                body = {"clarification": terms["question"], "timeout": max(0, int(pending.expires_at - self.clock()))}
                if terms.get("options"):
                    body["options"] = terms["options"]
                return accepted_response(location, requirement=Requirement(CLARIFICATION), body=body)
            case "interaction" if pending.state is State.INTERACTING and pending.code_consumed:
                return accepted_response(location, status="interacting", retry_after_s=1)
            case "interaction":
                name = str(exchange.step)
                code, handle = derived_code(pending_id, name), derived_handle(pending_id, name)
                await self.store.set_code(
                    pending.digest, step=exchange.step, handle=handle, code_digest=code_digest(code)
                )
                requirement = Requirement(INTERACTION, url=f"{self.root}/interaction/{handle}", code=code)
                return accepted_response(location, requirement=requirement, retry_after_s=1)
            case _:
                return accepted_response(location, requirement=Requirement(APPROVAL), retry_after_s=1)


def _not_answered(exchange: Exchange) -> InvalidRequest:
    waits_for = exchange.pending.requirement
    return InvalidRequest(f"This request waits for {waits_for}, which is not answered with such a POST.")


def _reference(pending: Pending) -> str:
    """Names the exchange to whoever settles it. No way leads from it to the pending URL."""
    return id_digest(f"payment {pending.digest}")[:32]
