"""Sub-agents: agents of their own, for whom their parent speaks to the person server (#sub-agents)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..effects import Flow
from ..keys import SigningKey
from .chain import agent_credential
from .context import AgentContext
from .credentials import Credential, Credentials
from .errors import ChallengeUnmet

__all__ = ["SubAgentSource", "sub_agent"]


@dataclass(slots=True)
class SubAgentSource:
    """A sub-agent's tokens, obtained by its parent and bound to the sub-agent's own key."""

    parent: AgentContext
    discriminator: str
    key: SigningKey = field(repr=False)

    @property
    def dates_tokens(self) -> bool:
        return self.parent.source.dates_tokens

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        """Get a fresh token through the parent, whose own is refreshed first where it is due."""
        speaker = yield from agent_credential(self.parent)
        return (yield from self.parent.source.spawn(speaker, self.discriminator, self.key))

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        """Refused: delegation is one level deep (#single-level-depth)."""
        yield from ()
        raise ChallengeUnmet("A sub-agent cannot have sub-agents of its own: delegation is one level deep.")


def sub_agent(parent: AgentContext, discriminator: str) -> AgentContext:
    """The context of a sub-agent of `parent`, with a key and caches of its own."""
    return AgentContext(
        SubAgentSource(parent, discriminator, parent.generate_key()),
        clock=parent.clock,
        credentials=Credentials(),
        verification=parent.verification,
        preferences=parent.preferences,
        capabilities=parent.capabilities,
        poll=parent.poll,
        max_round_trips=parent.max_round_trips,
        request_timeout_s=parent.request_timeout_s,
        max_body_bytes=parent.max_body_bytes,
        generate_key=parent.generate_key,
        parent=parent,
    )
