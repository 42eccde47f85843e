from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from aauthlib.effects import FindCertificates
from aauthlib.errors import ConfigurationError, InvalidKey, InvalidSignature, UnsupportedAlgorithm, UnsupportedScheme
from aauthlib.httpsig import X509, SignaturePolicy
from aauthlib.keys import SigningKey
from aauthlib.verification import Level, SchemeSupport, TrustedRoots
from aauthlib.verification.certificates import read_pem, x5t_of
from tests.tokens.minting import NOW, OTHER_KEY

from .certifying import Authority, pem
from .conftest import ALL, CHAIN_URL, Verifier, signed

pytestmark = pytest.mark.spec("signature-key#3.10")

ROOT = Authority("Root")
INTERMEDIATE = Authority("Intermediate", ROOT)
KEY = SigningKey.generate()
LEAF = INTERMEDIATE.certify(KEY)
DAY = 86_400.0


@pytest.fixture
def trusting(verifier: Verifier) -> Verifier:
    verifier.support = SchemeSupport(certificates=TrustedRoots([ROOT.certificate]))
    verifier.documents = [pem(LEAF, INTERMEDIATE.certificate)]
    return verifier


def by(leaf: x509.Certificate, url: str = CHAIN_URL) -> X509:
    return X509(url, x5t_of(leaf))


def test_a_chain_to_a_pinned_root_makes_an_identified_caller(trusting: Verifier) -> None:
    caller = trusting.call(signed(by(LEAF), KEY))

    assert (caller.level, caller.key) == (Level.IDENTIFIED, KEY.public)
    assert caller.certificate is not None
    assert (caller.certificate.subject, caller.certificate.names) == ("CN=Client", ("client.example",))
    assert caller.certificate.not_after == NOW + 30 * DAY
    assert caller.signer == ("x509", "CN=Client")


@pytest.mark.spec("signature-key#7.4")
@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_the_algorithm_is_the_one_the_certificates_key_stands_for(trusting: Verifier, alg: str) -> None:
    key = SigningKey.generate(alg)
    leaf = ROOT.certify(key)
    trusting.documents = [pem(leaf)]
    caller = trusting.call(signed(by(leaf), key))
    assert caller.key is not None
    assert caller.key.alg == alg


def test_a_key_of_an_algorithm_that_is_not_accepted_is_said_to_be_one(trusting: Verifier) -> None:
    policy = SignaturePolicy(schemes=ALL, algorithms=("ES256",))
    error = trusting.refuses(signed(by(LEAF), KEY), UnsupportedAlgorithm, policy=policy)
    assert error.accepted_algorithms == ("ES256",)
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    leaf = ROOT.certify(rsa_key)
    trusting.documents = [pem(leaf)]
    trusting.refuses(signed(by(leaf), KEY), UnsupportedAlgorithm)


@pytest.mark.spec("signature-key#7.2")
def test_a_certificate_at_hand_is_not_fetched_again_until_it_expires(trusting: Verifier) -> None:
    for _ in range(3):
        trusting.call(signed(by(LEAF), KEY))
    assert trusting.asked == [FindCertificates(CHAIN_URL)]
    trusting.now = NOW + 30 * DAY + 1
    trusting.refuses(signed(by(LEAF), KEY, created=int(trusting.now)), InvalidKey)
    assert len(trusting.asked) == 2
    assert len(trusting.support.certificates or ()) == 0


def test_a_certificate_that_is_known_still_has_to_sign(trusting: Verifier) -> None:
    trusting.call(signed(by(LEAF), KEY))
    trusting.refuses(signed(by(LEAF), OTHER_KEY), InvalidSignature)


def test_a_chain_that_begins_with_another_certificate_is_asked_for_once_more(trusting: Verifier) -> None:
    other = ROOT.certify(KEY)
    trusting.documents = [pem(LEAF, INTERMEDIATE.certificate), pem(other)]
    assert trusting.call(signed(by(other), KEY)).key == KEY.public
    assert trusting.asked == [FindCertificates(CHAIN_URL), FindCertificates(CHAIN_URL, changed_since_use=True)]
    trusting.refuses(signed(X509(CHAIN_URL, bytes(32)), KEY), InvalidKey)


@pytest.mark.spec("signature-key#7.1", "signature-key#7.3")
@pytest.mark.parametrize(
    "leaf",
    [
        Authority("Stranger").certify(KEY),
        INTERMEDIATE.certify(KEY, days=-0.5),
        INTERMEDIATE.certify(KEY, after=timedelta(hours=1)),
        INTERMEDIATE.certify(KEY, usage=ExtendedKeyUsageOID.SERVER_AUTH),
        INTERMEDIATE.certify(KEY, host=None),
        Authority("No authority", ROOT, ca=False).certify(KEY),
        Authority("Expired", ROOT, days=0).certify(KEY),
    ],
    ids=["stranger", "expired", "not yet", "another purpose", "no name", "no authority", "expired authority"],
)
def test_what_does_not_lead_to_a_pinned_root_is_an_invalid_key(trusting: Verifier, leaf: x509.Certificate) -> None:
    trusting.documents = [pem(leaf, INTERMEDIATE.certificate)]
    trusting.refuses(signed(by(leaf), KEY), InvalidKey)
    assert len(trusting.support.certificates or ()) == 0


def test_a_chain_without_its_intermediate_or_of_a_forger_is_refused(trusting: Verifier) -> None:
    trusting.documents = [pem(LEAF)]
    trusting.refuses(signed(by(LEAF), KEY), InvalidKey)
    forger = Authority("Root")
    leaf = forger.certify(KEY)
    trusting.documents = [pem(leaf, forger.certificate, ROOT.certificate)]
    trusting.refuses(signed(by(leaf), KEY), InvalidKey)


@pytest.mark.parametrize(
    "document",
    [b"", b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", pem(*[LEAF] * 11), b"\xff\0"],
)
def test_a_document_that_is_no_chain_is_an_invalid_key(trusting: Verifier, document: bytes) -> None:
    trusting.documents = [document]
    trusting.refuses(signed(by(LEAF), KEY), InvalidKey)


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("url", ["http://client.example/c", "https://127.0.0.1/c", "https://localhost/c", "file:///c"])
def test_nothing_is_asked_for_at_a_url_that_may_not_be_fetched(trusting: Verifier, url: str) -> None:
    trusting.refuses(signed(by(LEAF, url), KEY), InvalidKey)
    assert trusting.asked == []


def test_a_chain_that_cannot_be_had_is_an_invalid_key(trusting: Verifier) -> None:
    trusting.documents = []
    trusting.refuses(signed(by(LEAF), KEY), InvalidKey)


def test_a_deployments_own_revocation_list_is_asked_every_time(trusting: Verifier) -> None:
    withdrawn: set[int] = set()
    roots = TrustedRoots(pem(ROOT.certificate), revoked=lambda certificate: certificate.serial_number in withdrawn)
    trusting.support = replace(trusting.support, certificates=roots)
    trusting.call(signed(by(LEAF), KEY))
    withdrawn.add(LEAF.serial_number)
    trusting.refuses(signed(by(LEAF), KEY), InvalidKey)


@pytest.mark.spec("signature-key#7.2")
def test_what_is_remembered_is_bounded(trusting: Verifier) -> None:
    roots = TrustedRoots([ROOT.certificate], max_entries=2)
    trusting.support = replace(trusting.support, certificates=roots)
    for _ in range(4):
        leaf = ROOT.certify(KEY)
        trusting.documents = [pem(leaf)]
        trusting.call(signed(by(leaf), KEY))
    assert len(roots) == 2


def test_without_roots_the_scheme_is_not_accepted(verifier: Verifier) -> None:
    error = verifier.refuses(signed(by(LEAF), KEY), UnsupportedScheme)
    assert "x509" not in error.accepted_schemes
    with pytest.raises(ConfigurationError):
        TrustedRoots([])


def test_a_certificate_of_a_version_there_is_not_is_an_invalid_key() -> None:
    encoded = LEAF.public_bytes(serialization.Encoding.DER)
    eleventh = encoded.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x0a", 1)
    text = b64encode(eleventh).decode("ascii")

    with pytest.raises(InvalidKey, match="not a PEM certificate chain"):
        read_pem(f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode())
