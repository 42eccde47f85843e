"""What a token request at the access server asks, as verified facts (#ps-to-as-token-request).

It is what the store keeps of a request: enough to decide it again and to issue at delivery. It holds no token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..keys import PublicKey
from ..store.access_records import Ground

__all__ = ["Asked", "TokenRef"]


class TokenRef(msgspec.Struct, frozen=True):
    """A token by its name."""

    iss: str
    jti: str
    exp: float

    @property
    def ground(self) -> Ground:
        return Ground(self.iss, self.jti, self.exp)


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request for an auth token."""

    ps: str
    agent: str
    provider: str
    cnf: dict[str, str]
    """The key the token is bound to: the agent's or the sub-agent's."""
    resource: str
    sub: str
    scope: tuple[str, ...]
    not_after: float
    """The earliest `exp` of the tokens it hangs on, Unix seconds."""
    presented: TokenRef
    root: TokenRef
    """The person token the chain of step-ups began with; the presented token where there is none."""
    resource_token: TokenRef
    upstream: TokenRef | None = None
    sub_agent: str | None = None
    account: str | None = None
    tenant: str | None = None
    mission_s256: str | None = None
    step_up: bool = False
    agent_claims: dict[str, Any] = {}

    @property
    def grounds(self) -> tuple[Ground, ...]:
        """What an auth token for this hangs on, the presented token first."""
        references = (self.presented, self.root, self.resource_token, self.upstream)
        return tuple(reference.ground for reference in references if reference is not None)

    @property
    def key(self) -> PublicKey:
        return PublicKey.from_jwk(self.cnf)

    def to_request(self) -> dict[str, Any]:
        """The JSON to keep."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Asked:
        """Read what `to_request` made."""
        return msgspec.convert(dict(request), cls)
