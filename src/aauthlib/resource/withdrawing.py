"""A resource withdraws a resource token it issued (#who-revokes-what, #revocation-cascade).

Whoever would redeem it is told: the server in its `aud` and, where that is an access server, the person server too.
"""

from __future__ import annotations

from ..deferred.revoking import revoke_at
from ..effects import Clock
from ..errors import TokenExpired, TokenInvalid
from ..http import Request
from ..httpsig import JWKSURI, sign
from ..keys import SigningKey
from ..messages.metadata import AccessServerMetadata, PersonServerMetadata
from ..tokens import RESOURCE_DWK, ResourceToken, VerificationPolicy
from ..tokens.profile import read
from .callers import AsyncRunner

__all__ = ["withdraw"]

_REQUEST_S = 10.0


async def withdraw(
    text: str, *, issuer: str, key: SigningKey, wire: AsyncRunner, clock: Clock, dev: bool
) -> dict[str, str]:
    """Withdraw the resource token `text`, which `issuer` signed with `key` or one before it.

    Returns how telling each server ended (`deferred.revoking`): nothing for a token that has expired, which nobody
    takes any more. Raises `TokenInvalid` for another resource's token.
    """
    try:
        token = read(text, ResourceToken, now=clock(), policy=VerificationPolicy(dev=dev)).token
    except TokenExpired:
        return {}
    assert isinstance(token, ResourceToken)
    if token.iss != issuer:
        raise TokenInvalid("Only the resource that issued a resource token can withdraw it.")

    def signed(request: Request) -> Request:
        return sign(request, key, JWKSURI(issuer, RESOURCE_DWK, key.kid), created=int(clock()))

    outcomes = {}
    for recipient in dict.fromkeys((token.aud, token.ps)):
        role = PersonServerMetadata if recipient == token.ps else AccessServerMetadata
        told = await wire.run(
            revoke_at(
                recipient,
                role,
                jti=token.jti,
                exp=token.exp,
                sign=signed,
                clock=clock,
                dev=dev,
                timeout_s=_REQUEST_S,
            )
        )
        outcomes[recipient] = told.outcome
    return outcomes
