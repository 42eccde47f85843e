"""Asking the operator's policy about a request, and what follows for it (#approval-pending).

What a request waits for is decided here and in the desk, and nowhere else.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import msgspec

from ..errors import Denied, ServerError
from ..policies.approvers import Step
from ..store.approval_records import AgreedTo, BecauseOf, Course, Origin
from ..store.approval_records import Opening as NewApproval
from ..store.person_records import AuditRecord, PersonRequest
from ..store.rows import key_of
from .asked import PERMISSION, PERSON_TOKEN, Asked, AskedPermission
from .core import PersonServerCore
from .policy import Refuse, facts_of, guarded

__all__ = [
    "PolicyRefuses",
    "Ruled",
    "Way",
    "ahead_of",
    "left_to_others",
    "new_approval",
    "note_ruling",
    "rule_on",
    "way_of",
]

_log = logging.getLogger("aauthlib.person")


class PolicyRefuses(Denied):
    """The operator's policy says no to what the person would allow."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """What the policy says of a request of somebody's agent."""

    decision: Course | Refuse
    because: BecauseOf
    tenant: str | None
    """That person's organisation here."""

    def details(self, origin: Origin) -> dict[str, str]:
        """For the log: under which policy, where there is one, and from where."""
        return {**(self.because.details() if self.because.version else {}), **origin.details()}


@dataclass(frozen=True, slots=True)
class Way:
    """What a request needs now."""

    because: BecauseOf
    ask_person: bool = False
    """The person is to be asked first."""
    others: bool = False
    """Others are to be asked, now or after the person."""
    approval: NewApproval | None = None
    """Others are to be asked."""

    @property
    def through(self) -> bool:
        """It needs nobody's word any more."""
        return not self.ask_person and self.approval is None


async def rule_on(server: PersonServerCore, asked: Asked, person_id: str) -> Ruled:
    """What the policy decides about a request of this person's agent. Raises `ServerError` when it fails."""
    tenant, username = await server.store.known_as(person_id)
    facts = facts_of(asked, tenant=tenant, username=username, now=server.clock())
    try:
        verdict = await server.rules.decide(facts)
    except Exception as error:  # Of whatever an operator plugged in: nothing is granted then.
        _log.error("the policy failed on a request of kind %s: %s", asked.kind, type(error).__name__)
        raise ServerError("The policy of this person server could not decide.") from error
    verdict = guarded(facts, verdict)
    return Ruled(verdict.decision, verdict.because, tenant)


async def way_of(
    server: PersonServerCore, asked: Asked, person_id: str, *, agreed_before: bool, ask_anew: bool = False
) -> Way:
    """What a request needs that has just come; `agreed_before` is what the person allowed earlier.

    With `ask_anew` the person is asked whatever the policy says. Raises `Denied` with the policy's reason, or
    `ServerError`.
    """
    ruled = await rule_on(server, asked, person_id)
    course = ruled.decision
    if isinstance(course, Refuse):
        await note_ruling(server, asked, person_id, ruled.because, result="refused")
        raise Denied(course.reason)
    if not agreed_before and not ask_anew and course.ask_person and course.steps:
        # A yes that others have not all joined yet is kept with what they decide about.
        found = await server.store.approval_for(_key(asked, person_id), now=server.clock())
        agreed_before = found is not None and found.agreed is not None
    if not agreed_before and (course.ask_person or ask_anew):
        return Way(ruled.because, ask_person=True, others=bool(course.steps))
    if not course.steps:
        if not agreed_before:
            await note_ruling(server, asked, person_id, ruled.because, result="allowed")
        return Way(ruled.because)
    agreed = AgreedTo(at=server.clock(), before=True) if agreed_before and course.ask_person else None
    return Way(ruled.because, others=True, approval=new_approval(server, asked, person_id, ruled, agreed))


def new_approval(
    server: PersonServerCore, asked: Asked, person_id: str, ruled: Ruled, agreed: AgreedTo | None
) -> NewApproval:
    """The approval a request needs: the same for the same request made anew, whatever its tokens are by then."""
    assert isinstance(ruled.decision, Course)
    return NewApproval(
        id=server.random_hex(),
        key=_key(asked, person_id),
        person_id=person_id,
        tenant=ruled.tenant,
        agent=asked.agent_id,
        root=asked.root,
        request=asked.to_request(),
        course=ruled.decision,
        because=ruled.because,
        agreed=agreed,
        waits_until=server.clock() + server.approval_lifetime_s,
    )


async def ahead_of(
    server: PersonServerCore, request: PersonRequest, asked: Asked, person_id: str
) -> tuple[tuple[Step, ...], str | None]:
    """While the person decides: who is asked after their yes, and why the policy refuses what is asked, if it does."""
    if not request.pending.waiting or request.approval is not None:
        return (), None
    decision = (await rule_on(server, asked, person_id)).decision
    return ((), decision.reason) if isinstance(decision, Refuse) else (decision.steps, None)


async def left_to_others(server: PersonServerCore, asked: Asked, person_id: str) -> frozenset[str]:
    """Tools and resources of a proposal that the policy does not leave to the person alone.

    Their use is asked for when it comes, and ruled on then: the person's yes to a mission is nobody else's.
    """
    if asked.proposal is None:
        return frozenset()
    base = msgspec.structs.replace(asked, proposal=None)
    left = set[str]()
    for tool in asked.proposal.tools:
        use = msgspec.structs.replace(base, kind=PERMISSION, permission=AskedPermission(action=tool.name))
        if not _is_persons((await rule_on(server, use, person_id)).decision):
            left.add(tool.name)
    for resource in asked.proposal.resources:
        naming = msgspec.structs.replace(base, kind=PERSON_TOKEN, resource=resource)
        if not _is_persons((await rule_on(server, naming, person_id)).decision):
            left.add(resource)
    return frozenset(left)


def _is_persons(decision: Course | Refuse) -> bool:
    """Whether the person's yes suffices."""
    return isinstance(decision, Course) and not decision.steps


async def note_ruling(
    server: PersonServerCore, asked: Asked, person_id: str, because: BecauseOf, *, result: str
) -> None:
    """Put into the log what the policy decided by itself: `allowed` or `refused`."""
    await server.store.note(
        AuditRecord(
            at=server.clock(),
            person_id=person_id,
            action=f"policy on {asked.kind}",
            agent=asked.agent_id,
            resource=asked.resource or None,
            result=result,
            details={**because.details(), "scopes": list(asked.scope)},
        )
    )


def _key(asked: Asked, person_id: str) -> str:
    """Names what is asked, for whom and by which agent. Reasons, keys and tokens are no part of it."""
    permission: Any = msgspec.to_builtins(asked.permission) if asked.kind == PERMISSION else None
    return key_of(
        person_id,
        asked.kind,
        asked.agent.iss,
        asked.agent.sub,
        asked.subagent,
        asked.resource,
        asked.account,
        " ".join(sorted(asked.scope)),
        asked.access_server,
        asked.mission_s256,
        asked.upstream.root_iss if asked.upstream else None,
        asked.upstream.root_sub if asked.upstream else None,
        msgspec.json.encode(permission, order="sorted").decode() if permission is not None else None,
    )
