"""HTTP Message Signatures (RFC 9421) with `Signature-Key`, without I/O.

`sign` signs a plain `Request` and `verify` checks one, given a way to find keys. `select` makes every check that needs
no key and returns the `SignedRequest` whose `verify` takes the key; finding AAuth's keys is the business of
`aauthlib.verification`.
"""

from .components import BASE_COMPONENTS, BODY_COMPONENTS, Component, Context
from .digest import DigestVerifier, content_digest, verify_content_digest
from .labels import LabelledSigner, sign_all
from .plain import INLINE, Resolver, Verified, inline_key, verify
from .replay import MemoryReplayCache, ReplayCache, refuse_replay
from .signature_key import HWK, JKTJWT, JWKSURI, JWT, X509, Cached, DirectJWKS, SelfJWT, SignatureKey
from .signing import sign
from .verifying import DEFAULT_WINDOW_S, SignaturePolicy, SignedRequest, is_signed, select

__all__ = [
    "BASE_COMPONENTS",
    "BODY_COMPONENTS",
    "DEFAULT_WINDOW_S",
    "HWK",
    "INLINE",
    "JKTJWT",
    "JWKSURI",
    "JWT",
    "X509",
    "Cached",
    "Component",
    "Context",
    "DigestVerifier",
    "DirectJWKS",
    "LabelledSigner",
    "MemoryReplayCache",
    "ReplayCache",
    "Resolver",
    "SelfJWT",
    "SignatureKey",
    "SignaturePolicy",
    "SignedRequest",
    "Verified",
    "content_digest",
    "inline_key",
    "is_signed",
    "refuse_replay",
    "select",
    "sign",
    "sign_all",
    "verify",
    "verify_content_digest",
]
