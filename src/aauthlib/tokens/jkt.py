"""`jkt-jwt`: a durable key names an ephemeral one (HTTP Signature Keys, Section 3.5).

Not an AAuth token: it is issued by a key, not a server. Only an agent provider's refresh and pseudonymous callers use
it (#keying-material).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .. import jws
from ..errors import TokenInvalid
from ..keys import PublicKey, SigningKey, thumbprint
from . import profile
from .profile import VerificationPolicy

__all__ = ["JKTDelegation", "issue_jkt_jwt", "verify_jkt_jwt"]

#: typ to (hash, prefix of iss).
_TYPES: Mapping[str, tuple[str, str]] = {
    "jkt-s256+jwt": ("sha256", "urn:jkt:sha-256:"),
    "jkt-s512+jwt": ("sha512", "urn:jkt:sha-512:"),
}


@dataclass(frozen=True, slots=True)
class JKTDelegation:
    """A verified delegation."""

    durable: PublicKey
    ephemeral: PublicKey
    iss: str
    """`urn:jkt:<hash>:<thumbprint>` of the durable key: the stable pseudonym."""
    exp: float
    jti: str | None


def verify_jkt_jwt(text: str, *, now: float, policy: VerificationPolicy) -> JKTDelegation:
    """The numbered verification procedure of Section 3.5; needs no fetch, since the JWT carries its key.

    Raises `TokenInvalid`, `TokenExpired`, `TokenFromFuture`, `InvalidKey` or `UnsupportedAlgorithm`.
    """
    # 1-3. Parse, check typ, take hash and prefix from it.
    parsed = jws.parse(text)
    kind = _TYPES.get(str(parsed.header.get("typ")))
    if kind is None:
        raise TokenInvalid(f"A jkt-jwt has the typ {' or '.join(_TYPES)}.")
    hash_name, prefix = kind
    claims = parsed.payload
    iat, exp = profile.number(claims, "iat"), profile.number(claims, "exp")
    profile.check_times(iat, exp, now=now, policy=policy)
    # 4-7. The header's jwk, its thumbprint, and iss by string equality.
    jwk = parsed.header.get("jwk")
    if not isinstance(jwk, dict):
        raise TokenInvalid("A jkt-jwt carries its signing key in the jwk header.")
    durable = PublicKey.from_jwk(jwk, accepted=policy.algorithms)
    if claims.get("iss") != prefix + thumbprint(durable.jwk, hash_name):
        raise TokenInvalid("The jkt-jwt's iss is not the thumbprint of the key that signed it.")
    # 8. The signature; 10. the delegated key.
    ephemeral = profile.confirmation(claims, policy)
    if not parsed.verify(durable):
        raise TokenInvalid("The jkt-jwt's signature does not verify.")
    return JKTDelegation(durable, ephemeral, str(claims["iss"]), exp, profile.optional_string(claims, "jti"))


def issue_jkt_jwt(
    durable: SigningKey, ephemeral: PublicKey, *, jti: str, now: float, lifetime_s: int = 300, typ: str = "jkt-s256+jwt"
) -> str:
    """Delegate from `durable` to `ephemeral` for `lifetime_s` seconds."""
    hash_name, prefix = _TYPES[typ]
    payload: dict[str, Any] = {
        "iss": prefix + thumbprint(durable.public.jwk, hash_name),
        "iat": int(now),
        "exp": int(now) + lifetime_s,
        "jti": jti,
        "cnf": {"jwk": ephemeral.to_jwk()},
    }
    return jws.sign({"typ": typ, "jwk": durable.public.to_jwk()}, payload, durable)
