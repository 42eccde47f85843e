"""The `AAuth-Requirement` header (#requirement-responses): what a request needs before it can be served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import AAuthError
from ..fields import FieldError, Token, parse_dictionary, serialize

__all__ = [
    "AGENT_TOKEN",
    "APPROVAL",
    "AUTH_TOKEN",
    "CLAIMS",
    "CLARIFICATION",
    "INTERACTION",
    "PERSON_TOKEN",
    "PSEUDONYM",
    "Requirement",
    "RequirementMalformed",
]

# #requirement-values
AGENT_TOKEN = "agent-token"
PERSON_TOKEN = "person-token"
AUTH_TOKEN = "auth-token"
INTERACTION = "interaction"
APPROVAL = "approval"
CLARIFICATION = "clarification"
CLAIMS = "claims"
#: The lowest rung of the trust ladder, beside the spec's own `Accept-Signature-Scheme` (see ARCHITECTURE.md).
PSEUDONYM = "pseudonym"


class RequirementMalformed(AAuthError):
    """A response's `AAuth-Requirement` cannot be read, so what it asks cannot be done."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A requirement and its parameters. Unknown values and parameters are kept; acting on them is not possible."""

    value: str
    resource_token: str | None = field(default=None, repr=False)
    url: str | None = None
    code: str | None = field(default=None, repr=False)
    other: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, header: str) -> Requirement:
        """Read the header. Raises `RequirementMalformed` when there is no `requirement` token in it."""
        try:
            members = parse_dictionary(header)
        except FieldError as error:
            raise RequirementMalformed("AAuth-Requirement is not a well-formed dictionary.") from error
        value, parameters = members.get("requirement", (None, {}))
        if not isinstance(value, Token):
            raise RequirementMalformed("AAuth-Requirement has no requirement token.")
        known = {
            name: parameters[name] if isinstance(parameters.get(name), str) else None
            for name in ("resource-token", "url", "code")
        }
        other = {name: parameter for name, parameter in parameters.items() if name not in known}
        return cls(str(value), known["resource-token"], known["url"], known["code"], other)

    def serialize(self) -> str:
        """The header value."""
        parameters: dict[str, Any] = {}
        if self.resource_token is not None:
            parameters["resource-token"] = self.resource_token
        if self.url is not None:
            parameters["url"] = self.url
        if self.code is not None:
            parameters["code"] = self.code
        return serialize({"requirement": (Token(self.value), {**parameters, **self.other})})
