"""What the schemes have at hand while they obtain a key: step 5 of #verification.

`SchemeSupport` is a deployment's own: what `x509`, `cached` and `self-jwt` cannot work without. `Verification` is one
request's. A scheme that a policy accepts and this side was given nothing for is not accepted after all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from ..effects import FindKey, FindKeyAt, Flow
from ..errors import InvalidSignature, UnsupportedScheme
from ..httpsig import SignaturePolicy, SignedRequest
from ..keys import PublicKey
from ..tokens import AgentToken, AuthToken, PersonToken, TokenCache, VerificationPolicy
from .assertions import AssertionCache
from .caller import Caller
from .certificates import TrustedRoots

__all__ = ["SchemeFlow", "SchemeSupport", "SelfIssuedPolicy", "TokenType", "Verification", "fitting_key", "missing"]

TokenType: TypeAlias = type[AgentToken] | type[PersonToken] | type[AuthToken]


@dataclass(frozen=True, slots=True)
class SelfIssuedPolicy:
    """Which JWTs are taken under `self-jwt` (HTTP Signature Keys, Section 3.9)."""

    types: frozenset[str]
    """Values of `typ`; without an expected one, a token made for another purpose would pass for this one."""
    audience: str | None = None
    """What `aud` must name; `None` to leave `aud` to whoever reads the claims."""


@dataclass(frozen=True, slots=True)
class SchemeSupport:
    """What some schemes need. Without its part, `x509`, `cached` or `self-jwt` is not accepted, whatever the policy."""

    certificates: TrustedRoots | None = None
    assertions: AssertionCache | None = None
    self_issued: SelfIssuedPolicy | None = None

    def schemes(self, accepted: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `accepted` that can be verified with what is here (`Accept-Signature-Scheme`)."""
        missing = {
            "x509": self.certificates is None,
            "cached": self.assertions is None,
            "self-jwt": self.self_issued is None,
        }
        return tuple(scheme for scheme in accepted if not missing.get(scheme, False))


class Verification(msgspec.Struct, frozen=True, gc=False):
    """One request's verification: the time, the policies and what may be asked of the schemes."""

    now: float
    signature: SignaturePolicy
    tokens: VerificationPolicy
    accepted: tuple[TokenType, ...]
    cache: TokenCache | None
    support: SchemeSupport


#: Step 5 for one scheme: from the `Signature-Key` member to the caller it names. The request's own signature is not
#: verified yet when it returns.
SchemeFlow: TypeAlias = Callable[[Any, SignedRequest, Verification], Flow[Caller]]


def missing(scheme: str, at: Verification) -> UnsupportedScheme:
    """The error for a scheme this side was given nothing to verify with."""
    accepted = at.support.schemes(at.signature.schemes)
    return UnsupportedScheme(f"This server accepts no {scheme}; it accepts {', '.join(accepted)}.", accepted=accepted)


def fitting_key(signed: SignedRequest, find: FindKey | FindKeyAt) -> Flow[PublicKey]:
    """The key `find` finds, looked up once more if it did not make the signature (#jwks-discovery)."""
    key: PublicKey = yield find
    try:
        signed.verify(key)
    except InvalidSignature:
        key = yield msgspec.structs.replace(find, changed_since_use=True)
    return key
