"""Ed25519 (RFC 8032) verification: `cryptography`, or libsodium through PyNaCl where speed counts.

Libraries agree on every honest signature and differ on points of small order and on keys written in two ways. Both are
refused here beforehand, so that the choice of library decides how fast a signature is verified and never whether.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .errors import InvalidKey

__all__ = ["Backend", "VerifyingKey", "load_public", "use_backend", "verify"]

Backend: TypeAlias = Literal["cryptography", "pynacl"]

_SIGNATURE_LENGTH = 64
_FIELD_PRIME = 2**255 - 19
_WITHOUT_SIGN = 2**255 - 1

# The points of small order in their encodings, and the non-canonical spellings of them. A "signature" under such a
# key can be made by anybody, so a token or pseudonym bound to one proves nothing; as the R of a signature no signer
# makes one, and libraries differ on it.
_SMALL_ORDER = frozenset(
    bytes.fromhex(point)
    for point in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)

# A signature of b"hello" whose R has a component of small order. It satisfies the equation of RFC 8032, Section 5.1.7
# only when multiplied by 8, which `cryptography` does not do; a library that does would accept what others refuse.
_COFACTORED_KEY = bytes.fromhex("7767a3242dc9b58bbc68488c1265cc6cc5f26c6f3c88a5d55e901b0734dca572")
_COFACTORED_SIGNATURE = bytes.fromhex(
    "8ea6b58beb2ecc0801fbd6c82c6dafee292cd29e8b6698bbb94c566b594d8ba9"
    "5fd4b44970e8a2e26092ec7e5f672c53758b77c443a37cbc0ee2d76aa8ed7005"
)


class VerifyingKey(Protocol):
    """A loaded public key."""

    def verify(self, signature: bytes, data: bytes, /) -> None:
        """Raises `cryptography.exceptions.InvalidSignature`."""
        ...


_load: Callable[[bytes], VerifyingKey] = Ed25519PublicKey.from_public_bytes


def load_public(octets: bytes) -> VerifyingKey:
    """The public key of 32 bytes. Raises `InvalidKey` for a point of small order and a non-canonical encoding."""
    if octets in _SMALL_ORDER:
        raise InvalidKey("The key is a point of small order: anyone could sign under it.")
    if octets[-1] & 0x7F == 0x7F and int.from_bytes(octets, "little") & _WITHOUT_SIGN >= _FIELD_PRIME:
        raise InvalidKey("The key is not the canonical encoding of a point (RFC 8032, Section 5.1.3).")
    return _load(octets)


def verify(key: VerifyingKey, signature: bytes, data: bytes) -> None:
    """Raises `cryptography.exceptions.InvalidSignature` unless `key` signed `data`."""
    if signature[:32] in _SMALL_ORDER:
        raise InvalidSignature
    key.verify(signature, data)


def use_backend(name: Backend) -> None:
    """Load keys into `name` from now on; keys loaded before stay where they are.

    `pynacl` needs the extra `fast`. Raises `ImportError` when PyNaCl is not installed, and `ValueError` for another
    name and for a libsodium that accepts signatures `cryptography` refuses.
    """
    global _load
    if name == "cryptography":
        _load = Ed25519PublicKey.from_public_bytes
    elif name == "pynacl":
        _load = _sodium_loader()
    else:
        raise ValueError("The Ed25519 backend is cryptography or pynacl.")


def _sodium_loader() -> Callable[[bytes], VerifyingKey]:
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import BadSignatureError

    class SodiumKey:
        __slots__ = ("_octets",)

        def __init__(self, octets: bytes) -> None:
            self._octets = octets

        def verify(self, signature: bytes, data: bytes, /) -> None:
            if len(signature) != _SIGNATURE_LENGTH:  # the two are joined below
                raise InvalidSignature
            try:
                crypto_sign_open(signature + data, self._octets)
            except BadSignatureError:
                raise InvalidSignature from None

    try:
        SodiumKey(_COFACTORED_KEY).verify(_COFACTORED_SIGNATURE, b"hello")
    except InvalidSignature:
        return SodiumKey
    raise ValueError("This libsodium verifies Ed25519 with the cofactor and accepts what cryptography refuses.")
