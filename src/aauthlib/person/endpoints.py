"""The two token endpoints and the pending URLs (#person-token-endpoint, #ps-token-endpoint, #deferred-responses).

Verification is done in the order of the spec's steps, cheapest first where it leaves the order open. What is verified
becomes an `Asked`; whether the person must be asked is decided on remembered consents alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict

from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import MAX_WAIT_S, Completion, Opened, Pending, accepted_response, id_digest
from ..errors import (
    Expired,
    InvalidIdentifier,
    InvalidRequest,
    NotFound,
    Revoked,
)
from ..http import Fields, Request, Response
from ..identifiers import server_identifier
from ..keys import PublicKey
from ..messages.bodies import (
    PLATFORMS,
    AuthTokenRequest,
    ClarificationAnswer,
    PersonTokenRequest,
    RequestContext,
    decode_request,
)
from ..messages.headers import parse_prefer_wait
from ..store.person_records import NAMING, IssuedToken
from ..tokens import AgentToken, Token
from ..verification import SigningServer
from .asked import AUTH_TOKEN, PERSON_TOKEN, RELAYS, TOKENS, Asked, AskedAgent, AskedInteraction
from .clarification import Clarifying
from .core import owner_of
from .earlier import StillGranted, decided_earlier, keep_decision, refuse_stale
from .federating import StillWaiting
from .mission_answers import answer_of
from .mission_lookup import capped, declared, mission_of_request, refuse_ended_mission
from .opening import Opening
from .relay_answers import follow_own_page, relay_response
from .resource_tokens import verify_resource_token
from .ruling import way_of

__all__ = ["TokenEndpoints"]

#: Declared capabilities that matter once a request is open (#aauth-capabilities).
_CAPABILITIES = ("interaction", "clarification")
_MAX_HINT_LENGTH = 256
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})


class TokenEndpoints(Opening, Clarifying):
    """What agents call."""

    async def person_token(self, request: Request) -> Response:
        """POST to `person_token_endpoint` (#person-token-endpoint): `200` with a person token, or `202`.

        Raises the errors of #token-endpoint-error-codes.
        """
        agent = await self.calling_agent(request)
        body = decode_request(PersonTokenRequest, request)
        upstream = await self.upstream_of(body, agent)
        try:
            resource = server_identifier(body.resource, dev=self.dev)
        except InvalidIdentifier as error:
            raise InvalidRequest(f"resource is not a resource's identifier. {error.detail}") from error
        mission = await mission_of_request(self, body.mission_s256, agent, upstream)
        own_mission = mission if upstream is None else None
        prompt = _prompt(body)
        subagent = await self.subagent_of(body, agent)
        self.resources_named.count(owner_of(agent), resource)
        asked = Asked(
            kind=PERSON_TOKEN,
            agent=AskedAgent(iss=agent.iss, sub=agent.sub, jti=agent.jti),
            cnf=(subagent or agent).cnf.to_jwk(),
            resource=resource,
            not_after=capped(_earliest(agent, subagent, upstream.token if upstream else None), mission),
            subagent=subagent.sub if subagent else None,
            subagent_jti=subagent.jti if subagent else None,
            upstream=upstream.asked() if upstream else None,
            capabilities=_capabilities(await declared(self, body.capabilities, own_mission)),
            mission_s256=mission.s256 if mission else None,
            **_shown(body, prompt),
        )
        person_id, consents = await self.standing_of(asked)
        await self.check_wanted_tenant(asked, person_id)
        if person_id is not None:
            anew = bool(prompt - {"none"})
            remembered = NAMING in consents and not anew
            way = await way_of(self, asked, person_id, agreed_before=remembered, ask_anew=anew)
            if way.approval is not None:
                opened = await self.open_for_approvers(asked, way.approval, agent, subagent)
                return await self._poll_opened(opened, request, asked, agent)
            if way.through:
                await self.remember_tokens(agent, subagent)
                return await self._issue(asked, person_id, ())
            if not anew and not way.others:
                earlier = await decided_earlier(self, asked, person_id=person_id)
                response = await self._deliver_otherwise(earlier, asked, person_id, agent, subagent)
                if response is not None:
                    return response
        return await self.ask_person(asked, prompt, agent, subagent)

    async def auth_token(self, request: Request) -> Response:
        """POST to `auth_token_endpoint` (#ps-token-endpoint): `200` with an auth token, or `202`.

        Raises the errors of #token-endpoint-error-codes.
        """
        agent = await self.calling_agent(request)
        body = decode_request(AuthTokenRequest, request)
        upstream = await self.upstream_of(body, agent)
        prompt = _prompt(body)
        subagent = await self.subagent_of(body, agent)
        key: PublicKey = (subagent or agent).cnf
        resource_token, presented = await verify_resource_token(
            self, body.resource_token, body.presented_token, agent=agent, key=key, upstream=upstream
        )
        access_server = self.access_server_of(resource_token)
        own = self.is_own(presented)
        if access_server is not None and not own:
            await self.check_step_up(presented, access_server)
        interaction = resource_token.interaction
        able = body.capabilities
        if able is None and upstream is None and resource_token.mission_s256 is not None:
            able = await self.store.capabilities_at_approval(resource_token.mission_s256)
        asked = Asked(
            kind=AUTH_TOKEN,
            agent=AskedAgent(iss=agent.iss, sub=agent.sub, jti=agent.jti),
            cnf=key.to_jwk(),
            resource=resource_token.iss,
            not_after=_earliest(agent, subagent, presented, upstream.token if upstream else None),
            subagent=subagent.sub if subagent else None,
            subagent_jti=subagent.jti if subagent else None,
            sub=resource_token.sub,
            scope=resource_token.scope or (),
            account=resource_token.account,
            resource_jti=resource_token.jti,
            presented_jti=presented.jti if own else None,
            access_server=access_server,
            stepped_up_jti=presented.jti if access_server is not None and not own else None,
            presented_exp=presented.exp,
            tenant=presented.tenant,
            mission_s256=resource_token.mission_s256,
            upstream=upstream.asked() if upstream else None,
            capabilities=_capabilities(able),
            interaction=AskedInteraction(url=interaction.url, code=interaction.code, flow=self.random_id())
            if interaction
            else None,
            **_shown(body, prompt),
        )
        person_id, consents = await self.standing_of(asked)
        await self.check_wanted_tenant(asked, person_id)
        await self.check_presented_tenant(asked, person_id)
        anew = bool(prompt - {"none"}) or interaction is not None
        remembered = set(asked.scope) <= consents and not anew
        way, earlier = None, None
        if person_id is not None:
            way = await way_of(self, asked, person_id, agreed_before=remembered, ask_anew=anew)
            if way.ask_person and not way.others and not anew:
                earlier = await decided_earlier(self, asked, person_id=person_id)
        if access_server is None:
            if way is not None and way.approval is not None:
                opened = await self.open_for_approvers(asked, way.approval, agent, subagent)
                return await self._poll_opened(opened, request, asked, agent)
            if person_id is not None and way is not None and way.through:
                await self.remember_tokens(agent, subagent)
                return await self._issue(asked, person_id, asked.scope)
            if person_id is not None:
                response = await self._deliver_otherwise(earlier, asked, person_id, agent, subagent)
                if response is not None:
                    return response
            return await self.ask_person(asked, prompt, agent, subagent)
        tokens = {
            "resource_token": body.resource_token,
            "agent_token": agent.raw,
            "presented_token": body.presented_token,
            **({"subagent_token": subagent.raw} if subagent else {}),
            **({"upstream_token": upstream.token.raw} if upstream else {}),
        }
        if way is not None and way.approval is not None:
            opened = await self.open_for_approvers(asked, way.approval, agent, subagent)
            await self.start_federation(opened.pending.digest, asked, tokens, resource_token.exp)
            return await self._poll_opened(opened, request, asked, agent)
        if person_id is not None and way is not None and (way.through or earlier is not None):
            wait_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
            opened = await self.open_request(asked, None, agent, subagent)
            await self.start_federation(opened.pending.digest, asked, tokens, resource_token.exp)
            if await self._grant_otherwise(opened, asked, person_id, earlier):
                pending_id = opened.url.rpartition("/")[2]
                return await self._poll(pending_id, asked.owner, key=agent.cnf, wait_s=0, at_server_s=wait_s)
        opened = await self.open_for_person(asked, prompt, agent, subagent)
        await self.start_federation(opened.pending.digest, asked, tokens, resource_token.exp)
        return self.pending.accepted(opened)

    async def _poll_opened(self, opened: Opened, request: Request, asked: Asked, agent: AgentToken) -> Response:
        """Answer a request that waits for approvers, who may have decided the same before; it may be held, too."""
        wait_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        pending_id = opened.url.rpartition("/")[2]
        return await self._poll(pending_id, asked.owner, key=agent.cnf, wait_s=wait_s, at_server_s=wait_s)

    async def poll(self, request: Request, pending_id: str) -> Response:
        """GET of a pending URL (#polling-with-get). Raises the errors of #polling-error-codes."""
        agent = await self.polling_party(request)
        wait_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        if isinstance(agent, SigningServer):
            return await self.poll_revocation(agent, pending_id, wait_s=wait_s)
        pending = await self.own_request(agent, pending_id)
        await self.remember_tokens(agent)
        asked = Asked.of(pending.request)
        if asked.relay is not None and asked.relay.hosted is not None:
            await follow_own_page(self, pending, asked, wait_s=wait_s)
            wait_s = 0
        return await self._poll(pending_id, owner_of(agent), key=agent.cnf, wait_s=wait_s, at_server_s=wait_s)

    async def _poll(self, pending_id: str, owner: str, *, key: PublicKey, wait_s: int, at_server_s: int) -> Response:
        """Answer a poll, signed with `key`; `at_server_s` is how long an access server may hold it in its turn."""

        async def complete(pending: Pending) -> Completion:
            asked = await self.still_stands(pending)
            if asked.kind not in TOKENS:
                return await answer_of(self, pending, asked)
            await refuse_stale(self, pending, asked, key=key)
            if asked.access_server is not None:
                url = f"{self.issuer}/pending/{pending_id}"
                try:
                    return await self.complete_federated(pending, url, wait_s=at_server_s)
                except Expired as error:
                    await keep_decision(self, pending, asked, error)
            decision = pending.decision
            return await self._mint(asked, str(decision["granted_by"]), decision["scopes"])

        async def waiting(pending: Pending) -> Response:
            if pending.kind in RELAYS and pending.state is not State.CLARIFYING:
                url = f"{self.issuer}/pending/{pending_id}"
                return await relay_response(self, pending, Asked.of(pending.request), url)
            return await self.question_response(pending, f"{self.issuer}/pending/{pending_id}", held=wait_s > 0)

        try:
            return await self.pending.poll(pending_id, owner=owner, wait_s=wait_s, complete=complete, waiting=waiting)
        except StillWaiting as undecided:
            return undecided.response
        except StillGranted as kept:
            raise kept.error from None
        except Revoked as error:
            # Where its mission ended, that is what the agent must know (#mission-status-errors).
            await refuse_ended_mission(self, await self.store.get_pending(id_digest(pending_id)))
            raise error

    async def cancel(self, request: Request, pending_id: str) -> Response:
        """DELETE of a pending URL (#cancel-request): `204`."""
        agent = await self.calling_agent(request)
        pending = await self.own_request(agent, pending_id)
        await self.pending.cancel(pending_id, owner=owner_of(agent))
        await self.store.withdraw_approval_of(pending.digest, now=self.clock())
        asked = Asked.of(pending.request)
        if asked.access_server is not None:
            await self.withdraw_federated(pending.digest, asked)
        return Response(204, Fields([("cache-control", "no-store")]))

    async def answer(self, request: Request, pending_id: str) -> Response:
        """POST to a pending URL (#agent-response-to-clarification): the answer to a question of the person's
        or of an access server's.

        `202`; the agent goes on polling. Raises `InvalidRequest` when no question is open, and for an updated request
        the errors of #resource-token-verification.
        """
        agent = await self.calling_agent(request)
        pending = await self.own_request(agent, pending_id)
        body = decode_request(ClarificationAnswer, request)
        if body.action not in ("clarification_response", "updated_request"):
            raise InvalidRequest("action must be clarification_response or updated_request.")
        if pending.waiting:
            await self.answer_person(pending, body, agent)
            return accepted_response(f"{self.issuer}/pending/{pending_id}", status="interacting")
        await self.agent_answers(pending, await self.still_stands(pending), body, agent)
        pending = await self.own_request(agent, pending_id)  # As it is now: an update replaced what is asked.
        await self.federate(pending, Asked.of(pending.request))
        return accepted_response(f"{self.issuer}/pending/{pending_id}")

    async def poll_revocation(self, server: SigningServer, pending_id: str, *, wait_s: int) -> Response:
        """A server's poll of its revocation; in `revocation`."""
        raise NotFound("There is no such pending request for this caller.")

    # ------------------------------------------------------------------ issuing

    async def _issue(self, asked: Asked, person_id: str, scopes: Collection[str]) -> Response:
        completion = await self._mint(asked, person_id, scopes)
        assert isinstance(completion.record, IssuedToken)
        if not await self.store.record_issued(completion.record, hangs_on=asked.hangs_on):
            raise Revoked("A token the request depends on was revoked, or the person disconnected the agent.")
        return completion.response

    async def _deliver_otherwise(
        self, earlier: Pending | None, asked: Asked, person_id: str, agent: AgentToken, subagent: AgentToken | None
    ) -> Response | None:
        """The answer by the decision on an `earlier` request for the same; `None` where there is none to be had."""
        if earlier is None:
            return None
        await self.remember_tokens(agent, subagent)
        completion = await self._mint(asked, person_id, earlier.decision["scopes"])
        assert isinstance(completion.record, IssuedToken)
        delivered = await self.store.deliver_otherwise(earlier.digest, completion.record, hangs_on=asked.hangs_on)
        return completion.response if delivered else None

    async def _grant_otherwise(self, opened: Opened, asked: Asked, person_id: str, earlier: Pending | None) -> bool:
        """Grant a request that an access server decides about by what was said before: remembered, or to `earlier`.

        `False` when `earlier` was delivered, revoked or withdrawn meanwhile; the request is then withdrawn.
        """
        try:
            await self.store.grant_remembered(
                opened.pending.digest,
                person_id=person_id,
                scopes=earlier.decision["scopes"] if earlier is not None else asked.scope,
                now=self.clock(),
                instead_of=earlier.digest if earlier is not None else None,
            )
        except IllegalTransition:
            await self.store.advance_pending(opened.pending.digest, Event.CANCEL)
            return False
        if earlier is not None:
            await self.withdraw_federated(earlier.digest, Asked.of(earlier.request))
        return True

    async def _mint(self, asked: Asked, person_id: str, scopes: Collection[str]) -> Completion:
        if asked.kind == PERSON_TOKEN:
            return self.mint.person_token(asked, person_id, tenant=await self.store.tenant_of(person_id))
        profile = await self.store.profile(person_id)
        return self.mint.auth_token(asked, person_id, scopes=tuple(scopes), profile=profile)


def _capabilities(able: list[str] | None) -> tuple[str, ...]:
    return tuple(value for value in _CAPABILITIES if value in (able or ()))


def _earliest(*tokens: Token | None) -> float:
    """The earliest `exp`, Unix seconds: what is issued does not outlive what it hangs on."""
    return min(token.exp for token in tokens if token is not None)


def _prompt(body: RequestContext) -> frozenset[str]:
    """The `prompt` values (OpenID Connect Core, Section 3.1.2.1)."""
    values = frozenset((body.prompt or "").split())
    if not values <= _PROMPTS:
        raise InvalidRequest(f"prompt takes the values {', '.join(sorted(_PROMPTS))}.")
    if "none" in values and len(values) > 1:
        raise InvalidRequest("prompt=none cannot be combined with another value.")
    return values


class _Shown(TypedDict):
    justification: str | None
    platform: str | None
    device: str | None
    reauthenticate: bool
    login_hint: str | None
    domain_hint: str | None
    wanted_tenant: str | None


def _shown(body: RequestContext, prompt: frozenset[str]) -> _Shown:
    """What the agent says, for the page. A platform outside the registry says nothing."""
    return {
        "justification": body.justification,
        "platform": body.platform if body.platform in PLATFORMS else None,
        "device": body.device,
        "reauthenticate": bool(prompt & {"login", "select_account"}),
        "login_hint": (body.login_hint or "")[:_MAX_HINT_LENGTH] or None,
        "domain_hint": (body.domain_hint or "")[:_MAX_HINT_LENGTH] or None,
        "wanted_tenant": (body.tenant or "")[:_MAX_HINT_LENGTH] or None,
    }
