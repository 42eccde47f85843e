"""A small certificate authority for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from aauthlib.keys import SigningKey
from tests.tokens.minting import NOW

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Authority:
    """Signs certificates, its own first."""

    def __init__(
        self, name: str, parent: Authority | None = None, *, days: int = 365, ca: bool = True, at: float = NOW
    ) -> None:
        self.at = datetime.fromtimestamp(at, UTC)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(name)
        self.certificate = (parent or self).sign(self.name, self.key.public_key(), ca=ca, days=days)

    def sign(
        self,
        name: x509.Name,
        key: Any,
        *,
        ca: bool = False,
        days: float = 30,
        after: timedelta = timedelta(days=-1),
        names: tuple[x509.GeneralName, ...] = (),
        usage: ObjectIdentifier | None = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at + after)
            .not_valid_after(self.at + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if ca:
            may = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
                False,
            )
            usages = x509.KeyUsage(**may, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
            builder = builder.add_extension(usages, critical=True).add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key), critical=False
            )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def certify(self, key: Any, *, host: str | None = "client.example", **options: Any) -> x509.Certificate:
        """An end-entity certificate for `key`, a `SigningKey` or a public key."""
        public = _public(key) if isinstance(key, SigningKey) else key
        names = (x509.DNSName(host),) if host else ()
        return self.sign(_name("Client"), public, **{"names": names, "usage": CLIENT, **options})


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _public(key: SigningKey) -> Any:
    private = key._handle
    assert isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey)
    return private.public_key()


def pem(*chain: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
