"""What a driver needs of a directory, whichever it is (#jwks-discovery)."""

from __future__ import annotations

from typing import Any, Protocol

from ..effects import Find, FindCertificates, FindKey, FindKeyAt, FindMetadata, Flow
from ..keys import PublicKey

__all__ = ["Lookup"]


class Lookup(Protocol):
    """Answers `effects.Find`: `Directory`, `StaticDirectory`, or a deployment's own."""

    def lock_key(self, effect: Find) -> str:
        """Lookups with equal keys must not run at the same time."""
        ...

    def cached(self, effect: Find) -> PublicKey | dict[str, Any] | bytes | None:
        """The answer when it is at hand, else `None`."""
        ...

    def find_key(self, effect: FindKey) -> Flow[PublicKey]:
        """The flow that finds a key."""
        ...

    def find_key_at(self, effect: FindKeyAt) -> Flow[PublicKey]:
        """The flow that finds a key in the key set at a URL."""
        ...

    def find_certificates(self, effect: FindCertificates) -> Flow[bytes]:
        """The flow that finds a PEM document."""
        ...

    def find_metadata(self, effect: FindMetadata) -> Flow[dict[str, Any]]:
        """The flow that finds a metadata document."""
        ...
