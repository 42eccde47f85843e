"""What other parties publish of themselves, for the consent page (#agent-provider-metadata, #resource-metadata).

A party that cannot be reached is shown by its identifier: looking it up never fails or holds up a request for long.
Everything found is cut to a length a page can show; rendering it safely is the pages' part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from ..effects import FindMetadata, Flow
from ..errors import AAuthError
from ..messages.metadata import AgentProviderMetadata, Metadata, ResourceMetadata, read_metadata
from .consent import IDENTITY_SCOPE_DESCRIPTIONS, ResourceFace, ScopeLine

__all__ = ["Faces", "FlowRunner"]

_T = TypeVar("_T")
_M = TypeVar("_M", bound=Metadata)
_LOOKUP_S = 4.0
_MAX_NAME_LENGTH = 120
_MAX_MARKDOWN_LENGTH = 4000
_MAX_SCOPE_DESCRIPTION_LENGTH = 1000


class FlowRunner(Protocol):
    """Carries out a flow: `transport.AsyncWire`."""

    async def run(self, flow: Flow[_T]) -> _T:
        """Run `flow` to its end."""


def _find(issuer: str, dwk: str) -> Flow[Mapping[str, Any]]:
    document: Mapping[str, Any] = yield FindMetadata(issuer, dwk)
    return document


class Faces:
    """Looks up providers and resources."""

    def __init__(self, wire: FlowRunner, *, dev: bool) -> None:
        self._wire, self._dev = wire, dev

    async def provider(self, issuer: str) -> AgentProviderMetadata | None:
        """The agent provider's metadata, or `None` when it cannot be had now."""
        return await self._metadata(AgentProviderMetadata, issuer)

    async def resource(self, issuer: str) -> ResourceMetadata | None:
        """The resource's metadata, or `None` when it cannot be had now or the resource publishes none."""
        return await self._metadata(ResourceMetadata, issuer)

    async def _metadata(self, cls: type[_M], issuer: str) -> _M | None:
        try:
            document = await asyncio.wait_for(self._wire.run(_find(issuer, cls.dwk)), _LOOKUP_S)
            return read_metadata(cls, document, issuer=issuer, dev=self._dev)
        except (AAuthError, TimeoutError):
            return None


def resource_face(issuer: str, metadata: ResourceMetadata | None, *, is_new: bool) -> ResourceFace:
    """A resource as the page shows it."""
    if metadata is None:
        return ResourceFace(issuer=issuer, is_new=is_new, reachable=False)
    return ResourceFace(
        issuer=issuer,
        name=short(metadata.name),
        description_markdown=cut(metadata.description, _MAX_MARKDOWN_LENGTH),
        logo=metadata.logo_uri,
        tos_uri=metadata.tos_uri,
        policy_uri=metadata.policy_uri,
        access_mode=short(metadata.access_mode),
        is_new=is_new,
    )


def scope_line(value: str, metadata: ResourceMetadata | None, *, already_granted: bool) -> ScopeLine:
    """A scope value as the page shows it. What an identity scope releases is said by this server, not the resource."""
    if value in IDENTITY_SCOPE_DESCRIPTIONS:
        return ScopeLine(value, IDENTITY_SCOPE_DESCRIPTIONS[value], already_granted, identity=True)
    described = ((metadata.scope_descriptions if metadata else None) or {}).get(value)
    return ScopeLine(value, cut(described, _MAX_SCOPE_DESCRIPTION_LENGTH), already_granted)


def short(text: str | None) -> str | None:
    """A name: one line, printable, short. `None` when nothing is left."""
    if text is None:
        return None
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * _MAX_NAME_LENGTH])
    return cut(" ".join(printable.split()), _MAX_NAME_LENGTH) or None


def cut(text: str | None, length: int) -> str | None:
    """At most `length` characters, the loss marked."""
    return text if text is None or len(text) <= length else text[: length - 1] + "…"
