"""`verify`: one signed request checked on plain values, for servers that want signatures and nothing else of AAuth.

The steps of #verification in one call. Where the key comes from is the caller's business: a `Resolver` turns the value
of `Signature-Key` into a key. Tokens, discovery and the trust ladder are in `aauthlib.verification`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import UnsupportedScheme
from ..http import Request
from ..keys import DEFAULT_ALGORITHMS, PublicKey
from .components import Covered, covers_digest
from .signature_key import HWK, SignatureKey
from .verifying import SignaturePolicy, SignedRequest, select

__all__ = ["INLINE", "Resolver", "Verified", "accept", "inline_key", "verify"]

#: Finds the key a `Signature-Key` value stands for. It raises an `AAuthError`, `UnknownKey` say, when there is none.
Resolver: TypeAlias = Callable[[SignatureKey], PublicKey]

#: Callers are the keys they show.
INLINE = SignaturePolicy(schemes=("hwk",))


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that verified: who signed what, and when."""

    signed: SignedRequest
    key: PublicKey
    """The key that signed. Its `thumbprint` names the caller."""

    @property
    def scheme(self) -> SignatureKey:
        """How the caller presented the key."""
        return self.signed.key

    @property
    def label(self) -> str:
        return self.signed.label

    @property
    def covered(self) -> tuple[Covered, ...]:
        """The covered components. Nothing else of the request is known to be the caller's."""
        return self.signed.covered

    @property
    def covers_body(self) -> bool:
        """Whether the body is the caller's, and was compared with its digest."""
        return covers_digest(self.covered)

    @property
    def created(self) -> int:
        """When the caller signed, in Unix seconds by its own clock."""
        return self.signed.created


def verify(request: Request, resolver: Resolver, policy: SignaturePolicy, now: float) -> Verified:
    """Verify one request as it arrived; `now` is Unix seconds.

    `resolver` is asked once, after every check that needs no key. Raises a `SignatureError`, to be answered with `401`
    and `Signature-Error` (`messages.problems.error_response`), and whatever `resolver` raises.
    """
    signed = select(request, policy, now=now)
    return accept(signed, resolver(signed.key), policy)


def accept(signed: SignedRequest, key: PublicKey, policy: SignaturePolicy) -> Verified:
    """The second half of `verify`, for whoever finds keys asynchronously: `select`, find the key, `accept`."""
    signed.check_key(key, policy)
    signed.verify(key)
    return Verified(signed, key)


def inline_key(value: SignatureKey, *, accepted: tuple[str, ...] = DEFAULT_ALGORITHMS) -> PublicKey:
    """The resolver for callers who are known by their key alone (`hwk`).

    Raises `UnsupportedScheme` for any other scheme, and what reading a JWK raises.
    """
    if not isinstance(value, HWK):
        raise UnsupportedScheme("This server knows callers by an inline key, scheme hwk.", accepted=("hwk",))
    return PublicKey.from_jwk(value.jwk, accepted=accepted)
