"""The person's side of the person server: arriving, seeing, deciding (#user-interaction, #consent-presentation).

The pages call this with the id of whoever is signed in; nobody else decides (#ps-approval-endpoint-auth). It returns
values and URLs, and knows no HTML, no session and no form.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ..deferred.callbacks import EVENTS_OF_CALLBACK_ERRORS, permitted_callback, with_parameters
from ..deferred.machine import Event
from ..deferred.pending import MAX_CODE_ATTEMPTS
from ..errors import InvalidCode, InvalidRequest, NotFound
from ..messages.bodies import PLATFORMS
from ..messages.codes import code_digest
from ..messages.identity_scopes import released_claims
from ..messages.requirement import CLARIFICATION
from ..store.approval_records import AgreedTo, Origin
from ..store.person_audit import AuditPage, AuditSearch
from ..store.person_conversations import MAX_QUESTIONS, RequestChanged, version_of
from ..store.person_records import NAMING, AgentId, AuditRecord, Consent, Decision, PersonRequest, Untold
from .asked import AUTH_TOKEN, PERSON_TOKEN, TOKENS, Asked
from .cascade import RevocationOutcome, tell_resources
from .consent import (
    IDENTITY_SCOPES,
    AgentFace,
    ConnectedAgent,
    ConsentView,
    Grant,
    Hints,
    OtherOrganisation,
    ResourceInteraction,
    ResourceInteractionFirst,
)
from .faces import cut, resource_face, scope_line, short
from .federating import Federating
from .mission_desk import mission_request_view
from .mission_views import MissionFace, MissionRequestView
from .outcomes import approval_of, callback_of, decided_by, outcome_of
from .policy import Refuse
from .ruling import PolicyRefuses, ahead_of, new_approval, rule_on

__all__ = ["ConsentDesk"]

_MAX_LISTED = 50
_MAX_JUSTIFICATION_LENGTH = 4000
_MAX_CLAIM_LENGTH = 500
_CALLBACK_PATH = "/interaction-callback/"
_CLAIMS = frozenset(claim for claims in IDENTITY_SCOPES.values() for claim in claims)


class ConsentDesk(Federating):
    """What the pages call."""

    async def check_code(self, handle: str, code: str) -> None:
        """See whether a code is right without consuming it, before the person has signed in. A wrong one counts.

        Raises `InvalidCode` or `Expired`.
        """
        if await self.arrive_for_question(handle, code, person_id=None) is not None:
            return
        await self.store.check_code(handle, code_digest(code), now=self.clock(), max_attempts=MAX_CODE_ATTEMPTS)

    async def arrive(self, handle: str, code: str, *, person_id: str, callback: str | None = None) -> str:
        """Consume a code for the signed-in person and return the digest that names the request from now on.

        `callback` is the query parameter of the interaction URL; one that the agent's provider does not permit is
        dropped. Raises `InvalidCode`, `Expired`, or `AgentOfAnotherPerson`, which leaves the code as it was.
        """
        asked_by_server = await self.arrive_for_question(handle, code, person_id=person_id)
        if asked_by_server is not None:
            return asked_by_server
        digest = code_digest(code)
        if callback is not None:
            pending = await self.store.get_interaction(handle)
            if pending is None:
                raise InvalidCode("The code is not recognised.")
            provider = await self.faces.provider(Asked.of(pending.request).agent.iss)
            callback = permitted_callback(callback, provider, dev=self.dev)
        request = await self.store.arrive(
            handle,
            digest,
            person_id=person_id,
            callback=callback,
            now=self.clock(),
            max_attempts=MAX_CODE_ATTEMPTS,
        )
        return request.pending.digest

    async def consent(self, digest: str, *, person_id: str) -> ConsentView | MissionRequestView:
        """Everything the page shows about a request. Raises `NotFound` for one that is not this person's to see."""
        return await self._view(await self.store.request_for(digest, person_id=person_id, now=self.clock()), person_id)

    async def approve(
        self,
        digest: str,
        *,
        person_id: str,
        scope: Collection[str] | None = None,
        remember: bool = True,
        version: str | None = None,
        origin: Origin | None = None,
    ) -> str | None:
        """Say yes, to all of it or to the values in `scope`. Returns where the browser goes, or `None` for our page.

        Where the policy asks others too, the request waits for them from now on. `version` is that of the view it was
        decided on, `origin` from where. Repeating it changes nothing. Raises `RequestChanged` when the agent has
        updated its request since, `NotFound`, `NotWaiting`, `Expired`, `AgentOfAnotherPerson`,
        `ResourceInteractionFirst`, `OtherOrganisation`, `PolicyRefuses`, which leaves the request as it is, or
        `InvalidRequest` when nothing is left of the scope.
        """
        now = self.clock()
        request = await self.store.request_for(digest, person_id=person_id, now=now)
        asked = Asked.of(request.pending.request)
        shown = version_of(request.pending.request)
        if request.pending.waiting and version not in (None, shown):
            raise RequestChanged("The agent has changed its request.")
        if await self._other_organisation(asked, person_id) is not None and request.pending.waiting:
            raise OtherOrganisation("The agent asks for somebody of another organisation.")
        if asked.interaction is not None and not request.resource_done and request.pending.waiting:
            raise ResourceInteractionFirst("The resource wants you on its own page first.")
        if asked.kind not in TOKENS:
            raise NotFound("There is no such request for a token.")
        if asked.kind == PERSON_TOKEN:
            scopes = [NAMING]
        else:
            scopes = [value for value in asked.scope if scope is None or value in scope]
            if not scopes:
                raise InvalidRequest("Choose at least one permission, or deny the request.")
            if asked.access_server is not None and len(scopes) < len(asked.scope):
                raise InvalidRequest(
                    "The access server of this resource decides about the whole request: allow all of it, or deny it."
                )
        opening, because = None, dict[str, str]()
        if request.pending.waiting:
            narrowed = msgspec.structs.replace(asked, scope=tuple(scopes)) if asked.kind == AUTH_TOKEN else asked
            ruled = await rule_on(self, narrowed, person_id)
            if isinstance(ruled.decision, Refuse):
                raise PolicyRefuses(ruled.decision.reason)
            because = ruled.details(origin or Origin())
            if ruled.decision.steps:
                opening = new_approval(self, narrowed, person_id, ruled, AgreedTo(at=now, remember=remember))
        request = await self.store.grant(
            digest,
            Decision(
                person_id=person_id,
                agent=asked.agent_id,
                resource=asked.resource,
                scopes=scopes,
                account=asked.account,
                version=shown,
                remember=remember,
                platform=asked.platform,
                device=asked.device,
                root=asked.root,
                mission=asked.mission_s256,
                because=because,
            ),
            now=now,
            opening=opening,
        )
        # The access server may want the person on a page of its own; then ours is the one that sends them there.
        if await self.start_when_granted(digest):
            return None
        return request.callback

    async def deny(self, digest: str, *, person_id: str, origin: Origin | None = None) -> str | None:
        """Say no. Returns where the browser goes. Raises `NotFound`, `NotWaiting` or `Expired`."""
        return await self._end(digest, person_id, Event.DENY, "The person declined the request.", origin)

    async def abandon(self, digest: str, *, person_id: str) -> str | None:
        """The person left without deciding. Returns and raises as `deny`."""
        return await self._end(digest, person_id, Event.ABANDON, "The person left without deciding.")

    async def resource_interaction_ended(self, flow_id: str, *, person_id: str, error: str | None) -> str:
        """The browser is back from the resource's own page (#resource-initiated-interaction, step 5).

        Returns the digest of the request to show. Raises `NotFound`, `NotWaiting` or `Expired`.
        """
        request = await self.store.request_of_flow(flow_id, person_id=person_id, now=self.clock())
        digest = request.pending.digest
        if error is None:
            await self.store.resource_done(digest)
        else:
            event = EVENTS_OF_CALLBACK_ERRORS.get(error, Event.FAIL)
            await self._end(digest, person_id, event, "The interaction at the resource was not completed.")
        return digest

    async def pending_for(self, person_id: str) -> list[ConsentView | MissionRequestView]:
        """The open requests this person may decide, and those that an access server asks something about."""
        now = self.clock()
        requests = await self.store.requests_for(person_id, now=now, limit=_MAX_LISTED)
        requests = [*await self.store.questions_for(person_id, now=now), *requests]
        # A relay to a page of this server waits as what that page is about.
        requests = [each for each in requests if not (each.pending.request.get("relay") or {}).get("hosted")]
        return list(await asyncio.gather(*(self._view(request, person_id) for request in requests)))

    # ------------------------------------------------------------------ what is remembered

    async def agents(self, person_id: str) -> list[ConnectedAgent]:
        """The person's agents and where each may name them."""
        consents = await self.store.consents_of(person_id)
        return [
            ConnectedAgent(
                iss=binding.agent[0],
                sub=binding.agent[1],
                connected_at=binding.connected_at,
                last_used_at=binding.last_used_at,
                platform=PLATFORMS.get(binding.platform or ""),
                device=binding.device,
                resources=tuple(
                    sorted({c.resource for c in consents if c.agent == binding.agent and c.scope == NAMING})
                ),
            )
            for binding in await self.store.bindings_of(person_id)
        ]

    async def grants(self, person_id: str) -> list[Grant]:
        """What the person's agents may do without asking again, outside of missions."""
        return [
            Grant(
                agent_iss=consent.agent[0],
                agent_sub=consent.agent[1],
                resource=consent.resource,
                scope=consent.scope or None,
                account=consent.account,
                granted_at=consent.granted_at,
            )
            for consent in await self.store.consents_of(person_id)
            # What holds in a mission is shown, and ends, with it.
            if consent.mission is None
        ]

    async def disconnect(self, person_id: str, agent: AgentId) -> list[RevocationOutcome]:
        """End the binding of an agent, revoke what it holds and tell the resources (#revocation-cascade).

        Returns how telling each of them ended. Raises `NotFound`.
        """
        due = await self.store.disconnect(person_id, agent, now=self.clock())
        return await tell_resources(self, due)

    async def remove_member(self, tenant: str, person_id: str, *, by: str) -> list[RevocationOutcome]:
        """End a membership in an organisation, disconnect the person's agents and tell the resources.

        Who may do so is for the caller to know. Raises `NotFound` or `LastAdministrator`.
        """
        due = await self.store.remove_member(tenant, person_id, by=by, now=self.clock())
        return await tell_resources(self, due)

    async def untold(self, person_id: str) -> list[Untold]:
        """Who could not be told yet that an agent's access ended, and is told again until it expires."""
        return await self.store.untold_of(person_id, now=self.clock())

    async def forget(self, person_id: str, grant: Grant) -> None:
        """Forget a remembered consent; the person is asked the next time."""
        consent = Consent(
            agent=(grant.agent_iss, grant.agent_sub),
            person_id=person_id,
            resource=grant.resource,
            scope=grant.scope or NAMING,
            account=grant.account,
            granted_at=grant.granted_at,
        )
        await self.store.forget(person_id, consent, now=self.clock())

    async def profile(self, person_id: str) -> dict[str, Any]:
        """The person's claims for identity scopes."""
        return await self.store.profile(person_id)

    async def set_profile(self, person_id: str, claims: Mapping[str, Any]) -> None:
        """Replace the person's claims: names of #scopes, short texts, an empty one removes the claim.

        `email_verified` and `phone_number_verified` cannot be set: they are `false` beside what the person typed,
        unless it is the address that was vouched for.
        Raises `InvalidRequest`.
        """
        kept: dict[str, Any] = {}
        for name, value in claims.items():
            if name not in _CLAIMS or name.endswith("_verified"):
                raise InvalidRequest("The profile has a field that this server does not know.")
            if not isinstance(value, str) or len(value) > _MAX_CLAIM_LENGTH or "\x00" in value:
                raise InvalidRequest(f"{name} must be a text of at most {_MAX_CLAIM_LENGTH} characters.")
            if value.strip():
                kept[name] = {"formatted": value.strip()} if name == "address" else value.strip()
        before = await self.store.profile(person_id)
        for name in ("email", "phone_number"):
            if name in kept:
                same = before.get(name) == kept[name]
                kept[f"{name}_verified"] = same and before.get(f"{name}_verified") is True
        await self.store.set_profile(person_id, kept)

    async def vouch_for_address(self, person_id: str, email: str, *, name: str) -> None:
        """An organisation's provider verified this address of the person's: it is shared as verified from now on."""
        before = await self.store.profile(person_id)
        await self.store.set_profile(person_id, {"name": name, **before, "email": email, "email_verified": True})

    async def history(self, person_id: str, *, limit: int = 100) -> list[AuditRecord]:
        """What happened in the person's name, the newest first."""
        return await self.store.history(person_id, limit=limit)

    async def search_history(
        self, person_id: str, sought: AuditSearch, *, before: int | None = None, limit: int = 50
    ) -> AuditPage:
        """Entries of the person's own audit log, the newest first, older than number `before`."""
        return await self.store.search_history(person_id, sought, before=before, limit=limit)

    # ------------------------------------------------------------------ views

    async def _end(
        self, digest: str, person_id: str, event: Event, detail: str, origin: Origin | None = None
    ) -> str | None:
        version = self.rules.version
        because = {**({"policy": version} if version else {}), **(origin or Origin()).details()}
        request = await self.store.refuse(
            digest, person_id=person_id, event=event, detail=detail, because=because, now=self.clock()
        )
        return callback_of(request)

    async def _other_organisation(self, asked: Asked, person_id: str) -> str | None:
        wanted = asked.wanted_tenant
        return wanted if wanted is not None and await self.store.tenant_of(person_id) != wanted else None

    async def hints(self, handle: str) -> Hints:
        """Whom the agent wants asked, by its own account; empty for no such interaction."""
        pending = await self.store.get_interaction(handle)
        if pending is None:
            return Hints()
        asked = Asked.of(pending.request)
        return Hints(asked.login_hint, asked.domain_hint, asked.wanted_tenant)

    async def _view(self, request: PersonRequest, person_id: str) -> ConsentView | MissionRequestView:
        pending, asked = request.pending, Asked.of(request.pending.request)
        if asked.kind not in TOKENS:
            return await mission_request_view(self, request, person_id)
        provider, resource, standing, (_, consents), known, profile = await asyncio.gather(
            self.faces.provider(asked.agent.iss),
            self.faces.resource(asked.resource),
            self.store.standing(asked.agent_id, resource=asked.resource, account=asked.account),
            self.standing_of(asked),
            self.store.knows_resource(person_id, asked.resource),
            self.store.profile(person_id),
        )
        page = await self.page_of_access_server(pending, asked)
        server_question, refusal = await self.question_and_refusal(pending)
        conversation = await self.store.conversation(pending.digest)
        if server_question is not None:
            conversation = conversation[:-1]  # Its last turn is the question that the page shows beside a form.
        questions = sum(turn.kind == "question" for turn in conversation)
        mission = None
        if asked.mission_s256 is not None:
            mission = await self.store.mission(asked.root or asked.agent_id, asked.mission_s256)
        steps, refusal_of_policy = await ahead_of(self, request, asked, person_id)
        interaction = None
        if asked.interaction is not None:
            url = with_parameters(
                asked.interaction.url,
                code=asked.interaction.code,
                callback=f"{self.issuer}{_CALLBACK_PATH}{asked.interaction.flow}",
            )
            interaction = ResourceInteraction(url, completed=request.resource_done)
        return ConsentView(
            digest=pending.digest,
            kind=PERSON_TOKEN if asked.kind == PERSON_TOKEN else AUTH_TOKEN,
            agent=AgentFace(
                iss=asked.agent.iss,
                sub=asked.agent.sub,
                provider_name=short(provider.name) if provider else None,
                provider_logo=provider.logo_uri if provider else None,
                provider_description=cut(provider.description, _MAX_JUSTIFICATION_LENGTH) if provider else None,
                platform_label=PLATFORMS.get(asked.platform or ""),
                device=asked.device,
                # Down a chain nothing is connected: the agent acts for whoever calls it.
                is_new=standing.binding is None and asked.upstream is None,
                sub_agent=asked.subagent,
            ),
            resource=resource_face(asked.resource, resource, is_new=not known),
            scopes=tuple(scope_line(value, resource, already_granted=value in consents) for value in asked.scope),
            account=asked.account,
            justification_markdown=cut(asked.justification, _MAX_JUSTIFICATION_LENGTH),
            identity_claims=tuple(released_claims(asked.scope, profile)),
            resource_interaction=interaction,
            other_organisation=await self._other_organisation(asked, person_id),
            mission=MissionFace.of(mission, now=self.clock()) if mission is not None else None,
            access_server=asked.access_server,
            access_interaction=page,
            access_question=server_question,
            access_refusal=refusal,
            on_behalf_of=asked.upstream.caller if asked.upstream else None,
            version=version_of(pending.request),
            steps=steps,
            policy_refusal=refusal_of_policy,
            approval=approval_of(request),
            decided_by=decided_by(pending.decision),
            conversation=tuple(conversation),
            takes_questions=CLARIFICATION in asked.capabilities,
            questions_left=max(0, MAX_QUESTIONS - questions),
            created_at=pending.created_at,
            expires_at=pending.expires_at,
            state=pending.state,
            outcome=outcome_of(pending),
            reauthenticate=asked.reauthenticate,
            callback=callback_of(request),
        )
