"""Who calls a resource: the signature, the token's audience, its issuer's standing, and revocation, in that order
(#verification, #person-token-verification, #auth-token-verification, #presenting-a-revoked-token).

One way in for every request a resource answers, protocol endpoints included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..effects import Clock, Flow
from ..errors import AccessDenied, RevokedJWT, TokenError, TokenInvalid, as_signature_error
from ..http import Request
from ..httpsig import ReplayCache, SignaturePolicy, refuse_replay
from ..tokens import (
    ACCESS_DWK,
    PERSON_DWK,
    AgentToken,
    AuthToken,
    PersonToken,
    TokenCache,
    VerificationPolicy,
)
from ..tokens.checks import check_token_at_resource
from ..verification import Caller, SchemeSupport, authenticate
from .challenges import revoked
from .storage import ResourceStore

__all__ = ["SCHEMES", "AsyncRunner", "CallerVerifier"]

#: Every scheme a resource accepts, in its order of preference.
SCHEMES = ("jwt", "hwk", "jkt-jwt", "jwks_uri")

_T = TypeVar("_T")


class AsyncRunner(Protocol):
    """Whatever carries flows out, such as `transport.AsyncWire`."""

    async def run(self, flow: Flow[_T]) -> _T:
        """Run `flow` to its end and return its result."""
        ...


@dataclass(frozen=True, slots=True)
class CallerVerifier:
    """Verifies callers for one resource."""

    issuer: str
    wire: AsyncRunner
    store: ResourceStore
    clock: Clock
    signature: SignaturePolicy
    tokens: VerificationPolicy
    cache: TokenCache
    access_server: str | None = None
    person_servers: frozenset[str] | None = None
    """Person servers whose persons are let in; `None` for any."""
    support: SchemeSupport = field(default_factory=SchemeSupport)
    """What the schemes beyond the AAuth profile need."""
    replay: ReplayCache | None = None
    """Where state-changing requests are remembered, so that none is served twice; `None` to serve them again."""

    async def verify(self, request: Request, *, signature: SignaturePolicy | None = None) -> Caller:
        """The verified caller of `request`; an unsigned one is anonymous.

        `signature` replaces the resource's own policy. Raises a `SignatureError`, or the `Challenge` for a revoked
        token. Only a token that can also be used here gets the caller its level.
        """
        flow = authenticate(
            request,
            now=self.clock(),
            signature=signature or self.signature,
            tokens=self.tokens,
            accepted=(AgentToken, PersonToken, AuthToken),
            cache=self.cache,
            support=self.support,
        )
        caller = await self.wire.run(flow)
        try:
            if caller.presented is not None:
                check_token_at_resource(caller.presented, resource=self.issuer)
                self._check_issuer(caller.presented)
        except TokenError as error:
            raise as_signature_error(error) from error
        token = caller.token
        if token is not None and await self.store.is_revoked(token.iss, token.jti):
            withdrawn = RevokedJWT("The token was revoked by its issuer.")
            raise revoked(withdrawn, person_token_helps=caller.auth_token is not None)
        if caller.signed is not None and caller.key is not None:
            window_s = (signature or self.signature).window_s
            await refuse_replay(self.replay, caller.signed, caller.key, now=self.clock(), window_s=window_s)
        return caller

    def _check_issuer(self, token: PersonToken | AuthToken) -> None:
        """That the issuer is one this resource takes such a token from.

        A valid signature says who issued an auth token, not that they may: with an access server its policy decides
        and a person server's own grant is none, without one no access server speaks for this resource.
        """
        if self.person_servers is not None and token.person_server not in self.person_servers:
            raise AccessDenied("This resource does not serve persons of that person server.")
        if not isinstance(token, AuthToken):
            return
        if self.access_server is not None and (token.dwk != ACCESS_DWK or token.iss != self.access_server):
            raise TokenInvalid("This resource accepts auth tokens of its access server only.")
        if self.access_server is None and token.dwk != PERSON_DWK:
            raise TokenInvalid("This resource has no access server; the person's own person server grants access.")
