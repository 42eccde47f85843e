"""What a policy decides on: the verified request, and what was learned since (#as-decision-logic).

Everything here was verified but where it says otherwise. `tenant` and `claims` are what the person server says: they
mean nothing without `person_server`, since any server can say anything of its own people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ConfigurationError

__all__ = ["Facts"]


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One token request as a policy sees it. JSON, so that it can be recorded and tried out again."""

    agent: str
    """The agent identifier; of a sub-agent's request, its parent."""
    provider: str
    """The agent provider."""
    person_server: str
    resource: str
    sub: str = ""
    """The person, in the person server's namespace for this resource."""
    scope: tuple[str, ...] = ()
    now: float = 0.0
    """Unix time in seconds."""
    sub_agent: str | None = None
    account: str | None = None
    tenant: str | None = None
    """Said by the person server."""
    mission_s256: str | None = None
    chained: bool = False
    """The agent is a resource that acts on an upstream token."""
    step_up: bool = False
    """The agent presented an auth token."""
    agent_claims: dict[str, Any] = {}
    """What the agent provider says of the agent beyond its identity: platform, attestation, posture."""
    trusted: bool = False
    """The person server is pre-established here, for this tenant."""
    claims: dict[str, Any] = {}
    """Said by the person server, when asked."""
    claims_asked: tuple[str, ...] = ()
    answers: dict[str, str] = {}
    """Question to answer; said by the agent, the person or the person server."""
    bound_user: str | None = None
    """The account here whose holder confirmed the person server."""
    paid: bool = False
    approved_by: str | None = None

    @classmethod
    def read(cls, document: object) -> Facts:
        """From a recorded request. Raises `ConfigurationError` for a member missing, unknown or of another type."""
        if not isinstance(document, Mapping):
            raise ConfigurationError("A recorded request is a JSON object.")
        unknown = sorted(set(map(str, document)) - set(cls.__struct_fields__))
        if unknown:
            raise ConfigurationError(f"A recorded request has no member {', '.join(unknown)}.")
        try:
            return msgspec.convert(dict(document), cls)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"The recorded request is not as expected: {error}.") from error

    def document(self) -> dict[str, Any]:
        """As JSON, members at their defaults left out."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built
