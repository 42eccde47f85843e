"""The two token endpoints and the pending URLs (#person-token-endpoint, #ps-token-endpoint, #deferred-responses).

Verification is done in the order of the spec's steps, cheapest first where it leaves the order open. What is verified
becomes an `Asked`; whether the person must be asked is decided on remembered consents alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict

from ..deferred.pending import MAX_WAIT_S, Completion, Pending
from ..errors import (
    AAuthError,
    AsUnreachable,
    InvalidIdentifier,
    InvalidRequest,
    RateLimited,
    Revoked,
    RevokedSubagentToken,
    UserUnreachable,
    as_parameter_error,
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
from ..messages.requirement import INTERACTION
from ..store.person_records import NAMING, IssuedToken
from ..tokens import AgentToken, verify
from ..tokens.checks import check_subagent_token
from .asked import AUTH_TOKEN, PERSON_TOKEN, Asked, AskedAgent, AskedInteraction
from .core import PersonServerCore, owner_of
from .limits import MAX_OPEN_PER_AGENT, MAX_OPEN_PER_PROVIDER
from .resource_tokens import verify_resource_token

__all__ = ["TokenEndpoints"]

_PROMPTS = frozenset({"none", "login", "consent", "select_account"})


class TokenEndpoints(PersonServerCore):
    """What agents call."""

    async def person_token(self, request: Request) -> Response:
        """POST to `person_token_endpoint` (#person-token-endpoint): `200` with a person token, or `202`.

        Raises the errors of #token-endpoint-error-codes.
        """
        agent = await self.calling_agent(request)
        body = decode_request(PersonTokenRequest, request)
        try:
            resource = server_identifier(body.resource, dev=self.dev)
        except InvalidIdentifier as error:
            raise InvalidRequest(f"resource is not a resource's identifier. {error.detail}") from error
        if body.mission_s256 is not None:
            raise InvalidRequest("mission_s256 names no mission of this agent; this server keeps no missions yet.")
        prompt = _prompt(body)
        _no_call_chaining(body)
        subagent = await self._subagent(body, agent)
        self.resources_named.count(owner_of(agent), resource)
        asked = Asked(
            kind=PERSON_TOKEN,
            agent=AskedAgent(iss=agent.iss, sub=agent.sub, jti=agent.jti),
            cnf=(subagent or agent).cnf.to_jwk(),
            resource=resource,
            not_after=min(token.exp for token in (agent, subagent) if token is not None),
            subagent=subagent.sub if subagent else None,
            subagent_jti=subagent.jti if subagent else None,
            **_shown(body, prompt),
        )
        standing = await self.store.standing(agent.identity, resource=resource)
        if standing.binding is not None and NAMING in standing.consents and not prompt - {"none"}:
            await self.remember_tokens(agent, subagent)
            return await self._issue(asked, standing.binding.person_id, ())
        return await self._ask(asked, body, prompt, agent, subagent)

    async def auth_token(self, request: Request) -> Response:
        """POST to `auth_token_endpoint` (#ps-token-endpoint): `200` with an auth token, or `202`.

        Raises the errors of #token-endpoint-error-codes.
        """
        agent = await self.calling_agent(request)
        body = decode_request(AuthTokenRequest, request)
        prompt = _prompt(body)
        _no_call_chaining(body)
        subagent = await self._subagent(body, agent)
        key: PublicKey = (subagent or agent).cnf
        resource_token, presented = await verify_resource_token(
            self, body.resource_token, body.presented_token, agent=agent, key=key
        )
        if resource_token.aud != self.issuer:
            raise AsUnreachable(
                "The resource leaves the decision to an access server, which this server cannot ask yet."
            )
        interaction = resource_token.interaction
        asked = Asked(
            kind=AUTH_TOKEN,
            agent=AskedAgent(iss=agent.iss, sub=agent.sub, jti=agent.jti),
            cnf=key.to_jwk(),
            resource=resource_token.iss,
            not_after=min(token.exp for token in (agent, subagent, presented) if token is not None),
            subagent=subagent.sub if subagent else None,
            subagent_jti=subagent.jti if subagent else None,
            sub=resource_token.sub,
            scope=resource_token.scope or (),
            account=resource_token.account,
            resource_jti=resource_token.jti,
            presented_jti=presented.jti if presented.iss == self.issuer else None,
            interaction=AskedInteraction(url=interaction.url, code=interaction.code, flow=self.random_id())
            if interaction
            else None,
            **_shown(body, prompt),
        )
        standing = await self.store.standing(agent.identity, resource=asked.resource, account=asked.account)
        remembered = standing.binding is not None and set(asked.scope) <= standing.consents
        if standing.binding is not None and remembered and not prompt - {"none"} and interaction is None:
            await self.remember_tokens(agent, subagent)
            return await self._issue(asked, standing.binding.person_id, asked.scope)
        return await self._ask(asked, body, prompt, agent, subagent)

    async def poll(self, request: Request, pending_id: str) -> Response:
        """GET of a pending URL (#polling-with-get). Raises the errors of #polling-error-codes."""
        agent = await self.calling_agent(request)
        wait_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        await self.pending.find(pending_id, owner=owner_of(agent))
        await self.remember_tokens(agent)
        return await self.pending.poll(pending_id, owner=owner_of(agent), wait_s=wait_s, complete=self._complete)

    async def cancel(self, request: Request, pending_id: str) -> Response:
        """DELETE of a pending URL (#cancel-request): `204`."""
        agent = await self.calling_agent(request)
        await self.pending.cancel(pending_id, owner=owner_of(agent))
        return Response(204, Fields([("cache-control", "no-store")]))

    async def answer(self, request: Request, pending_id: str) -> Response:
        """POST to a pending URL (#agent-response-to-clarification).

        This server asks no questions yet, so there is nothing to answer: always `InvalidRequest`, after the caller
        proved that the request is its own.
        """
        agent = await self.calling_agent(request)
        await self.pending.find(pending_id, owner=owner_of(agent))
        action = decode_request(ClarificationAnswer, request).action
        if action not in ("clarification_response", "updated_request"):
            raise InvalidRequest("action must be clarification_response or updated_request.")
        raise InvalidRequest("This request is not waiting for an answer. Poll it with GET, or withdraw it with DELETE.")

    # ------------------------------------------------------------------ issuing

    async def _issue(self, asked: Asked, person_id: str, scopes: Collection[str]) -> Response:
        completion = await self._mint(asked, person_id, scopes)
        assert isinstance(completion.record, IssuedToken)
        if not await self.store.record_issued(completion.record, hangs_on=asked.hangs_on):
            raise Revoked("A token the request depends on was revoked, or the person disconnected the agent.")
        return completion.response

    async def _complete(self, pending: Pending) -> Completion:
        """Make the answer to a granted request, when it is fetched: until then no token exists."""
        asked = Asked.of(pending.request)
        if await self.store.is_revoked(asked.agent.iss, asked.agent.jti):
            raise Revoked("The agent token the request was made with was revoked.")
        if asked.subagent_jti and await self.store.is_revoked(asked.agent.iss, asked.subagent_jti):
            raise Revoked("The sub-agent's token was revoked.")
        if asked.resource_jti and await self.store.is_revoked(asked.resource, asked.resource_jti):
            raise Revoked("The resource withdrew the resource token this request was made for.")
        if asked.presented_jti is not None:
            presented = await self.store.issued(asked.presented_jti)
            if presented is not None and presented.revoked_at is not None:
                raise Revoked("The presented token was revoked.")
        decision = pending.decision
        return await self._mint(asked, str(decision["granted_by"]), decision["scopes"])

    async def _mint(self, asked: Asked, person_id: str, scopes: Collection[str]) -> Completion:
        if asked.kind == PERSON_TOKEN:
            return self.mint.person_token(asked, person_id)
        profile = await self.store.profile(person_id)
        return self.mint.auth_token(asked, person_id, scopes=tuple(scopes), profile=profile)

    async def _ask(
        self,
        asked: Asked,
        body: RequestContext,
        prompt: frozenset[str],
        agent: AgentToken,
        subagent: AgentToken | None,
    ) -> Response:
        """Open a pending request for the person. Raises `UserUnreachable` or `RateLimited`."""
        if "none" in prompt:
            raise UserUnreachable("The person must be asked, and the request says not to (prompt=none).")
        if "interaction" not in (body.capabilities or ()):
            raise UserUnreachable(
                "The person must be asked and this server cannot reach them. An agent that can send the person to a "
                "URL says so with capabilities: interaction."
            )
        await self.tidy()
        now = self.clock()
        own, provider = await self.store.open_requests(asked.agent_id, now=now)
        if own >= MAX_OPEN_PER_AGENT or provider >= MAX_OPEN_PER_PROVIDER:
            raise RateLimited("Too many requests are waiting for a person already.", retry_after_s=60)
        await self.remember_tokens(agent, subagent)
        opened = await self.pending.open(
            kind=asked.kind,
            owner=asked.owner,
            request=asked.to_request(),
            requirement=INTERACTION,
            # A decision after this could not be turned into a token any more.
            lifetime_s=min(float(self.lifetime_s), asked.not_after - now),
        )
        # Not held, whatever `Prefer: wait` says: only with the code in this response can the person come.
        return self.pending.accepted(opened)

    async def _subagent(self, body: RequestContext, agent: AgentToken) -> AgentToken | None:
        """Verify `subagent_token` (#sub-agents, #agent-token-verification)."""
        if body.subagent_token is None:
            return None
        try:
            token = await self.run(
                verify(body.subagent_token, AgentToken, now=self.clock(), policy=self.policy, cache=self.cache)
            )
        except AAuthError as error:
            raise as_parameter_error(error, "subagent") from error
        check_subagent_token(token, parent=agent)
        if await self.store.is_revoked(token.iss, token.jti):
            raise RevokedSubagentToken("The sub-agent token was revoked by its agent provider.")
        return token


def _no_call_chaining(body: RequestContext) -> None:
    if body.upstream_token is not None:
        raise InvalidRequest("This server does not offer call chaining yet; ask without upstream_token.")


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


def _shown(body: RequestContext, prompt: frozenset[str]) -> _Shown:
    """What the agent says, for the page. A platform outside the registry says nothing."""
    return {
        "justification": body.justification,
        "platform": body.platform if body.platform in PLATFORMS else None,
        "device": body.device,
        "reauthenticate": bool(prompt & {"login", "select_account"}),
    }
