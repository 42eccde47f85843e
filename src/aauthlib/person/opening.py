"""Opening pending requests, and what is verified before and after (#ps-token-endpoint, #deferred-responses).

The tokens beside the resource token, the bounds on what one agent may have open, and whether what a request hangs on
still stands when its answer is fetched.
"""

from __future__ import annotations

from ..deferred.pending import Opened, Pending
from ..errors import (
    AAuthError,
    InvalidPresentedToken,
    InvalidRequest,
    MissionTerminated,
    RateLimited,
    Revoked,
    RevokedSubagentToken,
    UserUnreachable,
    as_parameter_error,
)
from ..http import Response
from ..messages.bodies import RequestContext
from ..messages.requirement import APPROVAL, INTERACTION
from ..store.approval_records import Opening as NewApproval
from ..store.person_mission_records import REVOKED
from ..tokens import AgentToken, AuthToken, PersonToken, verify
from ..tokens.checks import check_subagent_token
from .asked import AUTH_TOKEN, MISSION_COMPLETION, TOKENS, Asked
from .core import owner_of
from .federating import Federating
from .limits import MAX_OPEN_PER_AGENT, MAX_OPEN_PER_PROVIDER
from .upstream import Upstream, verify_upstream

__all__ = ["Opening"]


class Opening(Federating):
    """What the token endpoints share."""

    async def own_request(self, agent: AgentToken, pending_id: str) -> Pending:
        """The pending request, if `agent` started it. Raises `NotFound`, `Gone`, or as `check_person_server` does."""
        pending = await self.pending.find(pending_id, owner=owner_of(agent))
        if pending.request.get("upstream") is None:
            self.check_person_server(agent)
        return pending

    async def check_step_up(self, presented: PersonToken | AuthToken, access_server: str) -> None:
        """On a step-up in four-party the presented auth token is the access server's own, got through this server.

        Otherwise its access could not be ended by revoking what this server presented (#revocation-cascade).
        """
        if presented.iss != access_server or await self.store.federated(presented.iss, presented.jti) is None:
            raise InvalidPresentedToken("The presented token is not one this server obtained from that access server.")

    async def upstream_of(self, body: RequestContext, agent: AgentToken) -> Upstream | None:
        """Verify `upstream_token`; without one the agent must be one of this person server."""
        if body.upstream_token is None:
            self.check_person_server(agent)
            return None
        return await verify_upstream(self, body.upstream_token, agent=agent)

    async def subagent_of(self, body: RequestContext, agent: AgentToken) -> AgentToken | None:
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

    async def still_stands(self, pending: Pending) -> Asked:
        """What was asked, if nothing it hangs on was revoked since. Raises `Revoked`, which says what was.

        The answer is made when it is fetched: until then no token exists.
        """
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
        if asked.kind == AUTH_TOKEN and await self._tenant_changed(asked, pending.decision.get("granted_by")):
            raise Revoked("The person's organisation has changed since the presented token was issued.")
        # A completion is the one request that goes on after its mission: it is what ended it.
        if asked.mission_s256 is not None and asked.kind != MISSION_COMPLETION:
            mission = await self.store.mission(asked.root or asked.agent_id, asked.mission_s256)
            reason = mission.ended(now=self.clock()) if mission is not None else REVOKED
            if reason is not None:
                raise MissionTerminated("The mission this request belongs to has ended.", reason=reason)
        return asked

    async def check_presented_tenant(self, asked: Asked, person_id: str | None) -> None:
        """Raises `InvalidPresentedToken` when the person has joined or left an organisation since it was issued.

        What is issued repeats the `tenant` of the presented token, and must not repeat one that is over.
        """
        if await self._tenant_changed(asked, person_id):
            raise InvalidPresentedToken(
                "The person's organisation has changed since the presented token was issued; obtain a new person token."
            )

    async def _tenant_changed(self, asked: Asked, person_id: object) -> bool:
        return person_id is not None and await self.store.tenant_of(str(person_id)) != asked.tenant

    async def check_wanted_tenant(self, asked: Asked, person_id: str | None) -> None:
        """Raises `InvalidRequest` for an agent of somebody who is not of the organisation it names."""
        wanted = asked.wanted_tenant
        if person_id is not None and wanted is not None and await self.store.tenant_of(person_id) != wanted:
            raise InvalidRequest("The agent acts for nobody of the organisation that tenant names.")

    async def ask_person(
        self,
        asked: Asked,
        prompt: frozenset[str],
        agent: AgentToken,
        subagent: AgentToken | None,
    ) -> Response:
        """Open a pending request for the person, and answer it. Raises `UserUnreachable` or `RateLimited`."""
        # Not held, whatever `Prefer: wait` says: only with the code in this response can the person come.
        return self.pending.accepted(await self.open_for_person(asked, prompt, agent, subagent))

    async def open_for_person(
        self,
        asked: Asked,
        prompt: frozenset[str],
        agent: AgentToken,
        subagent: AgentToken | None,
    ) -> Opened:
        if "none" in prompt:
            raise UserUnreachable("The person must be asked, and the request says not to (prompt=none).")
        requirement = INTERACTION
        if INTERACTION not in asked.capabilities:
            person_id, _ = await self.standing_of(asked)
            if person_id is None or not await self.store.reaches(person_id):
                raise UserUnreachable(
                    "The person must be asked and this server cannot reach them. An agent that can send the person to "
                    "a URL says so with capabilities: interaction."
                )
            # This server tells the person, who decides on its pages without being sent there (#approval-pending).
            requirement = APPROVAL
        return await self.open_request(asked, requirement, agent, subagent)

    async def open_request(
        self,
        asked: Asked,
        requirement: str | None,
        agent: AgentToken,
        subagent: AgentToken | None,
        *,
        until: float | None = None,
        approval: NewApproval | None = None,
    ) -> Opened:
        """Open a pending request, and record the agent tokens it hangs on; it ends at `until` at the latest.

        A person who was told, rather than sent here, has the longer time, whether the tokens of the request live so
        long or not (`earlier`). What ends in no token does not depend on any. With `approval` it waits for that, or
        ends at once as that was decided.

        Raises `RateLimited` or `RevokedJWT`.
        """
        await self.tidy()
        now = self.clock()
        # An intermediary asks for all its callers' people by one agent identifier: it is bounded for each of them.
        person_id = asked.upstream.person_id if asked.upstream is not None else None
        own, provider = await self.store.open_requests(asked.agent_id, acting_for=person_id, now=now)
        if own >= MAX_OPEN_PER_AGENT or provider >= MAX_OPEN_PER_PROVIDER:
            raise RateLimited("Too many requests of this agent are open already.", retry_after_s=60)
        await self.remember_tokens(agent, subagent)
        told = requirement == APPROVAL
        ends = [now + (self.approval_lifetime_s if told else self.lifetime_s)]
        if asked.kind in TOKENS and not told:
            ends.append(asked.not_after)
        if until is not None:
            ends.append(until)
        opened = self.pending.prepare(
            kind=asked.kind,
            owner=asked.owner,
            request=asked.to_request(),
            requirement=requirement,
            lifetime_s=min(ends) - now,
        )
        await self.store.create_pending(opened.pending, opening=approval)
        return opened

    async def open_for_approvers(
        self, asked: Asked, approval: NewApproval, agent: AgentToken, subagent: AgentToken | None
    ) -> Opened:
        """Open a request that others than the person decide about. Raises as `open_request` does, or `Revoked`."""
        return await self.open_request(asked, APPROVAL, agent, subagent, approval=approval)
