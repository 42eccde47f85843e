"""Agent tokens (#agent-tokens): an agent provider binds an agent's key to its identifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..errors import InvalidIdentifier, TokenInvalid
from ..identifiers import AgentIdentifier
from ..keys import PublicKey, SigningKey
from . import profile
from .profile import Token, VerificationPolicy

__all__ = ["AGENT_DWK", "RECOMMENDED_LIFETIME_S", "AgentToken", "issue_agent_token"]

AGENT_DWK = "aauth-agent.json"

#: Agent tokens SHOULD NOT live longer than 24 hours.
RECOMMENDED_LIFETIME_S = 86_400


class AgentToken(Token, frozen=True, kw_only=True, eq=False, gc=False):
    """A verified agent token."""

    typ: ClassVar[str] = "aa-agent+jwt"
    dwks: ClassVar[tuple[str, ...]] = (AGENT_DWK,)

    cnf: PublicKey
    sub: str
    """The agent identifier, stable across key rotations."""
    ps: str | None = None
    """The agent's person server."""
    parent_agent: str | None = None
    """Set on a sub-agent's token: the agent that speaks for it (#sub-agents)."""

    @property
    def identity(self) -> tuple[str, str]:
        """What a PS recognises a returning agent by: `(iss, sub)`."""
        return (self.iss, self.sub)

    @classmethod
    def parameters(cls, claims: Mapping[str, Any], policy: VerificationPolicy) -> dict[str, Any]:
        """#agent-token-verification, steps 2 and 3; step 1 follows from verifying the request with `cnf`."""
        cnf = profile.confirmation(claims, policy)
        sub = profile.string(claims, "sub")
        parent = profile.optional_string(claims, "parent_agent")
        issuer = claims["iss"]  # a server identifier, as `profile.read` has found
        for name in (sub,) if parent is None else (sub, parent):
            try:
                agent = AgentIdentifier.parse(name, dev=policy.dev)
            except InvalidIdentifier as error:
                raise TokenInvalid(f"The agent token names an invalid agent: {error.detail}") from error
            if not agent.is_under(issuer):
                # Otherwise any provider could name another provider's agent, and a reader of logs would believe it. A
                # sub-agent has its parent's provider (#sub-agents).
                raise TokenInvalid("The agent token names an agent of another agent provider than its iss.")
        ps = profile.server(claims, "ps", policy) if "ps" in claims else None
        return {"cnf": cnf, "sub": sub, "ps": ps, "parent_agent": parent}


def issue_agent_token(
    key: SigningKey,
    *,
    iss: str,
    sub: str,
    cnf: PublicKey,
    jti: str,
    now: float,
    lifetime_s: int = 3600,
    ps: str | None = None,
    parent_agent: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Issue an agent token (#agent-token-structure).

    `key` signs for the agent provider `iss`; `cnf` is the agent's key; `lifetime_s` SHOULD NOT exceed 24 hours;
    `claims` are further ones that policy may read. Raises `TokenInvalid` for a lifetime over 24 hours.
    """
    if lifetime_s > RECOMMENDED_LIFETIME_S:
        raise TokenInvalid("An agent token should not live longer than 24 hours.")
    return profile.issue(
        AgentToken,
        key,
        iss=iss,
        dwk=AGENT_DWK,
        jti=jti,
        now=now,
        exp=int(now) + lifetime_s,
        claims={
            **(claims or {}),
            "sub": sub,
            "cnf": {"jwk": cnf.to_jwk()},
            "ps": ps,
            "parent_agent": parent_agent,
        },
    )
