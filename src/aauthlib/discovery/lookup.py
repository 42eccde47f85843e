"""What a driver needs of a directory, whichever it is (#jwks-discovery)."""

from __future__ import annotations

from typing import Any, Protocol

from ..effects import FindKey, FindMetadata, Flow
from ..keys import PublicKey

__all__ = ["Lookup"]


class Lookup(Protocol):
    """Answers `FindKey` and `FindMetadata`: `Directory`, `StaticDirectory`, or a deployment's own."""

    def lock_key(self, effect: FindKey | FindMetadata) -> str:
        """Lookups with equal keys must not run at the same time."""
        ...

    def cached(self, effect: FindKey | FindMetadata) -> PublicKey | dict[str, Any] | None:
        """The answer when it is at hand, else `None`."""
        ...

    def find_key(self, effect: FindKey) -> Flow[PublicKey]:
        """The flow that finds a key."""
        ...

    def find_metadata(self, effect: FindMetadata) -> Flow[dict[str, Any]]:
        """The flow that finds a metadata document."""
        ...
