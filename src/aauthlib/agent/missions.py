"""What an agent holds of a mission and of a permission (#mission-approval, #permission-response). Values only.

A mission is its bytes: whoever has them has the mission, and `s256` is the digest of exactly those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..base64url import b64url_decode
from ..errors import InvalidRequest
from ..messages.missions import MissionBlob, MissionProposal, Tool, read_blob, s256_of
from .errors import ChallengeInvalid

__all__ = ["ApprovedMission", "MissionUpdate", "Permission", "approved_mission", "tool_of"]

_CAPABILITY = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
_MAX_CAPABILITIES = 16


@dataclass(frozen=True, slots=True)
class ApprovedMission:
    """A mission as its person approved it."""

    blob: bytes
    """The mission blob, the very bytes the person server keeps."""
    s256: str
    terms: MissionBlob
    """What the blob says. Its description is what was approved, which may differ from what was proposed."""
    capabilities: tuple[str, ...] = ()
    """What the person server could do for the person when it answered (#aauth-capabilities)."""
    changed: frozenset[str] = frozenset()
    """What the person changed of the proposal: `description`, `tools`, `resources`."""

    @classmethod
    def of(cls, blob: bytes, *, capabilities: Iterable[str] = ()) -> ApprovedMission:
        """A mission whose bytes were kept, and what the person server could do. Raises `InvalidRequest` when they are
        no mission blob."""
        return cls(blob, s256_of(blob), read_blob(blob), _named(capabilities))

    def approves(self, action: str) -> bool:
        """Whether `action` is a tool the person approved, so that it needs no permission of its own."""
        return any(tool.name == action for tool in self.terms.approved_tools)


@dataclass(frozen=True, slots=True)
class MissionUpdate:
    """A change in the work that the person accepted (#mission-update)."""

    description: str
    s256: str
    """The digest of the update as the person server keeps it."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether an action may be done (#permission-response). True in a condition when it may."""

    granted: bool
    reason: str | None = None
    """Markdown: why it was denied, where the person said."""
    pre_approved: bool = False
    """Whether the mission approved it, so that nobody was asked."""

    def __bool__(self) -> bool:
        return self.granted


def tool_of(tool: Tool | str) -> Tool:
    """A tool, also from its bare name."""
    return tool if isinstance(tool, Tool) else Tool(name=tool)


def approved_mission(
    encoded: str, s256: str, *, ps: str, agent: str, proposal: MissionProposal, capabilities: list[str] | None
) -> ApprovedMission:
    """The mission in a person server's answer, checked (#mission-approval, #mission-identifier).

    `agent` is the one that proposed. Raises `ChallengeInvalid`.
    """
    # 1. s256 is the digest of the bytes that mission decodes to.
    try:
        blob = b64url_decode(encoded)
    except ValueError as error:
        raise ChallengeInvalid(f"The mission that {ps} sent is not unpadded base64url.") from error
    if s256_of(blob) != s256:
        raise ChallengeInvalid(f"The mission that {ps} sent is not the one its s256 is the digest of.")
    # 2. They are a mission blob, with the members that are required.
    try:
        terms = read_blob(blob)
    except InvalidRequest as error:
        raise ChallengeInvalid(f"What {ps} sent is no mission. {error.detail}") from error
    # 3. It is this agent's.
    if terms.agent != agent:
        raise ChallengeInvalid(f"The mission that {ps} sent is another agent's.")
    # 4. Approved resources are drawn from those that were proposed.
    if not set(terms.approved_resources) <= set(proposal.resources):
        raise ChallengeInvalid(f"The mission that {ps} sent approves resources that were not proposed.")
    return ApprovedMission(blob, s256, terms, _named(capabilities or ()), _changed(proposal, terms))


def _named(capabilities: Iterable[str]) -> tuple[str, ...]:
    """Those that can stand in a header."""
    return tuple([name for name in capabilities if _CAPABILITY.match(name)][:_MAX_CAPABILITIES])


def _changed(proposal: MissionProposal, terms: MissionBlob) -> frozenset[str]:
    differs = {
        "description": proposal.description != terms.description,
        "tools": {tool.name for tool in proposal.tools} != {tool.name for tool in terms.approved_tools},
        "resources": set(proposal.resources) != set(terms.approved_resources),
    }
    return frozenset(name for name, changed in differs.items() if changed)
