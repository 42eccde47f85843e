"""What goes wrong between this side and a document or endpoint on the network (#jwks-discovery).

These have no wire form of their own: a verifier that cannot have an issuer's keys answers `unknown_key`. They stand
here, below `transport`, because discovery reacts to them; this module knows no HTTP library.
"""

from __future__ import annotations

from ..errors import AAuthError

__all__ = ["DocumentUnusable", "EgressRefused", "TransportError"]


class TransportError(AAuthError):
    """No usable answer came back: no connection, a timeout, an answer that is malformed or larger than allowed."""


class EgressRefused(TransportError):
    """Egress admission forbids the destination (HTTP Signature Keys, Section 7.3). Nothing was sent to it."""


class DocumentUnusable(TransportError):
    """An answer came, but it is no metadata document or key set that this side can use (#metadata-documents)."""
