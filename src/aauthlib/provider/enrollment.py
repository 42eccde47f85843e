"""What a client sends to enrol, refresh and name a sub-agent, and who is admitted (#per-platform-enrollment-sketches).

Bodies as Structs with the rules a type cannot say, and the gate a provider may put before enrolment. Knows no store.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from ..errors import ConfigurationError, InvalidIdentifier, InvalidRequest
from ..identifiers import server_identifier
from ..keys import PublicKey
from ..store.provider_records import EnrollmentRefused

__all__ = ["EnrollmentGate", "EnrollmentRequest", "InvitationCodes", "RefreshRequest", "SubagentRequest", "checked_ps"]

_MAX_LABEL_LENGTH = 64
_MAX_INVITATION_LENGTH = 256


class EnrollmentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST to the `enrollment_endpoint`, signed under `hwk` by the durable key."""

    ps: str | None = None
    label: str | None = None
    invitation: str | None = None

    def check(self) -> None:
        """The rules a type cannot say. Raises `InvalidRequest`."""
        if self.label is not None and not (0 < len(self.label) <= _MAX_LABEL_LENGTH and self.label.isprintable()):
            raise InvalidRequest(f"label must be 1 to {_MAX_LABEL_LENGTH} printable characters.")
        if self.invitation is not None and len(self.invitation) > _MAX_INVITATION_LENGTH:
            raise InvalidRequest(f"invitation must be at most {_MAX_INVITATION_LENGTH} characters.")


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST to the `refresh_endpoint`, signed under `jkt-jwt` or `hwk`."""

    ps: str | None = None


class SubagentRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST to the `subagent_endpoint`, signed under `jwt` by the parent."""

    discriminator: str
    jwk: dict[str, Any]


class EnrollmentGate(Protocol):
    """Decides who may enrol: an invitation, an account, a platform attestation (#optional-attestation)."""

    async def admit(self, request: EnrollmentRequest, key: PublicKey) -> None:
        """Return to admit `key`; raise `EnrollmentRefused`, saying what is needed, to refuse it."""
        ...


class InvitationCodes:
    """Admits whoever names one of a set of codes. Only digests are kept, and every one of them is compared."""

    def __init__(self, codes: Iterable[str]) -> None:
        self._digests = [_digest(code) for code in codes]
        if not self._digests or _digest("") in self._digests:
            raise ConfigurationError("An invitation gate needs at least one invitation code, and no empty one.")

    async def admit(self, request: EnrollmentRequest, key: PublicKey) -> None:
        given = _digest(request.invitation or "")
        matches = [hmac.compare_digest(given, digest) for digest in self._digests]
        if not any(matches):
            raise EnrollmentRefused("This agent provider enrols by invitation; the code is missing or not recognised.")


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).digest()


def checked_ps(ps: str | None, *, allowed: frozenset[str] | None, dev: bool) -> str | None:
    """A person server named in a request. `allowed` is the provider's list; `None` allows every one.

    Raises `InvalidRequest`.
    """
    if ps is None:
        return None
    try:
        server_identifier(ps, dev=dev)
    except InvalidIdentifier as error:
        raise InvalidRequest(f"ps is not a server identifier. {error.detail}") from error
    if allowed is not None and ps not in allowed:
        raise InvalidRequest("ps names a person server that this agent provider does not work with.")
    return ps
