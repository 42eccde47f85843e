"""Person tokens (#person-tokens): a PS identifies the person to one resource, and authorises nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..errors import TokenInvalid
from ..keys import PublicKey, SigningKey
from . import profile
from .profile import MAX_LIFETIME_S, Token, VerificationPolicy

__all__ = ["PERSON_DWK", "PersonToken", "issue_person_token"]

PERSON_DWK = "aauth-person.json"


class PersonToken(Token, frozen=True, kw_only=True, eq=False, gc=False):
    """A verified person token. It is never an auth token (#person-token-not-authorization)."""

    typ: ClassVar[str] = "aa-person+jwt"
    dwks: ClassVar[tuple[str, ...]] = (PERSON_DWK,)
    max_lifetime_s: ClassVar[int | None] = MAX_LIFETIME_S

    cnf: PublicKey
    aud: str
    """The resource it identifies the person to."""
    sub: str
    """Directed identifier, unique within `iss`. Opaque."""
    mission_s256: str | None = None
    tenant: str | None = None

    @property
    def person_server(self) -> str:
        """The PS whose namespace `sub` belongs to."""
        return self.iss

    @classmethod
    def parameters(cls, claims: Mapping[str, Any], policy: VerificationPolicy) -> dict[str, Any]:
        """#person-token-structure."""
        if "scope" in claims or "account" in claims:
            raise TokenInvalid("A person token must not contain scope or account.")
        return {
            "cnf": profile.confirmation(claims, policy),
            "aud": profile.server(claims, "aud", policy),
            "sub": profile.string(claims, "sub"),
            "mission_s256": profile.optional_string(claims, "mission_s256"),
            "tenant": profile.optional_string(claims, "tenant"),
        }


def issue_person_token(
    key: SigningKey,
    *,
    iss: str,
    aud: str,
    sub: str,
    cnf: PublicKey,
    jti: str,
    now: float,
    not_after: float,
    mission_s256: str | None = None,
    tenant: str | None = None,
) -> str:
    """Issue a person token (#person-token-structure).

    It lives one hour at most and never past `not_after`: the earliest `exp` of the agent token, the upstream token
    and the mission's `expires_at` (Unix seconds). Raises `TokenInvalid` when `not_after` has passed.
    """
    return profile.issue(
        PersonToken,
        key,
        iss=iss,
        dwk=PERSON_DWK,
        jti=jti,
        now=now,
        exp=min(int(now) + MAX_LIFETIME_S, not_after),
        claims={
            "aud": aud,
            "sub": sub,
            "cnf": {"jwk": cnf.to_jwk()},
            "mission_s256": mission_s256,
            "tenant": tenant,
        },
    )
