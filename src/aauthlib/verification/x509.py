"""`x509`: a certificate names the key (HTTP Signature Keys, Section 3.10).

The numbered procedure of that section: the certificate at hand by `x5t`, else the chain at `x5u`, which must begin with
that certificate and lead to a pinned root (`certificates.TrustedRoots`).
"""

from __future__ import annotations

from cryptography.x509 import Certificate

from ..effects import FindCertificates, Flow
from ..errors import InvalidIdentifier, InvalidKey, UnknownKey
from ..httpsig import X509, SignedRequest
from ..identifiers import https_url
from .caller import Caller, Level
from .certificates import read_pem, x5t_of
from .support import Verification, missing

__all__ = ["by_x509"]


def by_x509(scheme: X509, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The subject of the certificate."""
    roots = at.support.certificates
    if roots is None:
        raise missing(scheme.scheme, at)
    known = roots.known(scheme.x5t, now=at.now)
    if known is None:
        chain = yield from _chain(scheme, at)
        known = roots.judge(chain, now=at.now, accepted=at.signature.algorithms)
    signer, key = known
    return Caller(Level.IDENTIFIED, key, certificate=signer, signed=signed)


def _chain(scheme: X509, at: Verification) -> Flow[list[Certificate]]:
    """The chain that begins with the certificate asked for, fetched anew if the one held does not."""
    try:
        https_url(scheme.x5u, dev=at.tokens.dev, what="The Signature-Key x5u")
    except InvalidIdentifier as error:
        raise InvalidKey(error.detail) from error
    for changed in (False, True):
        try:
            document: bytes = yield FindCertificates(scheme.x5u, changed_since_use=changed)
        except UnknownKey as error:
            # unknown_key is about key sets; a certificate that cannot be had cannot be trusted.
            raise InvalidKey(error.detail) from error
        chain = read_pem(document)
        if x5t_of(chain[0]) == scheme.x5t:
            return chain
    raise InvalidKey("The chain at x5u does not begin with the certificate whose thumbprint is x5t.")
