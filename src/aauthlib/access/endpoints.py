"""The token endpoint and the pending URLs (#as-token-endpoint, #as-response, #deferred-responses).

One exchange may need several things one after the other, on one `Location`. What it waits for is in the store; what a
response says about it is made here, the interaction's code too: it is derived from the pending URL's id, which is not
stored, so that a poll whose answer was lost can be repeated and a copy of the database holds no code.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from ..deferred.machine import WAITING, Event, State
from ..deferred.pending import MAX_WAIT_S, Completion, Pending, accepted_response, id_digest
from ..errors import Denied, Gone, InvalidRequest, NotFound, Revoked
from ..http import Fields, Request, Response, json_response
from ..messages.bodies import ClarificationAnswer, FederatedTokenRequest, decode_request
from ..messages.codes import code_digest, random_code
from ..messages.headers import parse_prefer_wait
from ..messages.requirement import APPROVAL, CLAIMS, CLARIFICATION, INTERACTION, Requirement
from ..store.access_records import EXCHANGE, REVOCATION, DecisionRecord, Exchange, IssuedAuthToken, Learned
from ..tokens import PERSON_DWK
from ..verification import SigningServer
from .asked import Asked
from .core import AccessServerCore
from .deciding import PAYMENT, Outcome, evaluate
from .decisions import NeedPayment
from .minting import mint
from .verifying import verify_request

__all__ = ["TokenEndpoint"]

_MAX_CLAIMS_BYTES = 16_384
_MAX_ANSWER_LENGTH = 16_384


class _Claims(msgspec.Struct, frozen=True):
    """The body of a POST with claims is any JSON object."""


class TokenEndpoint(AccessServerCore):
    """What person servers call."""

    async def auth_token(self, request: Request) -> Response:
        """POST to `auth_token_endpoint` (#ps-to-as-token-request): `200` with an auth token, `202`, or `402`.

        Raises a `SignatureError`, the errors of the tokens it carries, `Denied` or `RateLimited`.
        """
        ps = await self.calling_person_server(request)
        self.turnstile.count(ps)
        body = decode_request(FederatedTokenRequest, request)
        asked = await verify_request(self, body, ps=ps)
        outcome = await evaluate(self, asked, Learned())
        if outcome.event is None:
            return await self._open(asked, outcome)
        await self.store.log(outcome.log)
        if outcome.event is Event.DENY:
            raise Denied(outcome.detail)
        completion = mint(self, asked, scope=outcome.scope, claims={})
        assert isinstance(completion.record, IssuedAuthToken)
        if not await self.store.record_issued(completion.record):
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
        return Response(204, Fields([("cache-control", "no-store")]))

    async def answer(self, request: Request, pending_id: str) -> Response:
        """POST to a pending URL: the claims or the answer it waits for (#requirement-claims, #clarification-chat).

        Answers as a poll does. Raises `InvalidRequest` when the request waits for something else.
        """
        server = await self._poller(request)
        pending = await self.pending.find(pending_id, owner=server.id)
        exchange = await self._exchange(pending)
        pending = exchange.pending  # As it is by now, with the terms of that moment.
        if pending.kind != EXCHANGE or not pending.waiting:
            raise InvalidRequest("This request is not waiting for an answer. Poll it with GET.")
        if pending.requirement == CLAIMS:
            learned = _with_claims(exchange, request)
        elif pending.requirement == CLARIFICATION:
            learned = _with_answer(exchange, request)
        else:
            raise InvalidRequest(f"This request waits for {pending.requirement}, which is not answered with a POST.")
        await self.proceed(exchange, learned)
        return await self._answer(pending_id, ps=server.id, wait_s=0)

    # ------------------------------------------------------------------ for the desk and the revocations

    async def proceed(self, exchange: Exchange, learned: Learned, **also: Any) -> bool:
        """Decide again, with what was learned, and write down both. `also` goes into the same
        transaction, `decided` into the log before it.

        Returns `False` when the request moved or ended meanwhile: then nothing was written, and that stands.
        """
        asked = Asked.of(exchange.pending.request)
        outcome = await evaluate(self, asked, learned)
        return await self._move(exchange, learned, outcome, **also)

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
        now = self.clock()
        known = self.turnstile.trust.person_servers
        own, first_contacts = await self.store.open_exchanges(asked.ps, known=list(known), now=now)
        self.turnstile.check_open(asked.ps, own=own, first_contacts=first_contacts)
        opened = await self.pending.open(
            kind=EXCHANGE,
            owner=asked.ps,
            request=asked.to_request(),
            # A decision after this could not be turned into a token any more.
            lifetime_s=min(float(self.lifetime_s), asked.not_after - now),
        )
        await self._move(await self._exchange(opened.pending), Learned(), outcome)
        return await self._answer(opened.url.rpartition("/")[2], ps=asked.ps, wait_s=0)

    async def _move(
        self,
        exchange: Exchange,
        learned: Learned,
        outcome: Outcome,
        *,
        decided: Sequence[DecisionRecord] = (),
        **also: Any,
    ) -> bool:
        return await self.store.move(
            exchange,
            learned,
            requirement=outcome.requirement,
            terms=outcome.terms,
            event=outcome.event,
            decision={"scope": list(outcome.scope)} if outcome.event is Event.GRANT else None,
            detail=outcome.detail,
            log=[*decided, outcome.log],
            now=self.clock(),
            **also,
        )

    async def _settle(self, exchange: Exchange, pending_id: str, request: Request) -> None:
        if self.settlement is None:
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
        location = f"{self.issuer}/pending/{pending_id}"
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
                code, handle = _code(pending_id, exchange.step), _handle(pending_id, exchange.step)
                await self.store.set_code(
                    pending.digest, step=exchange.step, handle=handle, code_digest=code_digest(code)
                )
                requirement = Requirement(INTERACTION, url=f"{self.issuer}/interaction/{handle}", code=code)
                return accepted_response(location, requirement=requirement, retry_after_s=1)
            case _:
                return accepted_response(location, requirement=Requirement(APPROVAL), retry_after_s=1)


def _with_claims(exchange: Exchange, request: Request) -> Learned:
    """What was learned, with the claims in `request`: of those that were asked for, never `sub`."""
    decode_request(_Claims, request)
    document: dict[str, Any] = msgspec.json.decode(request.body)
    if "sub" in document:
        raise InvalidRequest("sub is in the presented token and must not be among the claims.")
    wanted = exchange.terms["claims"]
    given = {name: value for name, value in document.items() if name in wanted and value is not None}
    learned = exchange.learned
    claims = {**learned.claims, **given}
    if len(msgspec.json.encode(claims)) > _MAX_CLAIMS_BYTES:
        raise InvalidRequest(f"The claims are longer than {_MAX_CLAIMS_BYTES} bytes.")
    return msgspec.structs.replace(learned, claims=claims, claims_asked=(*learned.claims_asked, *wanted))


def _with_answer(exchange: Exchange, request: Request) -> Learned:
    answer = decode_request(ClarificationAnswer, request)
    if answer.action == "updated_request":
        raise InvalidRequest("Withdraw this request with DELETE and send the updated one to the token endpoint.")
    text = answer.clarification_response
    if answer.action != "clarification_response" or not text or len(text) > _MAX_ANSWER_LENGTH:
        raise InvalidRequest("action is clarification_response, with the answer in a member of the same name.")
    options = exchange.terms.get("options")
    if options and text not in options:
        raise InvalidRequest("The answer is none of the options.")
    learned = exchange.learned
    return msgspec.structs.replace(learned, answers={**learned.answers, exchange.terms["question"]: text})


def _derived(pending_id: str, purpose: str, step: int) -> bytes:
    return hmac.new(pending_id.encode(), f"{purpose} {step}".encode(), hashlib.sha256).digest()


def _code(pending_id: str, step: int) -> str:
    """The interaction's code: 40 bits that whoever polls can be told again, and a database cannot tell."""
    octets = iter(_derived(pending_id, "code", step))
    return random_code(lambda below: next(octets) % below)


def _handle(pending_id: str, step: int) -> str:
    return _derived(pending_id, "handle", step).hex()[:16]


def _reference(pending: Pending) -> str:
    """Names the exchange to whoever settles it. No way leads from it to the pending URL."""
    return id_digest(f"payment {pending.digest}")[:32]
