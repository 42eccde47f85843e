"""The JWT profile all AAuth tokens share (#common-claims, #common-verification).

`read` makes every check that needs no key, `typ` first; `verify` adds the issuer's signature and is the one way from
text to token. What the verifier compares with the request (`aud`, the signing key, `presented_jti`) stands in
`tokens.checks`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

import msgspec

from .. import jws
from ..effects import FindKey, Flow
from ..errors import (
    InvalidIdentifier,
    TokenExpired,
    TokenFromFuture,
    TokenInvalid,
    UnsupportedAlgorithm,
)
from ..identifiers import server_identifier
from ..keys import DEFAULT_ALGORITHMS, PublicKey, SigningKey

__all__ = [
    "MAX_LIFETIME_S",
    "Token",
    "TokenCache",
    "Unverified",
    "VerificationPolicy",
    "issue",
    "read",
    "verify",
]

#: The one-hour ceiling of person and auth tokens.
MAX_LIFETIME_S = 3600
_MAX_CLAIM_LENGTH = 4096
#: The last second of the year 9999: what comes later is no time, and overflows wherever times are kept or shown.
_MAX_NUMERIC_DATE = 253_402_300_799


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """How this side verifies tokens. One per server or agent."""

    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    """Accepted of issuers and in `cnf`."""
    dev: bool = False
    iat_window_s: int | None = 60
    """How far `iat` may lie ahead of our clock before the token is refused as `clock_skew`; `None` to not look."""


class Token(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """What every AAuth token carries. Holding an instance means its issuer's signature was verified.

    Two are equal when their text is.
    """

    typ: ClassVar[str]
    dwks: ClassVar[tuple[str, ...]]
    """Metadata documents its issuer may publish its keys through."""
    max_lifetime_s: ClassVar[int | None] = None

    raw: str
    """The compact JWT, for passing on."""
    kid: str
    iss: str
    dwk: str
    jti: str
    iat: float
    exp: float
    claims: Mapping[str, Any]
    """The whole payload, for claims this library does not interpret."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self.raw == other.raw

    def __ne__(self, other: object) -> bool:
        # A Struct brings its own, which without `eq` compares identities.
        return not self == other

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        # A repr ends up in logs, where neither the token nor what it says about a person belongs.
        return f"{type(self).__name__}(iss={self.iss!r}, jti={self.jti!r}, exp={self.exp!r})"

    @classmethod
    def parameters(cls, claims: Mapping[str, Any], policy: VerificationPolicy) -> dict[str, Any]:
        """Read the claims that only this type has; raise `TokenInvalid` for one that breaks its rule.

        `claims` hold what every token carries, checked already: `iss` is a server identifier.
        """
        raise TypeError(f"{cls.__name__} is not a token type of its own.")


T = TypeVar("T", bound=Token)


class Unverified(msgspec.Struct, frozen=True, gc=False):
    """A token whose issuer's signature was NOT verified yet. Use it to find the key, and for nothing else."""

    token: Token
    jws: jws.JWS


class TokenCache:
    """Tokens whose signature verified, by their text. Bounded; what is least recently used goes first.

    It saves the second and every later verification of the same token. `exp` is looked at on every use, and so is
    revocation, by whoever holds the revocations.
    """

    def __init__(self, max_entries: int = 10_000) -> None:
        self._entries: OrderedDict[str, Token] = OrderedDict()
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, text: str) -> Token | None:
        token = self._entries.get(text)
        if token is not None:
            self._entries.move_to_end(text)
        return token

    def put(self, token: Token) -> None:
        self._entries[token.raw] = token
        self._entries.move_to_end(token.raw)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def discard(self, text: str) -> None:
        self._entries.pop(text, None)


# --------------------------------------------------------------------------- reading claims


def string(claims: Mapping[str, Any], name: str) -> str:
    """A required, non-empty string claim, without a NUL: no claim needs one, and not every store can keep it."""
    value = claims.get(name)
    if not isinstance(value, str) or not value or len(value) > _MAX_CLAIM_LENGTH or "\0" in value:
        raise TokenInvalid(f"The token needs a non-empty string claim {name}.")
    return value


def optional_string(claims: Mapping[str, Any], name: str) -> str | None:
    """An optional string claim; present means non-empty."""
    return string(claims, name) if name in claims else None


def number(claims: Mapping[str, Any], name: str) -> float:
    """A required NumericDate (RFC 7519, Section 2)."""
    value = claims.get(name)
    # A comparison, not math.isfinite: JSON knows integers that no float holds.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MAX_NUMERIC_DATE:
        raise TokenInvalid(f"The token needs a numeric claim {name}.")
    return value


def server(claims: Mapping[str, Any], name: str, policy: VerificationPolicy) -> str:
    """A required server identifier (#server-identifiers)."""
    try:
        return server_identifier(string(claims, name), dev=policy.dev)
    except InvalidIdentifier as error:
        raise TokenInvalid(f"The token's {name} is not a server identifier: {error.detail}") from error


#: What a JWK must have by `kty`, or it is no key at all.
_STRUCTURE: Mapping[str, frozenset[str]] = {
    "OKP": frozenset(("crv", "x")),
    "EC": frozenset(("crv", "x", "y")),
    "RSA": frozenset(("n", "e")),
    "AKP": frozenset(("pub",)),
}
_NO_MEMBERS: frozenset[str] = frozenset()


def confirmation(claims: Mapping[str, Any], policy: VerificationPolicy) -> PublicKey:
    """The key in `cnf.jwk` (#request-context-binding).

    Raises `TokenInvalid` when it is absent or structurally incomplete, and `InvalidKey` or `UnsupportedAlgorithm` when
    it is complete and still cannot be used.
    """
    cnf = claims.get("cnf")
    jwk = cnf.get("jwk") if isinstance(cnf, dict) else None
    if not isinstance(jwk, dict):
        raise TokenInvalid("The token has no cnf.jwk, so it is bound to no key.")
    kty = jwk.get("kty")
    if not isinstance(kty, str) or not jwk.keys() >= _STRUCTURE.get(kty, _NO_MEMBERS):
        raise TokenInvalid("The token's cnf.jwk lacks kty or a member that its kty requires, so it is bound to no key.")
    return PublicKey.from_jwk(jwk, accepted=policy.algorithms)


def scope_values(claims: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The values of `scope`, or `None` when the claim is absent."""
    if "scope" not in claims:
        return None
    value = claims["scope"]
    if not isinstance(value, str) or len(value) > _MAX_CLAIM_LENGTH:
        raise TokenInvalid("The token's scope must be a string of space-separated values.")
    return tuple(dict.fromkeys(filter(None, value.split(" "))))


# --------------------------------------------------------------------------- verification


def read(text: str, *expected: type[Token], now: float, policy: VerificationPolicy) -> Unverified:
    """Every check of #common-verification that needs no key, in the order that costs least.

    `expected` are the types accepted here; `now` is Unix seconds. Raises `TokenInvalid`, `TokenExpired`,
    `TokenFromFuture`, `UnsupportedAlgorithm`, and `InvalidKey` for an unusable `cnf.jwk`.
    """
    parsed = jws.parse(text)
    # 1. typ, before anything else is read: it alone tells a person token from an auth token.
    typ = parsed.header.get("typ")
    for cls in expected:
        if cls.typ == typ:
            break
    else:
        raise TokenInvalid(f"A token of type {' or '.join(c.typ for c in expected)} is expected here.")
    # The issuer's key must have this very algorithm (`JWS.verify`), so what is not accepted need not be fetched.
    if parsed.header["alg"] not in policy.algorithms:
        raise UnsupportedAlgorithm(
            f"The token is signed with an algorithm other than {', '.join(policy.algorithms)}.",
            accepted=policy.algorithms,
        )
    claims = parsed.payload
    # 2. dwk names a document this type's issuers publish; kid selects the key there.
    dwk = string(claims, "dwk")
    if dwk not in cls.dwks:
        raise TokenInvalid(f"The token's dwk must be {' or '.join(cls.dwks)}.")
    kid = parsed.header.get("kid")
    if not isinstance(kid, str) or not kid or len(kid) > _MAX_CLAIM_LENGTH:
        raise TokenInvalid("The token's header needs a kid.")
    # 3. exp, judged by our own clock without tolerance; iat only against a clock that runs ahead.
    exp, iat = number(claims, "exp"), number(claims, "iat")
    check_times(iat, exp, now=now, policy=policy)
    if cls.max_lifetime_s is not None and exp - iat > cls.max_lifetime_s:
        raise TokenInvalid(f"The token's exp minus iat exceeds {cls.max_lifetime_s} seconds.")
    # 4. iss is a valid server identifier; then what only this type has.
    iss = server(claims, "iss", policy)
    token = cls(
        raw=text,
        kid=kid,
        iss=iss,
        dwk=dwk,
        jti=string(claims, "jti"),
        iat=iat,
        exp=exp,
        claims=claims,
        **cls.parameters(claims, policy),
    )
    return Unverified(token, parsed)


def check_times(iat: float, exp: float, *, now: float, policy: VerificationPolicy) -> None:
    """`exp` without tolerance, `iat` only against the future (#common-verification)."""
    if exp <= now:
        raise TokenExpired("The token has expired; obtain a fresh one.")
    if policy.iat_window_s is not None and iat > now + policy.iat_window_s:
        raise TokenFromFuture("The token was issued in the future of this side's clock.")


def verify(
    text: str,
    *expected: type[T],
    now: float,
    policy: VerificationPolicy,
    cache: TokenCache | None = None,
) -> Flow[T]:
    """Verify a token per #common-verification: yields `FindKey` at most twice, returns the token.

    Nothing is fetched for a token that would be refused anyway. Raises what `read` raises, and what finding the key
    raises (`UnknownKey`, `IssuerMissing`, `IssuerMismatch`, `UnsupportedAlgorithm`, `InvalidKey`).
    """
    if cache is not None and (known := cache.get(text)) is not None and type(known) in expected:
        check_times(known.iat, known.exp, now=now, policy=policy)
        return cast("T", known)
    unverified = read(text, *expected, now=now, policy=policy)
    token = unverified.token
    key: PublicKey = yield FindKey(token.iss, token.dwk, token.kid)
    if not unverified.jws.verify(key):
        # Silent re-keying under the same kid: look once more, as far as the floor allows (#jwks-discovery).
        key = yield FindKey(token.iss, token.dwk, token.kid, changed_since_use=True)
        if not unverified.jws.verify(key):
            raise TokenInvalid("The token's signature does not verify under its issuer's key.")
    if cache is not None:
        cache.put(token)
    return cast("T", token)


def issue(
    cls: type[Token],
    key: SigningKey,
    *,
    iss: str,
    dwk: str,
    jti: str,
    now: float,
    exp: float,
    claims: Mapping[str, Any],
) -> str:
    """Sign a token of type `cls`. Times are Unix seconds and are written as whole seconds; `exp` is rounded down.

    `claims` cannot replace what every token carries, whatever policy put into them.

    Raises `TokenInvalid` when the result would break the type's own lifetime rule: an issuer that computed a wrong
    bound must not sign it.
    """
    iat, expiry = int(now), int(exp)
    if expiry <= iat or (cls.max_lifetime_s is not None and expiry - iat > cls.max_lifetime_s):
        raise TokenInvalid(f"A {cls.typ} cannot live for {expiry - iat} seconds.")
    # `iss` first for whoever reads the token, and again last, so that it wins.
    own = {"iss": iss, "dwk": dwk, "jti": jti, "iat": iat, "exp": expiry}
    payload = {**own, **claims, **own}
    return jws.sign({"typ": cls.typ, "kid": key.kid}, {k: v for k, v in payload.items() if v is not None}, key)
