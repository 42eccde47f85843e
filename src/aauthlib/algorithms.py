"""The signature algorithms: how each one's keys are read and written as JWKs, and how it signs and verifies.

One row of `ALGORITHMS` per fully-specified `alg` (#signature-algorithms; RFC 7518, Section 3; RFC 9864; RFC 9964 for
ML-DSA). Every number has exactly one spelling here, since a key with two would have two thumbprints. Which algorithms
a party accepts is in `keys` and in its policies; nothing here knows a token or a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature as _BadSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from .base64url import b64url_decode, b64url_encode
from .ed25519 import VerifyingKey, load_public
from .ed25519 import verify as verify_ed25519
from .errors import InvalidKey

__all__ = ["ALGORITHMS", "PRIVATE_MEMBERS", "Algorithm"]

_MAX_MEMBER_LENGTH = 4096

#: Members by which a JWK is private, whatever its `kty`: whoever sends one has lost the key.
PRIVATE_MEMBERS = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "priv"))


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How one fully-specified JOSE algorithm reads, writes, signs and verifies."""

    name: str
    kty: str
    crv: str | None
    members: tuple[str, ...]
    """Public members beside `kty` and `crv`, all of them required (RFC 7638 hashes exactly these)."""
    load_public: Callable[[Mapping[str, Any]], Any]
    load_private: Callable[[Mapping[str, Any]], Any]
    dump_private: Callable[[Any], dict[str, str]]
    generate: Callable[[], Any]
    sign: Callable[[Any, bytes], bytes]
    verify: Callable[[Any, bytes, bytes], None]
    """Raises `cryptography.exceptions.InvalidSignature`."""


def _bytes(jwk: Mapping[str, Any], member: str) -> bytes:
    value = jwk.get(member)
    if not isinstance(value, str) or len(value) > _MAX_MEMBER_LENGTH:
        raise InvalidKey(f"The key's {member} member must be an unpadded base64url string.")
    try:
        return b64url_decode(value)
    except ValueError as error:
        raise InvalidKey(f"The key's {member} member is not canonical, unpadded base64url.") from error


def _octets(jwk: Mapping[str, Any], member: str, length: int) -> bytes:
    octets = _bytes(jwk, member)
    if len(octets) != length:
        raise InvalidKey(f"The key's {member} member must hold {length} bytes.")
    return octets


# --------------------------------------------------------------------------- Ed25519, Ed448 (RFC 8037)


def _ed25519_public(jwk: Mapping[str, Any]) -> VerifyingKey:
    return load_public(_octets(jwk, "x", 32))


def _ed25519_private(jwk: Mapping[str, Any]) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(_octets(jwk, "d", 32))


def _okp_members(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> dict[str, str]:
    return {"x": b64url_encode(key.public_key().public_bytes_raw()), "d": b64url_encode(key.private_bytes_raw())}


_P448 = 2**448 - 2**224 - 1


def _ed448_public(jwk: Mapping[str, Any]) -> ed448.Ed448PublicKey:
    octets = _octets(jwk, "x", 57)
    y = int.from_bytes(octets[:56], "little")
    if y >= _P448 or octets[56] & 0x7F:
        raise InvalidKey("The key is not the canonical encoding of a point (RFC 8032, Section 5.2.3).")
    if y in (0, 1, _P448 - 1):  # the four points of small order, under which anyone could sign
        raise InvalidKey("The key is a point of small order: anyone could sign under it.")
    return ed448.Ed448PublicKey.from_public_bytes(octets)


def _ed448_private(jwk: Mapping[str, Any]) -> ed448.Ed448PrivateKey:
    return ed448.Ed448PrivateKey.from_private_bytes(_octets(jwk, "d", 57))


# --------------------------------------------------------------------------- ECDSA (RFC 7518, Section 3.4)


def _ecdsa(name: str, crv: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> Algorithm:
    """One curve with its own hash. Coordinates and halves of a signature have the length of the field."""
    size = (curve.key_size + 7) // 8
    scheme = ec.ECDSA(digest)

    def load_public(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
        x, y = _octets(jwk, "x", size), _octets(jwk, "y", size)
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)
        except ValueError as error:
            raise InvalidKey(f"The key's x and y are not a point on {crv}.") from error

    def load_private(jwk: Mapping[str, Any]) -> ec.EllipticCurvePrivateKey:
        try:
            return ec.derive_private_key(int.from_bytes(_octets(jwk, "d", size), "big"), curve)
        except ValueError as error:
            raise InvalidKey(f"The private key is out of range for {crv}.") from error

    def dump_private(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
        private = key.private_numbers()
        numbers = {"x": private.public_numbers.x, "y": private.public_numbers.y, "d": private.private_value}
        return {member: b64url_encode(number.to_bytes(size, "big")) for member, number in numbers.items()}

    def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, scheme))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verify(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * size:
            raise _BadSignature
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(r, s), data, scheme)

    return Algorithm(
        name=name,
        kty="EC",
        crv=crv,
        members=("x", "y"),
        load_public=load_public,
        load_private=load_private,
        dump_private=dump_private,
        generate=lambda: ec.generate_private_key(curve),
        sign=sign,
        verify=verify,
    )


# --------------------------------------------------------------------------- RSA (RFC 7518, Sections 3.3, 3.5 and 6.3)

_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192
_GENERATED_RSA_BITS = 3072
_MIN_RSA_EXPONENT, _MAX_RSA_EXPONENT = 65537, 2**32
_RSA_PRIVATE = ("d", "p", "q", "dp", "dq", "qi")


def _number(jwk: Mapping[str, Any], member: str) -> int:
    octets = _bytes(jwk, member)
    if not octets or octets[0] == 0:
        raise InvalidKey(f"The key's {member} member must be a number without leading zeros.")
    return int.from_bytes(octets, "big")


def _rsa_numbers(jwk: Mapping[str, Any]) -> rsa.RSAPublicNumbers:
    e, n = _number(jwk, "e"), _number(jwk, "n")
    # The upper bounds limit what a verification can cost.
    if not _MIN_RSA_BITS <= n.bit_length() <= _MAX_RSA_BITS or n % 2 == 0:
        raise InvalidKey(f"An RSA key has an odd modulus of {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits.")
    if not _MIN_RSA_EXPONENT <= e < _MAX_RSA_EXPONENT or e % 2 == 0:
        raise InvalidKey("An RSA key has an odd public exponent of 65537 or more, in at most 4 bytes.")
    return rsa.RSAPublicNumbers(e, n)


def _rsa_public(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    try:
        return _rsa_numbers(jwk).public_key()
    except ValueError as error:
        raise InvalidKey("The key's n and e are not an RSA key.") from error


def _rsa_private(jwk: Mapping[str, Any]) -> rsa.RSAPrivateKey:
    if "oth" in jwk:
        raise InvalidKey("An RSA key with more than two primes is not supported.")
    d, p, q, dp, dq, qi = (_number(jwk, member) for member in _RSA_PRIVATE)
    try:
        return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, _rsa_numbers(jwk)).private_key()
    except ValueError as error:
        raise InvalidKey("The members of the private RSA key do not belong together.") from error


def _rsa_members(key: rsa.RSAPrivateKey) -> dict[str, str]:
    private = key.private_numbers()
    values = (private.d, private.p, private.q, private.dmp1, private.dmq1, private.iqmp)
    numbers = {
        "e": private.public_numbers.e,
        "n": private.public_numbers.n,
        **dict(zip(_RSA_PRIVATE, values, strict=True)),
    }
    return {
        member: b64url_encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        for member, number in numbers.items()
    }


def _rsa(name: str, scheme: padding.AsymmetricPadding, digest: hashes.HashAlgorithm) -> Algorithm:
    return Algorithm(
        name=name,
        kty="RSA",
        crv=None,
        members=("e", "n"),
        load_public=_rsa_public,
        load_private=_rsa_private,
        dump_private=_rsa_members,
        generate=lambda: rsa.generate_private_key(_MIN_RSA_EXPONENT, _GENERATED_RSA_BITS),
        sign=lambda key, data: key.sign(data, scheme, digest),
        verify=lambda key, signature, data: key.verify(signature, data, scheme, digest),
    )


def _rsa_family() -> Iterator[Algorithm]:
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        bits = digest.digest_size * 8
        # The salt has the length of the hash, and any other is refused (RFC 7518, Section 3.5).
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        yield _rsa(f"PS{bits}", pss, digest)
        yield _rsa(f"RS{bits}", padding.PKCS1v15(), digest)


# --------------------------------------------------------------------------- ML-DSA (RFC 9964)


def _mldsa(name: str, private: Any, public: Any, public_length: int) -> Algorithm:
    """One parameter set: `pub` is the public key and `priv` the 32-byte seed; the context is empty."""

    def load_public(jwk: Mapping[str, Any]) -> Any:
        try:
            return public.from_public_bytes(_octets(jwk, "pub", public_length))
        except ValueError as error:
            raise InvalidKey(f"The key's pub is not a public key of {name}.") from error

    def dump_private(key: Any) -> dict[str, str]:
        return {
            "pub": b64url_encode(key.public_key().public_bytes_raw()),
            "priv": b64url_encode(key.private_bytes_raw()),
        }

    return Algorithm(
        name=name,
        kty="AKP",
        crv=None,
        members=("pub",),
        load_public=load_public,
        load_private=lambda jwk: private.from_seed_bytes(_octets(jwk, "priv", 32)),
        dump_private=dump_private,
        generate=private.generate,
        sign=lambda key, data: bytes(key.sign(data)),
        verify=lambda key, signature, data: key.verify(signature, data),
    )


def _mldsa_family() -> Iterator[Algorithm]:
    """The rows of ML-DSA, none where this `cryptography` or the OpenSSL under it does not know them."""
    try:
        from cryptography.hazmat.backends.openssl import backend
        from cryptography.hazmat.primitives.asymmetric import mldsa

        if not backend.mldsa_supported():
            return
    except (ImportError, AttributeError):  # `cryptography` before 48
        return
    yield _mldsa("ML-DSA-44", mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey, 1312)
    yield _mldsa("ML-DSA-65", mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey, 1952)
    yield _mldsa("ML-DSA-87", mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey, 2592)


ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            name="Ed25519",
            kty="OKP",
            crv="Ed25519",
            members=("x",),
            load_public=_ed25519_public,
            load_private=_ed25519_private,
            dump_private=_okp_members,
            generate=ed25519.Ed25519PrivateKey.generate,
            sign=lambda key, data: key.sign(data),
            verify=verify_ed25519,
        ),
        _ecdsa("ES256", "P-256", ec.SECP256R1(), hashes.SHA256()),
        _ecdsa("ES384", "P-384", ec.SECP384R1(), hashes.SHA384()),
        _ecdsa("ES512", "P-521", ec.SECP521R1(), hashes.SHA512()),
        Algorithm(
            name="Ed448",
            kty="OKP",
            crv="Ed448",
            members=("x",),
            load_public=_ed448_public,
            load_private=_ed448_private,
            dump_private=_okp_members,
            generate=ed448.Ed448PrivateKey.generate,
            sign=lambda key, data: key.sign(data),
            verify=lambda key, signature, data: key.verify(signature, data),
        ),
        *_rsa_family(),
        *_mldsa_family(),
    )
}
