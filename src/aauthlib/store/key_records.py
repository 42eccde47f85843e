"""A server's signing keys as values: what signs, what is published (#jwks-discovery). Knows no SQL.

A retired key stays published for longer than any token it signed can live and any cache can lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..keys import JWKS, SigningKey

__all__ = ["RETIRED_KEY_PUBLISHED_S", "StoredSigningKey", "key_set"]

RETIRED_KEY_PUBLISHED_S = 90 * 86_400.0
_MOST_PUBLISHED = 50


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A private JWK as stored, and since when it signs no more."""

    jwk: Mapping[str, str] = field(repr=False)
    created_at: float
    retired_at: float | None = None


def key_set(stored: Sequence[StoredSigningKey], *, now: float) -> tuple[SigningKey, JWKS]:
    """What signs, the first of `stored`, and what is published."""
    published = [
        SigningKey.from_jwk(key.jwk).public
        for key in stored
        if key.retired_at is None or key.retired_at > now - RETIRED_KEY_PUBLISHED_S
    ]
    return SigningKey.from_jwk(stored[0].jwk), JWKS.of(*published[:_MOST_PUBLISHED])
