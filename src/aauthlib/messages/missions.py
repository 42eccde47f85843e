"""What agents and person servers say about missions (#missions, #permission-endpoint, #audit-endpoint).

The mission blob is bytes: `s256` is the digest of exactly those, and whoever holds them can check it
(#mission-identifier). Nothing here re-encodes a blob.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..base64url import b64url_encode
from ..errors import InvalidRequest

__all__ = [
    "MAX_AUDIT_BYTES",
    "MAX_MARKDOWN",
    "AuditRequest",
    "MissionBlob",
    "MissionProposal",
    "MissionRequest",
    "PermissionRequest",
    "Tool",
    "check_s256",
    "mission_blob",
    "read_blob",
    "s256_of",
]

#: Characters of a Markdown text that a person has to agree to: as many as a page shows, so that nothing is cut unseen.
MAX_MARKDOWN = 4_000
MAX_TOOLS = 40
MAX_RESOURCES = 20
_MAX_NAME = 128
_MAX_TOOL_DESCRIPTION = 300
#: The largest body that the audit endpoint takes, in bytes.
MAX_AUDIT_BYTES = 32_768
_MAX_PARAMETERS_BYTES = 16_384
_S256 = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
#: What no page shows and a reader that is no person reads all the same: controls, direction overrides and isolates,
#: tags, and more than one variation selector in a row. What words and emoji are written with is none of it.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2060-\u206f\ufff9-\ufffb\U000e0000-\U000e00ff]"
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}"
)


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool of the agent's (#mission-approval)."""

    name: str
    description: str = ""


class MissionProposal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#mission-creation. `capabilities` says, as at the token endpoints, whether the agent can send the person to a
    page; where it is absent nothing is known."""

    description: str
    tools: tuple[Tool, ...] = ()
    resources: tuple[str, ...] = ()
    capabilities: list[str] | None = None

    def check(self, identifier: Callable[[str], str]) -> None:
        """The rules a type cannot say; `identifier` checks a resource's. Raises `InvalidRequest`."""
        check_markdown(self.description, "description")
        if len(self.tools) > MAX_TOOLS or len(self.resources) > MAX_RESOURCES:
            raise InvalidRequest(f"A mission lists at most {MAX_TOOLS} tools and {MAX_RESOURCES} resources.")
        for tool in self.tools:
            check_name(tool.name, "The name of a tool")
            if len(tool.description) > _MAX_TOOL_DESCRIPTION or not _is_text(tool.description):
                raise InvalidRequest(
                    f"A tool's description is at most {_MAX_TOOL_DESCRIPTION} characters of text that can be seen."
                )
        for resource in self.resources:
            identifier(resource)
        for what, values in (("tools", [tool.name for tool in self.tools]), ("resources", list(self.resources))):
            if len(set(values)) != len(values):
                raise InvalidRequest(f"{what} names one of them twice.")


class MissionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A POST to a mission's own URL (#mission-update, #mission-completion)."""

    action: str | None = None
    description: str | None = None
    summary: str | None = None
    capabilities: list[str] | None = None


class PermissionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#permission-request."""

    action: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    mission_s256: str | None = None
    capabilities: list[str] | None = None

    def check(self) -> None:
        """The rules a type cannot say. Raises `InvalidRequest`."""
        check_name(self.action, "action")
        if self.description is not None:
            check_markdown(self.description, "description")
        if self.parameters is not None and len(msgspec.json.encode(self.parameters)) > _MAX_PARAMETERS_BYTES:
            raise InvalidRequest(f"parameters are larger than the {_MAX_PARAMETERS_BYTES} bytes a page shows.")


class AuditRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """#audit-request."""

    mission_s256: str
    action: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    result: dict[str, Any] | None = None

    def check(self) -> None:
        """The rules a type cannot say. Raises `InvalidRequest`."""
        check_name(self.action, "action")
        if self.description is not None:
            check_markdown(self.description, "description")


class MissionBlob(msgspec.Struct, frozen=True, kw_only=True):
    """The members of a mission blob that this document defines; others are ignored (#mission-approval)."""

    agent: str
    approved_at: datetime
    description: str
    expires_at: datetime | None = None
    approved_tools: tuple[Tool, ...] = ()
    approved_resources: tuple[str, ...] = ()


def check_s256(value: str) -> str:
    """A mission's identifier by its form: an unpadded base64url SHA-256 digest. Raises `InvalidRequest`."""
    if not _S256.match(value):
        raise InvalidRequest("A mission is named by the 43 characters of its s256.")
    return value


def check_markdown(text: str, what: str) -> str:
    """A Markdown text for a person, who sees all of it. Raises `InvalidRequest`."""
    if not text.strip() or len(text) > MAX_MARKDOWN or not _is_text(text):
        raise InvalidRequest(f"{what} is Markdown text of 1 to {MAX_MARKDOWN} characters that can be seen.")
    return text


def check_name(text: str, what: str) -> str:
    """A name that is compared and shown: what cannot be seen cannot be in it. Raises `InvalidRequest`."""
    if not 0 < len(text) <= _MAX_NAME or not text.isprintable() or text != text.strip():
        raise InvalidRequest(f"{what} is 1 to {_MAX_NAME} printable characters without space around them.")
    return text


def _is_text(text: str) -> bool:
    return _SURROGATE.search(text) is None and _HIDDEN.search(text) is None


def s256_of(content: bytes) -> str:
    """The unpadded base64url SHA-256 digest of exactly these bytes (#mission-identifier)."""
    return b64url_encode(hashlib.sha256(content).digest())


def mission_blob(
    *,
    agent: str,
    approved_at: float,
    description: str,
    expires_at: float | None = None,
    tools: Sequence[Tool] = (),
    resources: Sequence[str] = (),
) -> bytes:
    """The bytes of a new mission blob, to be kept and never made again (#mission-approval). Times are Unix seconds."""
    document: dict[str, Any] = {"agent": agent, "approved_at": _iso(approved_at)}
    if expires_at is not None:
        document["expires_at"] = _iso(expires_at)
    document["description"] = description
    if tools:
        document["approved_tools"] = [{"name": tool.name, "description": tool.description} for tool in tools]
    if resources:
        document["approved_resources"] = list(resources)
    return msgspec.json.encode(document)


def read_blob(blob: bytes) -> MissionBlob:
    """What a mission blob says. Raises `InvalidRequest` when it is none."""
    try:
        read = msgspec.json.decode(blob, type=MissionBlob)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("The mission is not the JSON object that a mission blob is.") from error
    if read.approved_at.tzinfo is None or (read.expires_at is not None and read.expires_at.tzinfo is None):
        raise InvalidRequest("The mission has a time without an offset from UTC.")
    return read


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
