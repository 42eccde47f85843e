"""Certificate chains to pinned roots (HTTP Signature Keys, Section 3.10; RFC 5280). No I/O and no clock.

Paths are built and judged by `cryptography.x509.verification`, as for a TLS client under the web PKI profile: the
end-entity certificate carries a subject alternative name, its extended key usage, if there is one, admits clientAuth,
authorities have basicConstraints and keyCertSign and sign with RSA or ECDSA. No revocation is asked for over the
network; a deployment that holds a list gives `revoked`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm as UnknownKind
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from ..base64url import b64url_encode
from ..errors import ConfigurationError, InvalidKey, UnsupportedAlgorithm
from ..keys import PublicKey
from .caller import CertifiedSigner

__all__ = ["TrustedRoots", "read_pem", "x5t_of"]

_MAX_CERTIFICATES = 10
_CURVES: Mapping[str, tuple[str, str, int]] = {
    "secp256r1": ("ES256", "P-256", 32),
    "secp384r1": ("ES384", "P-384", 48),
    "secp521r1": ("ES512", "P-521", 66),
}


@dataclass(frozen=True, slots=True)
class _Known:
    certificate: x509.Certificate = field(repr=False)
    signer: CertifiedSigner
    key: PublicKey


class TrustedRoots:
    """The roots this side trusts, and the certificates it found to chain to them, by `x5t`, bounded.

    - `roots`: certificates, or the PEM text of some. Only these are trusted, never the system's.
    - `rsa_algorithm`: what an RSA key signs with, since a certificate does not say: one fully-specified algorithm.
    - `revoked`: asked on every use whether a certificate was withdrawn, from a list at hand; it must not block.
    - `max_chain`: intermediate certificates between the end-entity certificate and a root.

    Raises `ConfigurationError` without a root.
    """

    def __init__(
        self,
        roots: Iterable[x509.Certificate] | bytes,
        *,
        rsa_algorithm: str = "PS256",
        revoked: Callable[[x509.Certificate], bool] | None = None,
        max_chain: int = 4,
        max_entries: int = 10_000,
    ) -> None:
        trusted = list(x509.load_pem_x509_certificates(roots) if isinstance(roots, bytes) else roots)
        if not trusted:
            raise ConfigurationError("The x509 scheme needs at least one root certificate to trust.")
        self._store = Store(trusted)
        self._rsa_algorithm, self._revoked, self._max_chain = rsa_algorithm, revoked, max_chain
        self._max_entries = max_entries
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def known(self, x5t: bytes, *, now: float) -> tuple[CertifiedSigner, PublicKey] | None:
        """The signer and key of a certificate that was judged before, until it or its chain expires."""
        found = self._known.get(x5t)
        if found is None:
            return None
        if found.signer.not_after <= now:
            del self._known[x5t]
            return None
        self._known.move_to_end(x5t)
        self._check_revoked(found.certificate)
        return found.signer, found.key

    def judge(
        self, chain: list[x509.Certificate], *, now: float, accepted: tuple[str, ...]
    ) -> tuple[CertifiedSigner, PublicKey]:
        """Validate `chain`, end-entity certificate first, and remember it. `now` is Unix seconds.

        Raises `InvalidKey` when it does not lead to a trusted root, is expired or revoked, and `UnsupportedAlgorithm`
        when its key's algorithm is not in `accepted`.
        """
        leaf = chain[0]
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))
            .max_chain_depth(self._max_chain)
            .build_client_verifier()
        )
        try:
            verified = verifier.verify(leaf, chain[1:])
            subject = leaf.subject.rfc4514_string()
        except (VerificationError, ValueError) as error:  # ValueError: an extension or a name that cannot be read
            raise InvalidKey(
                "The certificate does not chain to a root trusted here, is not valid now, or is not for signing as a "
                "client."
            ) from error
        self._check_revoked(leaf)
        key = PublicKey.from_jwk(self._jwk(leaf, accepted), accepted=accepted)
        signer = CertifiedSigner(
            x5t_of(leaf),
            subject,
            tuple(str(name.value) for name in verified.subjects or ()),
            min(certificate.not_valid_after_utc.timestamp() for certificate in verified.chain),
        )
        self._known[signer.x5t] = _Known(leaf, signer, key)
        while len(self._known) > self._max_entries:
            self._known.popitem(last=False)
        return signer, key

    def _check_revoked(self, certificate: x509.Certificate) -> None:
        if self._revoked is not None and self._revoked(certificate):
            raise InvalidKey("The certificate was revoked.")

    def _jwk(self, certificate: x509.Certificate, accepted: tuple[str, ...]) -> dict[str, str]:
        """The key with the one algorithm its SubjectPublicKeyInfo stands for."""
        try:
            key = certificate.public_key()
        except (ValueError, UnknownKind) as error:
            raise InvalidKey("The certificate's public key cannot be read.") from error
        match key:
            case ed25519.Ed25519PublicKey():
                return {"kty": "OKP", "crv": "Ed25519", "x": b64url_encode(key.public_bytes_raw()), "alg": "Ed25519"}
            case ed448.Ed448PublicKey():
                return {"kty": "OKP", "crv": "Ed448", "x": b64url_encode(key.public_bytes_raw()), "alg": "Ed448"}
            case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
                alg, crv, length = _CURVES[key.curve.name]
                point = key.public_numbers()
                x, y = (b64url_encode(number.to_bytes(length, "big")) for number in (point.x, point.y))
                return {"kty": "EC", "crv": crv, "x": x, "y": y, "alg": alg}
            case rsa.RSAPublicKey():
                numbers = key.public_numbers()
                n, e = (_integer(number) for number in (numbers.n, numbers.e))
                return {"kty": "RSA", "n": n, "e": e, "alg": self._rsa_algorithm}
        raise UnsupportedAlgorithm(
            f"The certificate's key is of a kind not used here; this side accepts {', '.join(accepted)}.",
            accepted=accepted,
        )


def _integer(number: int) -> str:
    return b64url_encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def x5t_of(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the DER encoding."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


def read_pem(document: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM document, in its order. Raises `InvalidKey`."""
    try:
        chain = x509.load_pem_x509_certificates(document)
    except (ValueError, x509.InvalidVersion) as error:  # the second is no ValueError
        raise InvalidKey("The document at x5u is not a PEM certificate chain.") from error
    if len(chain) > _MAX_CERTIFICATES:
        raise InvalidKey(f"The document at x5u has more than {_MAX_CERTIFICATES} certificates.")
    return chain
