"""Who is calling: #verification whole, from the three headers to a `Caller` on the trust ladder.

One flow for every server role. It yields `FindKey` when an issuer's key is needed and nothing else; drivers in
`transport` answer. Revocation is asked for last, by the role that holds the revocations.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from .effects import FindKey, Flow
from .errors import (
    InvalidIdentifier,
    InvalidKey,
    InvalidSignature,
    TokenError,
    UnknownKey,
    UnsupportedAlgorithm,
    as_signature_error,
)
from .http import Request
from .httpsig import HWK, JKTJWT, JWKSURI, JWT, SignaturePolicy, SignedRequest, is_signed, select
from .identifiers import server_identifier
from .keys import PublicKey
from .tokens import (
    ACCESS_DWK,
    AGENT_DWK,
    PERSON_DWK,
    RESOURCE_DWK,
    AgentToken,
    AuthToken,
    PersonToken,
    TokenCache,
    VerificationPolicy,
    verify,
    verify_jkt_jwt,
)
from .tokens.jkt import JKTDelegation

__all__ = ["Caller", "Level", "SigningServer", "authenticate"]

SERVER_DWKS = (AGENT_DWK, RESOURCE_DWK, PERSON_DWK, ACCESS_DWK)


class Level(IntEnum):
    """The trust ladder. A higher credential always satisfies a lower level."""

    ANONYMOUS = 0
    PSEUDONYM = 1
    IDENTIFIED = 2
    PERSON = 3
    AUTHORIZED = 4


@dataclass(frozen=True, slots=True)
class SigningServer:
    """A server that signed in its own right (`jwks_uri`): `id` is the `iss` of every token it mints."""

    id: str
    dwk: str


class Caller(msgspec.Struct, frozen=True, gc=False):
    """A caller whose signature verified, or an anonymous one."""

    level: Level
    key: PublicKey | None = None
    """The key that signed the request."""
    agent_token: AgentToken | None = None
    person_token: PersonToken | None = None
    auth_token: AuthToken | None = None
    server: SigningServer | None = None
    delegation: JKTDelegation | None = None
    signed: SignedRequest | None = None

    @property
    def token(self) -> AgentToken | PersonToken | AuthToken | None:
        """The token in `Signature-Key`, whichever it is."""
        return self.auth_token or self.person_token or self.agent_token

    @property
    def presented(self) -> PersonToken | AuthToken | None:
        """The token a resource token can be issued against (#resource-token)."""
        return self.auth_token or self.person_token

    @property
    def pseudonym(self) -> str | None:
        """The stable pseudonym: the durable key's thumbprint under `jkt-jwt`, else the signing key's."""
        if self.delegation is not None:
            return self.delegation.durable.thumbprint
        return self.key.thumbprint if self.key is not None else None


ANONYMOUS = Caller(Level.ANONYMOUS)

_TokenType = type[AgentToken] | type[PersonToken] | type[AuthToken]


def authenticate(
    request: Request,
    *,
    now: float,
    signature: SignaturePolicy,
    tokens: VerificationPolicy,
    accepted: tuple[_TokenType, ...],
    cache: TokenCache | None = None,
) -> Flow[Caller]:
    """Verify the signature of `request` and say who made it.

    `accepted` are the token types this endpoint takes under the `jwt` scheme. An unsigned request is an anonymous
    caller; whether that is enough is the endpoint's decision. Raises a `SignatureError`, always to be answered with
    `401` and `Signature-Error`.

    A token's `aud` is NOT compared here, since what it must be depends on the role.
    """
    if not is_signed(request):
        return ANONYMOUS
    # Steps 1 to 4, which need no key.
    signed = select(request, signature, now=now)
    try:
        # Step 5: the key, according to the scheme. Step 6, its algorithm, is part of reading it.
        match signed.key:
            case JWT(jwt=text):
                token = yield from verify(text, *accepted, now=now, policy=tokens, cache=cache)
                caller = _caller_with(token, signed)
                key = token.cnf
            case HWK(jwk=jwk):
                key = PublicKey.from_jwk(jwk, accepted=signature.algorithms)
                caller = Caller(Level.PSEUDONYM, key, signed=signed)
            case JKTJWT(jwt=text):
                delegation = verify_jkt_jwt(text, now=now, policy=tokens)
                key = delegation.ephemeral
                caller = Caller(Level.PSEUDONYM, key, delegation=delegation, signed=signed)
            case JWKSURI(id=issuer, dwk=dwk, kid=kid):
                key = yield from _server_key(issuer, dwk, kid, signed, dev=tokens.dev)
                caller = Caller(Level.IDENTIFIED, key, server=SigningServer(issuer, dwk), signed=signed)
    except TokenError as error:
        raise as_signature_error(error) from error
    # One policy for every scheme: a token's or an issuer's key is accepted for exactly what the server says it accepts.
    if key.alg not in signature.algorithms:
        raise UnsupportedAlgorithm(
            f"The key's alg is {key.alg}; this side accepts {', '.join(signature.algorithms)}.",
            accepted=signature.algorithms,
        )
    if signed.keyid is not None and signed.keyid not in {key.kid, key.thumbprint}:
        raise InvalidSignature("keyid and Signature-Key name different keys.")
    # Step 7.
    signed.verify(key)
    return caller


def _caller_with(token: AgentToken | PersonToken | AuthToken, signed: SignedRequest) -> Caller:
    if isinstance(token, AuthToken):
        return Caller(Level.AUTHORIZED, token.cnf, auth_token=token, signed=signed)
    if isinstance(token, PersonToken):
        return Caller(Level.PERSON, token.cnf, person_token=token, signed=signed)
    return Caller(Level.IDENTIFIED, token.cnf, agent_token=token, signed=signed)


def _server_key(issuer: str, dwk: str, kid: str, signed: SignedRequest, *, dev: bool) -> Flow[PublicKey]:
    """The key of a server signing in its own right (#keying-material), looked up again if it does not fit."""
    try:
        server_identifier(issuer, dev=dev)
    except InvalidIdentifier as error:
        raise InvalidKey(f"The Signature-Key id is not a server identifier: {error.detail}") from error
    if dwk not in SERVER_DWKS:
        raise UnknownKey("The Signature-Key dwk is not one of the AAuth metadata documents.")
    key: PublicKey = yield FindKey(issuer, dwk, kid)
    try:
        signed.verify(key)
    except InvalidSignature:
        key = yield FindKey(issuer, dwk, kid, changed_since_use=True)
    return key
