"""Keys: public and private JWKs with a fully-specified `alg`, thumbprints, JWK sets.

HTTP Signature Keys, Section 3.3 (Algorithm Determination) and #signature-algorithms: the key alone determines the
algorithm. `alg` must be present and fully specified, and `kty` and `crv` must agree with it. How each one works is a
row in `algorithms`; which ones a party accepts is its policy's business.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature as _BadSignature

from .algorithms import ALGORITHMS, PRIVATE_MEMBERS, Algorithm
from .base64url import b64url_encode
from .ed25519 import use_backend as use_ed25519_backend
from .errors import InvalidKey, UnknownKey, UnsupportedAlgorithm

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHMS",
    "JWKS",
    "Algorithm",
    "PublicKey",
    "SigningKey",
    "thumbprint",
    "use_ed25519_backend",
]

_MAX_KEYS_IN_SET = 100

#: What every party accepts unless told otherwise: the one that MUST and the one that SHOULD (#signature-algorithms).
DEFAULT_ALGORITHMS: tuple[str, ...] = ("Ed25519", "ES256")


def _algorithm(jwk: Mapping[str, Any], accepted: Iterable[str]) -> Algorithm:
    """Algorithm Determination (HTTP Signature Keys, Section 3.3)."""
    accepted = tuple(accepted)
    alg = jwk.get("alg")
    if not isinstance(alg, str) or alg not in accepted or alg not in ALGORITHMS:
        shown = alg if isinstance(alg, str) and re.fullmatch(r"[A-Za-z0-9-]{1,32}", alg) else None
        raise UnsupportedAlgorithm(
            f"The key's alg is {shown or 'missing or malformed'}; this side accepts {', '.join(accepted)}.",
            accepted=accepted,
        )
    algorithm = ALGORITHMS[alg]
    if jwk.get("kty") != algorithm.kty or jwk.get("crv", algorithm.crv) != algorithm.crv:
        raise InvalidKey(f"The key's kty or crv disagrees with its alg {alg}.")
    if "crv" not in jwk and algorithm.crv is not None:
        raise InvalidKey("The key has no crv member.")
    return algorithm


#: What RFC 7638 hashes, by `kty`, in its order.
_THUMBPRINT_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "AKP": ("alg", "kty", "pub"),  # RFC 9964
    "OKP": ("crv", "kty", "x"),
    "EC": ("crv", "kty", "x", "y"),
    "RSA": ("e", "kty", "n"),
}
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


def thumbprint(jwk: Mapping[str, Any], hash_name: str = "sha256") -> str:
    """JWK Thumbprint (RFC 7638), base64url without padding."""
    kty = jwk.get("kty")
    required = _THUMBPRINT_MEMBERS.get(kty) if isinstance(kty, str) else None
    values = [jwk.get(member) for member in required or ()]
    if required is None or not all(isinstance(value, str) for value in values):
        raise InvalidKey("A thumbprint needs a complete OKP, EC, RSA or AKP key.")
    # Every value is base64url or a registered name, so no JSON escaping can occur.
    members = ",".join(f'"{member}":"{value}"' for member, value in zip(required, values, strict=True))
    return b64url_encode(_HASHES[hash_name](f"{{{members}}}".encode()).digest())


@lru_cache(maxsize=4096)  # one request may ask for it several times, and a verification alone never does
def _thumbprint_of(members: tuple[tuple[str, str], ...]) -> str:
    return thumbprint(dict(members))


class PublicKey(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A public key one can verify with. Two keys are equal when their thumbprints and algorithms are."""

    alg: str
    jwk: Mapping[str, str]
    """`kty`, `crv`, the public members and `alg`; nothing else, whatever the source carried."""
    kid: str | None = None
    _handle: Any = None

    @property
    def thumbprint(self) -> str:
        """RFC 7638, SHA-256."""
        return _thumbprint_of(tuple(self.jwk.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.jwk == other.jwk

    def __ne__(self, other: object) -> bool:
        # A Struct brings its own, which without `eq` compares identities.
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(self.jwk.items()))

    def __repr__(self) -> str:
        return f"PublicKey(alg={self.alg!r}, thumbprint={self.thumbprint!r}, kid={self.kid!r})"

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any], *, accepted: Iterable[str] = DEFAULT_ALGORITHMS) -> PublicKey:
        """Read a JWK.

        Raises `UnsupportedAlgorithm` when `alg` is absent, polymorphic, symmetric or not in `accepted`, `InvalidKey`
        when its members are missing, malformed or disagree. Members it does not know are dropped (RFC 7517,
        Section 4); a private key is refused, since whoever sends one has lost it.
        """
        if not isinstance(jwk, (dict, Mapping)):  # the first spares the second, which is slow
            raise InvalidKey("A JWK is a JSON object.")
        if not PRIVATE_MEMBERS.isdisjoint(jwk):
            raise InvalidKey("The key contains private members.")
        return cls._load(jwk, accepted)

    @classmethod
    def _load(cls, jwk: Mapping[str, Any], accepted: Iterable[str]) -> PublicKey:
        algorithm = _algorithm(jwk, accepted)
        handle = algorithm.load_public(jwk)
        public = {"kty": algorithm.kty}
        if algorithm.crv:
            public["crv"] = algorithm.crv
        for member in algorithm.members:
            public[member] = jwk[member]
        public["alg"] = algorithm.name
        kid = jwk.get("kid")
        return cls(algorithm.name, public, kid if isinstance(kid, str) else None, handle)

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether this key signed `data`."""
        try:
            ALGORITHMS[self.alg].verify(self._handle, signature, data)
        except _BadSignature:
            return False
        return True

    def to_jwk(self, *, kid: str | None = None) -> dict[str, str]:
        """The public JWK, with `kid` when given or known."""
        kid = kid or self.kid
        return {**self.jwk, **({"kid": kid} if kid else {})}


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A private key. Its `repr` shows only the thumbprint."""

    public: PublicKey
    _handle: Any = field(compare=False)

    @property
    def alg(self) -> str:
        return self.public.alg

    @property
    def kid(self) -> str:
        """The `kid` it is published under: the one it was loaded with, else its thumbprint."""
        return self.public.kid or self.public.thumbprint

    @property
    def thumbprint(self) -> str:
        return self.public.thumbprint

    def __repr__(self) -> str:
        return f"SigningKey(alg={self.alg!r}, thumbprint={self.thumbprint!r})"

    @classmethod
    def generate(cls, alg: str = "Ed25519", *, kid: str | None = None) -> SigningKey:
        """Make a new key pair from the operating system's randomness."""
        if alg not in ALGORITHMS:
            raise UnsupportedAlgorithm(f"Keys can be made for {', '.join(ALGORITHMS)}.", accepted=ALGORITHMS)
        algorithm = ALGORITHMS[alg]
        return cls._of(algorithm, algorithm.generate(), kid)

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> SigningKey:
        """Read a private JWK. Raises as `PublicKey.from_jwk` does, and `InvalidKey` when public and private differ."""
        algorithm = _algorithm(jwk, ALGORITHMS)
        kid = jwk.get("kid")
        key = cls._of(algorithm, algorithm.load_private(jwk), kid if isinstance(kid, str) else None)
        if any(jwk.get(member) != key.public.jwk[member] for member in algorithm.members):
            raise InvalidKey("The private key does not belong to the public members beside it.")
        return key

    @classmethod
    def _of(cls, algorithm: Algorithm, handle: Any, kid: str | None) -> SigningKey:
        members = algorithm.dump_private(handle)
        jwk = {
            "kty": algorithm.kty,
            **({"crv": algorithm.crv} if algorithm.crv else {}),
            **{member: members[member] for member in algorithm.members},
            "alg": algorithm.name,
            **({"kid": kid} if kid else {}),
        }
        return cls(PublicKey.from_jwk(jwk, accepted=ALGORITHMS), handle)

    def sign(self, data: bytes) -> bytes:
        """Sign `data`; for ECDSA the result is `r || s` (RFC 7518, Section 3.4)."""
        return ALGORITHMS[self.alg].sign(self._handle, data)

    def to_private_jwk(self) -> dict[str, str]:
        """The private JWK, to be kept in a file of mode 0600 or a keychain. Never log it, never send it."""
        return {**self.public.to_jwk(kid=self.kid), **ALGORITHMS[self.alg].dump_private(self._handle)}


@dataclass(frozen=True, slots=True)
class JWKS:
    """A JSON Web Key Set as fetched. Members this side cannot use are no reason to fail (#jwks-discovery)."""

    members: tuple[Mapping[str, Any], ...]

    @classmethod
    def parse(cls, document: object) -> JWKS:
        """Read a JWKS document; raise `InvalidKey` when it is not an object with an array `keys`.

        Only the first hundred members are kept, so that no issuer makes us hold more.
        """
        keys = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(keys, list):
            raise InvalidKey("A JWKS is a JSON object with a keys array.")
        return cls(tuple(key for key in keys[:_MAX_KEYS_IN_SET] if isinstance(key, dict)))

    @classmethod
    def of(cls, *keys: PublicKey | SigningKey) -> JWKS:
        """A set to publish. Every key gets its `kid`."""
        publics = [key.public if isinstance(key, SigningKey) else key for key in keys]
        return cls(tuple(key.to_jwk(kid=key.kid or key.thumbprint) for key in publics))

    def find(self, kid: str, *, accepted: Iterable[str] = DEFAULT_ALGORITHMS) -> PublicKey:
        """The key `kid` selects, and only that one is looked at.

        Raises `UnknownKey` when there is none, `UnsupportedAlgorithm` or `InvalidKey` when it cannot be used.
        """
        for member in self.members:
            if member.get("kid") == kid:
                return PublicKey.from_jwk(member, accepted=accepted)
        raise UnknownKey("The issuer publishes no key with this kid.")

    def to_document(self) -> dict[str, Any]:
        """The JSON document to serve at `jwks_uri`."""
        return {"keys": [dict(member) for member in self.members]}
