"""Resource tokens (#resource-token): a resource says what is asked, by which key, for which person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import InvalidIdentifier, TokenInvalid
from ..identifiers import https_url
from ..keys import SigningKey
from . import profile
from .auth import AuthToken
from .person import PersonToken
from .profile import Token, VerificationPolicy

__all__ = ["RESOURCE_DWK", "Interaction", "ResourceToken", "issue_resource_token"]

RESOURCE_DWK = "aauth-resource.json"

#: Resource tokens SHOULD NOT live longer than five minutes.
RECOMMENDED_LIFETIME_S = 300


@dataclass(frozen=True, slots=True)
class Interaction:
    """The resource's own user-facing flow, to be completed before the PS decides (#resource-initiated-interaction)."""

    url: str
    code: str


class ResourceToken(Token, frozen=True, kw_only=True, eq=False, gc=False):
    """A verified resource token. It carries no `cnf`; `agent_jkt` binds it to the agent's key."""

    typ: ClassVar[str] = "aa-resource+jwt"
    dwks: ClassVar[tuple[str, ...]] = (RESOURCE_DWK,)

    aud: str
    """Who redeems it: the PS (three-party) or the AS (four-party)."""
    ps: str
    sub: str
    presented_jti: str
    """The `jti` of the person or auth token the agent presented to the resource."""
    agent_jkt: str
    scope: tuple[str, ...] | None = None
    account: str | None = None
    login_hint: str | None = None
    mission_s256: str | None = None
    tenant: str | None = None
    interaction: Interaction | None = None

    @classmethod
    def parameters(cls, claims: Mapping[str, Any], policy: VerificationPolicy) -> dict[str, Any]:
        """#resource-token-structure."""
        return {
            "aud": profile.server(claims, "aud", policy),
            "ps": profile.server(claims, "ps", policy),
            "sub": profile.string(claims, "sub"),
            "presented_jti": profile.string(claims, "presented_jti"),
            "agent_jkt": profile.string(claims, "agent_jkt"),
            "scope": profile.scope_values(claims),
            "account": profile.optional_string(claims, "account"),
            "login_hint": profile.optional_string(claims, "login_hint"),
            "mission_s256": profile.optional_string(claims, "mission_s256"),
            "tenant": profile.optional_string(claims, "tenant"),
            "interaction": _interaction(claims, policy),
        }


def _interaction(claims: Mapping[str, Any], policy: VerificationPolicy) -> Interaction | None:
    if "interaction" not in claims:
        return None
    value = claims["interaction"]
    if not isinstance(value, dict):
        raise TokenInvalid("The resource token's interaction must be an object with url and code.")
    url, code = profile.string(value, "url"), profile.string(value, "code")
    try:
        return Interaction(https_url(url, dev=policy.dev, what="The interaction url"), code)
    except InvalidIdentifier as error:
        raise TokenInvalid(error.detail) from error


def issue_resource_token(
    key: SigningKey,
    *,
    iss: str,
    presented: PersonToken | AuthToken,
    jti: str,
    now: float,
    scope: Iterable[str] | None,
    access_server: str | None = None,
    account: str | None = None,
    login_hint: str | None = None,
    interaction: Interaction | None = None,
    lifetime_s: int = RECOMMENDED_LIFETIME_S,
) -> str:
    """Issue a resource token against the token the request carried (#resource-token-structure).

    `presented` is that verified token: `ps`, `sub`, `presented_jti`, `mission_s256`, `tenant` and the agent's key are
    copied from it, so a resource that has verified neither cannot call this. `access_server` is the resource's AS;
    without one, `aud` is the person's PS. Raises `TokenInvalid` for a lifetime over five minutes.
    """
    if lifetime_s > RECOMMENDED_LIFETIME_S:
        raise TokenInvalid("A resource token should not live longer than five minutes.")
    return profile.issue(
        ResourceToken,
        key,
        iss=iss,
        dwk=RESOURCE_DWK,
        jti=jti,
        now=now,
        exp=int(now) + lifetime_s,
        claims={
            "aud": access_server or presented.person_server,
            "ps": presented.person_server,
            "sub": presented.sub,
            "presented_jti": presented.jti,
            "agent_jkt": presented.cnf.thumbprint,
            "scope": None if scope is None else " ".join(scope),
            "account": account,
            "login_hint": login_hint,
            "mission_s256": presented.mission_s256,
            "tenant": presented.tenant,
            "interaction": {"url": interaction.url, "code": interaction.code} if interaction else None,
        },
    )
