"""Auth tokens (#auth-tokens): a PS or an AS grants an agent access to one resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..errors import TokenInvalid
from ..keys import PublicKey, SigningKey
from . import profile
from .person import PERSON_DWK
from .profile import MAX_LIFETIME_S, Token, VerificationPolicy

__all__ = ["ACCESS_DWK", "AuthToken", "issue_auth_token"]

ACCESS_DWK = "aauth-access.json"


class AuthToken(Token, frozen=True, kw_only=True, eq=False, gc=False):
    """A verified auth token."""

    typ: ClassVar[str] = "aa-auth+jwt"
    dwks: ClassVar[tuple[str, ...]] = (ACCESS_DWK, PERSON_DWK)
    max_lifetime_s: ClassVar[int | None] = MAX_LIFETIME_S

    cnf: PublicKey
    aud: str
    ps: str
    sub: str
    scope: tuple[str, ...] | None = None
    account: str | None = None
    mission_s256: str | None = None
    tenant: str | None = None

    @property
    def person_server(self) -> str:
        """The PS whose namespace `sub` belongs to."""
        return self.ps

    @classmethod
    def parameters(cls, claims: Mapping[str, Any], policy: VerificationPolicy) -> dict[str, Any]:
        """#auth-token-structure."""
        iss, ps = claims["iss"], profile.server(claims, "ps", policy)
        if claims.get("dwk") == PERSON_DWK and ps != iss:
            raise TokenInvalid("An auth token issued by a PS must name that PS in its ps claim.")
        return {
            "cnf": profile.confirmation(claims, policy),
            "aud": profile.server(claims, "aud", policy),
            "ps": ps,
            "sub": profile.string(claims, "sub"),
            "scope": profile.scope_values(claims),
            "account": profile.optional_string(claims, "account"),
            "mission_s256": profile.optional_string(claims, "mission_s256"),
            "tenant": profile.optional_string(claims, "tenant"),
        }


def issue_auth_token(
    key: SigningKey,
    *,
    iss: str,
    dwk: str,
    ps: str,
    aud: str,
    sub: str,
    cnf: PublicKey,
    jti: str,
    now: float,
    not_after: float,
    scope: Iterable[str] | None,
    account: str | None = None,
    mission_s256: str | None = None,
    tenant: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """Issue an auth token (#auth-token-structure).

    It lives one hour at most and never past `not_after`: the earliest `exp` of the agent token, the presented token,
    the upstream token and the mission (Unix seconds). `claims` are identity claims for granted identity scopes; they
    cannot replace the token's own. Raises `TokenInvalid` when `not_after` has passed.
    """
    return profile.issue(
        AuthToken,
        key,
        iss=iss,
        dwk=dwk,
        jti=jti,
        now=now,
        exp=min(int(now) + MAX_LIFETIME_S, not_after),
        claims={
            **{name: value for name, value in (claims or {}).items() if name not in _OWN},
            "ps": ps,
            "aud": aud,
            "sub": sub,
            "cnf": {"jwk": cnf.to_jwk()},
            "scope": None if scope is None else " ".join(scope),
            "account": account,
            "mission_s256": mission_s256,
            "tenant": tenant,
        },
    )


_OWN = frozenset({"iss", "dwk", "jti", "iat", "exp", "cnf", "ps", "aud", "sub", "scope", "account", "mission_s256"})
