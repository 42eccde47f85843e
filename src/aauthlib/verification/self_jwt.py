"""`self-jwt`: the JWT's issuer signs the request too, with the same key (HTTP Signature Keys, Section 3.9).

The numbered procedure of that section. The key comes through the issuer's metadata, with every rule of #jwks-discovery;
the JWT must not name another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import jws
from ..effects import FindKey, Flow
from ..errors import TokenInvalid
from ..httpsig import SelfJWT, SignedRequest
from ..keys import PublicKey
from ..tokens import profile
from .caller import Caller, Level, SelfIssued
from .support import SelfIssuedPolicy, Verification, missing

__all__ = ["by_self_jwt"]


def by_self_jwt(scheme: SelfJWT, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The issuer that presents itself."""
    policy = at.support.self_issued
    if policy is None:
        raise missing(scheme.scheme, at)
    # 1-3. Parse, typ, exp; iat where there is one.
    parsed = jws.parse(scheme.jwt)
    claims = parsed.payload
    typ = parsed.header.get("typ")
    if not isinstance(typ, str) or typ not in policy.types:
        raise TokenInvalid(f"A self-jwt of type {' or '.join(sorted(policy.types))} is expected here.")
    exp = profile.number(claims, "exp")
    iat = profile.number(claims, "iat") if "iat" in claims else 0
    profile.check_times(iat, exp, now=at.now, policy=at.tokens)
    # 4-5. iss, dwk and kid present, cnf absent.
    iss, dwk = profile.server(claims, "iss", at.tokens), profile.string(claims, "dwk")
    kid = parsed.header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise TokenInvalid("A self-jwt names its key by kid in the header.")
    if "cnf" in claims:
        raise TokenInvalid("A self-jwt has no cnf: its issuer's key signs the request.")
    _check_audience(claims, policy)
    # 6-7. The key, and the JWT's signature; silent re-keying is looked for once.
    key: PublicKey = yield FindKey(iss, dwk, kid)
    if not parsed.verify(key):
        key = yield FindKey(iss, dwk, kid, changed_since_use=True)
        if not parsed.verify(key):
            raise TokenInvalid("The self-jwt's signature does not verify under its issuer's key.")
    # 9. is the request's own signature, which the same key must verify.
    jti = profile.optional_string(claims, "jti")
    return Caller(Level.IDENTIFIED, key, self_issued=SelfIssued(iss, dwk, typ, exp, jti, claims), signed=signed)


def _check_audience(claims: Mapping[str, Any], policy: SelfIssuedPolicy) -> None:
    if policy.audience is None:
        return
    audience = claims.get("aud")
    if policy.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenInvalid("The self-jwt is meant for another audience.")
