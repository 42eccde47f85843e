"""JSON bodies of requests and responses, one Struct each.

`decode` is strict about types and lenient about unknown members; its failures are `invalid_request` and name the
member at fault.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from ..errors import InvalidRequest
from ..http import Request

__all__ = [
    "PLATFORMS",
    "AuthTokenRequest",
    "AuthTokenResponse",
    "AuthorizationRequest",
    "ClarificationAnswer",
    "FederatedTokenRequest",
    "PersonTokenRequest",
    "PersonTokenResponse",
    "RequestContext",
    "ResourceTokenResponse",
    "RevocationRequest",
    "decode",
    "decode_request",
]

MAX_TEXT_LENGTH = 16_384
MAX_DEVICE_LENGTH = 64

# #aauth-platform-value-registry
PLATFORMS = {
    "web": "Web application",
    "mobile": "Mobile application",
    "desktop": "Desktop application",
    "workload": "Server or scheduled job",
    "self-hosted": "Self-hosted by its user",
}


class RequestContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The optional parameters both token endpoints of a PS take (#ps-token-endpoint, #person-token-endpoint)."""

    capabilities: list[str] | None = None
    login_hint: str | None = None
    tenant: str | None = None
    domain_hint: str | None = None
    prompt: str | None = None
    justification: str | None = None
    platform: str | None = None
    device: str | None = None
    subagent_token: str | None = None
    upstream_token: str | None = None

    def check(self) -> None:
        """The rules a type cannot say. Raises `InvalidRequest`."""
        if self.device is not None and (len(self.device) > MAX_DEVICE_LENGTH or not self.device.isprintable()):
            raise InvalidRequest(f"device must be at most {MAX_DEVICE_LENGTH} printable characters.")
        for name in ("login_hint", "tenant", "domain_hint", "prompt", "justification", "platform"):
            value = getattr(self, name)
            if value is not None and (len(value) > MAX_TEXT_LENGTH or "\0" in value):
                raise InvalidRequest(f"{name} is longer than {MAX_TEXT_LENGTH} characters, or has a NUL in it.")
        if self.capabilities is not None and len(self.capabilities) > 32:
            raise InvalidRequest("capabilities lists more than 32 values.")


class PersonTokenRequest(RequestContext, frozen=True, kw_only=True, omit_defaults=True):
    """#person-token-endpoint."""

    resource: str
    mission_s256: str | None = None


class PersonTokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """#person-token-endpoint."""

    person_token: str
    expires_in: int


class AuthTokenRequest(RequestContext, frozen=True, kw_only=True, omit_defaults=True):
    """#auth-token-request."""

    resource_token: str
    presented_token: str


class FederatedTokenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#ps-to-as-token-request, from a person server to an access server."""

    resource_token: str
    agent_token: str
    presented_token: str
    subagent_token: str | None = None
    upstream_token: str | None = None


class AuthTokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """#ps-response."""

    auth_token: str
    expires_in: int


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#authorization-endpoint-request, at a resource."""

    scope: str
    account: str | None = None


class ResourceTokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    """#response-with-resource-token."""

    resource_token: str


class RevocationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """#revocation-request."""

    # Both are kept: what no token can have is no revocation of one, and would not fit where it is kept.
    jti: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern=r"\A[^\x00]*\Z")]
    exp: Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]


class ClarificationAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A POST to a pending URL (#agent-response-to-clarification)."""

    action: str
    clarification_response: str | None = None
    resource_token: str | None = None
    presented_token: str | None = None
    justification: str | None = None


B = TypeVar("B", bound=msgspec.Struct)


def decode(cls: type[B], body: bytes) -> B:
    """Decode a JSON body. Raises `InvalidRequest` naming the member at fault, never echoing its value."""
    try:
        value = msgspec.json.decode(body, type=cls)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The request body is not as expected: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The request body is not well-formed JSON.") from error
    if isinstance(value, RequestContext):
        value.check()
    return value


def decode_request(cls: type[B], request: Request) -> B:
    """Decode the JSON body of `request`, whose `Content-Type` must be `application/json`."""
    content_type = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise InvalidRequest("Send the request body as application/json.")
    return decode(cls, request.body)


def encode(value: Any) -> bytes:
    """The JSON body for a request or response."""
    return msgspec.json.encode(value)
