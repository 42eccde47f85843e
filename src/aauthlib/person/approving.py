"""What approvers see and do, and what the person sees of it (#approval-pending, #ps-approval-endpoint-auth).

The pages call this with the id of whoever is signed in; the store knows who is asked, and nobody else decides. Before
something is shown or decided it is held to the policy as it is now, and to its deadlines.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..errors import AAuthError, InvalidRequest, NotFound, ServerError
from ..messages.bodies import PLATFORMS
from ..store.approval_records import Approval, Away, Ballot, BecauseOf, Course, Origin
from ..store.person_approvals import Standing
from .approval_views import ApprovalLine, ApprovalView
from .asked import AUTH_TOKEN, TOKENS, Asked
from .consent import AgentFace
from .core import PersonServerCore
from .faces import cut, resource_face, scope_line, short
from .policy import Refuse
from .ruling import rule_on

__all__ = ["MAX_COMMENT_LENGTH", "ApprovalDesk", "Inbox"]

MAX_COMMENT_LENGTH = 1_000
_MAX_JUSTIFICATION_LENGTH = 4_000
_MAX_AWAY_S = 366 * 86_400.0
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Inbox:
    """What one person sees of approvals."""

    to_decide: tuple[ApprovalLine, ...]
    own: tuple[ApprovalLine, ...]
    """Of their own agents, while others decide."""
    decided: tuple[ApprovalLine, ...]
    """What they decided, the last first."""


class ApprovalDesk(PersonServerCore):
    """What the pages of approvers call, and the loop that keeps deadlines."""

    _looked_at: str | None = None
    """The policy version that everything that waits was held to."""

    async def look_at_approvals(self) -> int:
        """Do what deadlines that have passed lead to, and what a changed policy does to what waits for approvers.

        To be called every few seconds, in every process. Returns how many were looked at.
        """
        version = await self.rules.look()
        due_by = self.clock() if version == self._looked_at else None
        after, looked = "", 0
        while found := await self.store.waiting_approvals(due_by=due_by, after=after, limit=_PAGE):
            for approval in found:
                await self._look(approval)
            after, looked = found[-1].id, looked + len(found)
        self._looked_at = version
        return looked

    async def inbox(self, person_id: str) -> Inbox:
        """What this person is asked to decide, what waits for others, and what they decided."""
        now = self.clock()
        for approval in await self.store.overdue_approvals(person_id, now=now):
            await self._look(approval)
        to_decide = await self.store.approvals_to_decide(person_id, now=now)
        own = await self.store.approvals_of(person_id)
        decided = await self.store.approvals_decided(person_id)
        names = await self.store.names_of({each.person_id for each in (*to_decide, *own, *decided)})

        def lines(found: list[Approval]) -> tuple[ApprovalLine, ...]:
            return tuple(ApprovalLine.of(each, Asked.of(each.request), names.get(each.person_id, "")) for each in found)

        return Inbox(lines(to_decide), lines(own), lines(decided))

    async def approval(self, id_: str, *, person_id: str) -> ApprovalView:
        """Everything the page shows about one.

        Raises `NotFound` for whoever neither asks, nor is asked, nor has had a say in it.
        """
        await self.store.approval_standing(id_, person_id=person_id, now=self.clock())
        await self._look(await self.store.approval(id_))
        standing, seat = await self.store.approval_standing(id_, person_id=person_id, now=self.clock())
        return await self._approval_view(standing, seat, person_id)

    async def decide_approval(
        self, id_: str, *, person_id: str, yes: bool, comment: str, round_: int, origin: Origin
    ) -> Approval:
        """Approve or decline, as it was shown in `round_`. With a no, `comment` is told to the agent.

        Raises `NotFound`, `NotApprover`, `DecidedAlready`, `NotWaiting`, `RequestChanged`, or `InvalidRequest`.
        """
        comment = _checked(comment)
        because, course = await self._ruled(await self.store.approval(id_))
        ballot = Ballot(
            person_id=person_id,
            yes=yes,
            comment=comment,
            origin=origin,
            because=because,
            course=course,
            round=round_,
        )
        return await self.store.vote(id_, ballot, now=self.clock())

    async def comment_on_approval(self, id_: str, text: str, *, person_id: str, origin: Origin) -> None:
        """Say something without deciding. Raises `NotFound`, `NotWaiting`, `TooManyComments` or `InvalidRequest`."""
        text = _checked(text)
        if not text:
            raise InvalidRequest("Write something first.")
        await self.store.comment(id_, text, person_id=person_id, origin=origin, now=self.clock())

    async def take_back_approval(self, id_: str, *, person_id: str, origin: Origin) -> None:
        """The person does not want it any more. Raises `NotFound` or `NotWaiting`."""
        await self.store.take_back_approval(id_, person_id=person_id, origin=origin, now=self.clock())

    # ------------------------------------------------------------------ being away

    async def absence(self, person_id: str) -> Away | None:
        """When this person is away, and who decides in their place."""
        return await self.store.absence(person_id, now=self.clock())

    async def delegates_for(self, person_id: str) -> list[tuple[str, str]]:
        """Who could: identifier and name."""
        return await self.store.delegates_for(person_id)

    async def go_away(self, person_id: str, delegate: str, *, since: float, until: float) -> None:
        """Somebody else decides in this person's place meanwhile. Raises `InvalidRequest` or `AwayRefused`."""
        now = self.clock()
        if not since < until or until <= now or until - max(since, now) > _MAX_AWAY_S:
            raise InvalidRequest("Choose a last day that is to come, after the first and within a year.")
        await self.store.set_absence(Away(person_id=person_id, delegate=delegate, since=since, until=until), now=now)

    async def come_back(self, person_id: str) -> None:
        """They decide themselves again."""
        await self.store.end_absence(person_id, now=self.clock())

    # ------------------------------------------------------------------ inside

    async def _ruled(self, approval: Approval) -> tuple[BecauseOf, Course | None]:
        """What the policy demands of it now; no course where it refuses."""
        ruled = await rule_on(self, Asked.of(approval.request), approval.person_id)
        return ruled.because, None if isinstance(ruled.decision, Refuse) else ruled.decision

    async def _look(self, approval: Approval) -> None:
        because: BecauseOf
        course: Course | None
        try:
            because, course = await self._ruled(approval)
        except ServerError:
            # Deadlines are kept also while the policy fails, and one request it fails on holds up no other.
            because, course = approval.because, approval.course
        try:
            await self.store.look_at_approval(approval.id, because, course, now=self.clock())
        except NotFound:
            return  # It was dropped meanwhile.

    async def _approval_view(self, standing: Standing, seat: str, person_id: str) -> ApprovalView:
        approval = standing.approval
        asked = Asked.of(approval.request)
        provider, resource = await asyncio.gather(
            self.faces.provider(asked.agent.iss),
            self.faces.resource(asked.resource) if asked.kind in TOKENS else _nothing(),
        )
        mission = None
        if asked.mission_s256 is not None:
            try:
                mission = await self.store.persons_mission(asked.mission_s256, person_id=approval.person_id)
            except AAuthError:
                mission = None
        known = asked.kind in TOKENS and await self.store.knows_resource(approval.person_id, asked.resource)
        return ApprovalView(
            line=ApprovalLine.of(approval, asked, standing.subject),
            standing=standing,
            agent=AgentFace(
                iss=asked.agent.iss,
                sub=asked.agent.sub,
                provider_name=short(provider.name) if provider else None,
                provider_logo=provider.logo_uri if provider else None,
                platform_label=PLATFORMS.get(asked.platform or ""),
                device=asked.device,
                is_new=False,
                sub_agent=asked.subagent,
            ),
            resource=resource_face(asked.resource, resource, is_new=not known) if asked.kind in TOKENS else None,
            scopes=tuple(scope_line(value, resource, already_granted=False) for value in asked.scope)
            if asked.kind == AUTH_TOKEN
            else (),
            account=asked.account,
            access_server=asked.access_server,
            justification_markdown=cut(asked.justification, _MAX_JUSTIFICATION_LENGTH),
            permission=asked.permission,
            mission_description=mission.terms().description if mission is not None else None,
            seat=seat,
            own=approval.person_id == person_id,
            has_spoken=any(
                entry.by == person_id and entry.kind in ("approved", "denied") for entry in standing.entries
            ),
        )


async def _nothing() -> None:
    return None


def _checked(text: str) -> str:
    """Somebody's own words. Raises `InvalidRequest` for more than is kept."""
    text = text.replace("\r\n", "\n").strip()
    if len(text) > MAX_COMMENT_LENGTH or "\0" in text:
        raise InvalidRequest(f"A comment has at most {MAX_COMMENT_LENGTH} characters.")
    return text
