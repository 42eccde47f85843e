"""The person's side of missions: seeing what is proposed, changing it, deciding, following it, ending it.

#mission-approval, #mission-completion, #mission-management, #permission-endpoint. The pages call this with the id of
whoever is signed in; nobody else decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from ..errors import InvalidRequest, NotFound
from ..messages.missions import check_markdown
from ..messages.requirement import CLARIFICATION
from ..policies.approvers import Step
from ..store.approval_records import AgreedTo, Origin
from ..store.person_conversations import MAX_QUESTIONS
from ..store.person_mission_records import REVOKED, SUPERSEDED, Approval, Mission, Verdict
from ..store.person_records import PersonRequest
from .asked import MISSION, MISSION_COMPLETION, MISSION_UPDATE, PERMISSION, QUESTION, RELAYS, Asked
from .cascade import RevocationOutcome, tell_resources
from .consent import AgentFace
from .core import PersonServerCore
from .faces import resource_face, short
from .mission_views import MissionFace, MissionPage, MissionRequestView
from .outcomes import approval_of, callback_of, decided_by, outcome_of
from .policy import Refuse
from .ruling import PolicyRefuses, ahead_of, left_to_others, new_approval, rule_on

__all__ = ["LIFETIMES_S", "MissionDesk", "mission_request_view"]

#: How long a person can let a mission run, in seconds, by the name of the choice; `None` until it is ended.
LIFETIMES_S: dict[str, int | None] = {
    "hour": 3_600,
    "day": 86_400,
    "week": 7 * 86_400,
    "month": 30 * 86_400,
    "open": None,
}
_REASONS = frozenset({REVOKED, SUPERSEDED})
_MAX_NOTE = 500
_PAGE = 100


class MissionDesk(PersonServerCore):
    """What the pages call about missions."""

    async def approve_mission(
        self,
        digest: str,
        *,
        person_id: str,
        description: str | None = None,
        tools: Collection[str] | None = None,
        resources: Collection[str] | None = None,
        lifetime: str = "month",
        replaces: str | None = None,
        origin: Origin | None = None,
    ) -> str | None:
        """Say yes to a proposal: to its text, or that in `description`; to all of its tools and resources, or those
        named. Returns where the browser goes, or `None` for our page.

        A tool that the policy does not leave to the person is no approved tool: its agent asks for each use.
        Raises `PolicyRefuses`, `InvalidRequest`, `NotFound`, `NotWaiting`, `Expired`, `AgentOfAnotherPerson` or
        `MissionTerminated`.
        """
        now = self.clock()
        request = await self.store.request_for(digest, person_id=person_id, now=now)
        asked = Asked.of(request.pending.request)
        if asked.kind != MISSION or asked.proposal is None:
            raise NotFound("There is no such proposal.")
        if lifetime not in LIFETIMES_S:
            raise InvalidRequest("Choose how long the mission may run.")
        proposal, length_s = asked.proposal, LIFETIMES_S[lifetime]
        because, left = dict[str, str](), frozenset[str]()
        if request.pending.waiting:
            ruled = await rule_on(self, asked, person_id)
            if isinstance(ruled.decision, Refuse):
                raise PolicyRefuses(ruled.decision.reason)
            because, left = ruled.details(origin or Origin()), await left_to_others(self, asked, person_id)
        approval = Approval(
            person_id=person_id,
            agent=asked.agent_id,
            description=proposal.description if description is None else check_markdown(description, "The text"),
            tools=[tool for tool in proposal.tools if (tools is None or tool.name in tools) and tool.name not in left],
            resources=[each for each in proposal.resources if resources is None or each in resources],
            expires_at=now + length_s if length_s is not None else None,
            replaces=replaces,
            because=because,
        )
        request, due = await self.store.approve_mission(digest, approval, now=now)
        await tell_resources(self, due)
        return callback_of(request)

    async def answer_request(
        self,
        digest: str,
        *,
        person_id: str,
        yes: bool,
        reason: str | None = None,
        remember: bool = False,
        answer: str | None = None,
        origin: Origin | None = None,
    ) -> str | None:
        """Answer anything but a request for a token or a proposal. `reason` goes with a permission denied, `remember`
        with one that holds as long as the mission, `answer` with a question; a yes to a relay is going there. All but a
        permission are refused with `deny`. Where the policy asks others too, a permission waits for them from now on.

        Returns where the browser goes. Raises as `approve_mission` does.
        """
        now = self.clock()
        request = await self.store.request_for(digest, person_id=person_id, now=now)
        asked = Asked.of(request.pending.request)
        if asked.kind not in (MISSION_UPDATE, MISSION_COMPLETION, PERMISSION, QUESTION, *RELAYS):
            raise NotFound("There is no such request.")
        if not yes and asked.kind != PERMISSION:
            raise InvalidRequest("This is refused by denying it.")
        if asked.relay is not None and asked.relay.hosted is not None:
            raise NotFound("This page is on this server, and decided on there.")
        action = asked.permission.action if asked.permission is not None else None
        opening, because = None, (origin or Origin()).details()
        if asked.kind == PERMISSION and yes and request.pending.waiting:
            ruled = await rule_on(self, asked, person_id)
            if isinstance(ruled.decision, Refuse):
                raise PolicyRefuses(ruled.decision.reason)
            because = ruled.details(origin or Origin())
            if ruled.decision.steps:
                opening = new_approval(self, asked, person_id, ruled, AgreedTo(at=now, remember=remember))
        verdict = Verdict(
            person_id=person_id,
            agent=asked.agent_id,
            kind=asked.kind,
            yes=yes,
            reason=check_markdown(reason, "The reason") if reason and not yes else None,
            answer=check_markdown(answer or "", "The answer") if asked.kind == QUESTION else None,
            remember_action=action if yes and remember and asked.mission_s256 is not None else None,
            because=because,
        )
        request, due = await self.store.decide_in_mission(digest, verdict, now=now, opening=opening)
        await tell_resources(self, due)
        return callback_of(request)

    async def see_relay(self, digest: str, *, person_id: str) -> None:
        """The person looks at where an agent wants them to go: its poll says `interacting` from now on.

        Raises `NotFound`.
        """
        await self.store.relay_seen(digest, person_id=person_id)

    async def missions(self, person_id: str) -> list[MissionFace]:
        """The person's missions: those that run first, then by age."""
        now = self.clock()
        faces = [MissionFace.of(mission, now=now) for mission in await self.store.missions_of(person_id)]
        return sorted(faces, key=lambda face: face.reason is not None)

    async def mission_page(self, s256: str, *, person_id: str, before: int | None = None) -> MissionPage:
        """One mission with its log. Raises `NotFound` for one that is not this person's."""
        mission = await self.store.persons_mission(s256, person_id=person_id)
        log = await self.store.mission_log(s256, person_id=person_id, before=before, limit=_PAGE)
        consents = await self.store.consents_of(person_id)
        return MissionPage(
            mission=MissionFace.of(mission, now=self.clock()),
            log=tuple(log),
            earlier=log[0].number if log and log[0].number > 1 else None,
            allowed=tuple(sorted(c.scope for c in consents if c.mission == s256 and not c.resource)),
        )

    async def end_mission(
        self, s256: str, *, person_id: str, reason: str = REVOKED, note: str | None = None
    ) -> list[RevocationOutcome]:
        """End a mission: `revoked`, or `superseded` by something else. Returns what came of telling its resources.

        Raises `InvalidRequest`, `NotFound`, or `MissionTerminated` for one that is over.
        """
        if reason not in _REASONS:
            raise InvalidRequest("Choose why the mission ends.")
        if note is not None and (len(note) > _MAX_NOTE or "\0" in note):
            raise InvalidRequest(f"A note has at most {_MAX_NOTE} characters.")
        due = await self.store.terminate_mission(
            s256, person_id=person_id, reason=reason, note=note or None, now=self.clock()
        )
        return await tell_resources(self, due)


async def mission_request_view(server: PersonServerCore, request: PersonRequest, person_id: str) -> MissionRequestView:
    """Everything the page shows about a request that is not for a token."""
    pending, asked = request.pending, Asked.of(request.pending.request)
    now = server.clock()
    proposal, permission = asked.proposal, asked.permission
    wanted = proposal.resources if proposal is not None else ()
    provider, standing, known, published = await asyncio.gather(
        server.faces.provider(asked.agent.iss),
        server.store.standing(asked.agent_id, resource=""),
        asyncio.gather(*(server.store.knows_resource(person_id, resource) for resource in wanted)),
        asyncio.gather(*(server.faces.resource(resource) for resource in wanted)),
    )
    s256 = asked.mission_s256 or pending.decision.get("mission_s256")
    mission = await server.store.mission(asked.agent_id, s256) if s256 is not None else None
    replaceable: list[Mission] = []
    if proposal is not None and standing.binding is not None and standing.binding.person_id == person_id:
        replaceable = [
            each
            for each in await server.store.missions_of(person_id)
            if each.agent == asked.agent_id and each.ended(now=now) is None
        ]
    steps, policy_refusal, left = tuple[Step, ...](), None, frozenset[str]()
    if asked.kind in (MISSION, PERMISSION):
        steps, policy_refusal = await ahead_of(server, request, asked, person_id)
    if proposal is not None and pending.waiting:
        left = await left_to_others(server, asked, person_id)
    relay = asked.relay
    description = asked.text or (proposal.description if proposal is not None else None)
    if permission is not None:
        description = permission.description
    kind = asked.kind
    assert kind != "person_token" and kind != "auth_token"
    conversation = await server.store.conversation(pending.digest)
    questions = sum(turn.kind == "question" for turn in conversation)
    return MissionRequestView(
        digest=pending.digest,
        kind=kind,
        agent=AgentFace(
            iss=asked.agent.iss,
            sub=asked.agent.sub,
            provider_name=short(provider.name) if provider else None,
            provider_logo=provider.logo_uri if provider else None,
            is_new=standing.binding is None,
        ),
        state=pending.state,
        outcome=outcome_of(pending),
        created_at=pending.created_at,
        expires_at=pending.expires_at,
        callback=callback_of(request),
        mission=MissionFace.of(mission, now=now) if mission is not None else None,
        description=description or "",
        tools=proposal.tools if proposal is not None else (),
        resources=tuple(
            resource_face(issuer, face, is_new=not before)
            for issuer, face, before in zip(wanted, published, known, strict=True)
        ),
        action=permission.action if permission is not None else "",
        parameters=permission.parameters if permission is not None else None,
        replaceable=tuple(MissionFace.of(each, now=now) for each in replaceable),
        conversation=tuple(conversation),
        takes_questions=CLARIFICATION in asked.capabilities,
        questions_left=max(0, MAX_QUESTIONS - questions),
        permission=pending.decision.get("permission"),
        url=f"{relay.url}?code={relay.code}" if relay is not None else "",
        code=relay.code if relay is not None else "",
        hosted=relay.hosted if relay is not None else None,
        context=asked.justification or "",
        answer=pending.decision.get("answer"),
        steps=steps,
        policy_refusal=policy_refusal,
        left_to_others=tuple(sorted(left)),
        approval=approval_of(request),
        decided_by=decided_by(pending.decision),
    )
