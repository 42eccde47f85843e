"""HTTP Message Signatures (RFC 9421) with `Signature-Key`, without I/O.

`sign` signs a plain `Request`; `select` makes every check that needs no key and returns the `SignedRequest` whose
`verify` takes the key. Where the key comes from is the business of `aauthlib.verification`.
"""

from .components import BASE_COMPONENTS, BODY_COMPONENTS
from .digest import content_digest, verify_content_digest
from .signature_key import HWK, JKTJWT, JWKSURI, JWT, SignatureKey
from .signing import sign
from .verifying import DEFAULT_WINDOW_S, SignaturePolicy, SignedRequest, is_signed, select

__all__ = [
    "BASE_COMPONENTS",
    "BODY_COMPONENTS",
    "DEFAULT_WINDOW_S",
    "HWK",
    "JKTJWT",
    "JWKSURI",
    "JWT",
    "SignatureKey",
    "SignaturePolicy",
    "SignedRequest",
    "content_digest",
    "is_signed",
    "select",
    "sign",
    "verify_content_digest",
]
