"""Who called: the rungs of the trust ladder, and what is known of a caller whose signature verified (#verification).

Values only. Holding a `Caller` above `Level.ANONYMOUS` means that its signature was verified; what it may do is the
role's decision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import msgspec

from ..httpsig import SignedRequest
from ..keys import PublicKey
from ..tokens import AgentToken, AuthToken, PersonToken
from ..tokens.jkt import JKTDelegation

__all__ = ["ANONYMOUS", "CacheOffer", "Caller", "CertifiedSigner", "Level", "SelfIssued", "SigningServer"]


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


@dataclass(frozen=True, slots=True)
class SelfIssued:
    """A JWT whose issuer signed the request with the same key (`self-jwt`; HTTP Signature Keys, Section 3.9)."""

    iss: str
    dwk: str
    typ: str
    exp: float
    jti: str | None
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CertifiedSigner:
    """The subject of a certificate that chains to a trusted root (`x509`; HTTP Signature Keys, Section 3.10)."""

    x5t: bytes
    """SHA-256 of the certificate."""
    subject: str
    """The distinguished name (RFC 4514)."""
    names: tuple[str, ...]
    """Subject alternative names: DNS names, URIs, mail and IP addresses. What a policy should go by."""
    not_after: float
    """When the first certificate of the chain expires, Unix seconds."""


@dataclass(frozen=True, slots=True)
class CacheOffer:
    """A cache identifier issued for the assertion of this request (HTTP Signature Keys, Section 6)."""

    label: str
    cid: str = field(repr=False)
    jti: str
    expires: int
    """When the assertion expires, Unix seconds."""


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
    jwks_url: str | None = None
    """The identity of a signer known by the URL of its key set (`jwks`), compared byte for byte."""
    self_issued: SelfIssued | None = None
    certificate: CertifiedSigner | None = None
    signed: SignedRequest | None = None
    cache_offer: CacheOffer | None = None
    """Goes into `Signature-Key-Cache` of the response, if the response is to the caller's liking."""

    @property
    def token(self) -> AgentToken | PersonToken | AuthToken | None:
        """The token in `Signature-Key`, whichever it is."""
        return self.auth_token or self.person_token or self.agent_token

    @property
    def presented(self) -> PersonToken | AuthToken | None:
        """The token a resource token can be issued against (#resource-token)."""
        return self.auth_token or self.person_token

    @property
    def signer(self) -> tuple[str, str] | None:
        """Who signed under `jwks`, `self-jwt` or `x509`: the scheme, and the URL, issuer or subject it identifies."""
        if self.jwks_url is not None:
            return "jwks", self.jwks_url
        if self.self_issued is not None:
            return "self-jwt", self.self_issued.iss
        return ("x509", self.certificate.subject) if self.certificate is not None else None

    @property
    def pseudonym(self) -> str | None:
        """The stable pseudonym: the durable key's thumbprint under `jkt-jwt`, else the signing key's."""
        if self.delegation is not None:
            return self.delegation.durable.thumbprint
        return self.key.thumbprint if self.key is not None else None


ANONYMOUS = Caller(Level.ANONYMOUS)
