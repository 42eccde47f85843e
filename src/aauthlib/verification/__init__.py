"""Who is calling: #verification whole, from the three headers to a `Caller` on the trust ladder.

One flow for every server role (`authenticate`), one module for each `Signature-Key` scheme. Above `httpsig` and
`tokens`, since it needs both; it knows no transport, and what a caller may do is for the roles to decide.
"""

from .assertions import AssertionCache
from .authenticate import SCHEME_FLOWS, authenticate, authenticate_all, signature_required
from .cached import signature_key_cache
from .caller import ANONYMOUS, CacheOffer, Caller, CertifiedSigner, Level, SelfIssued, SigningServer
from .certificates import TrustedRoots
from .jwks_uri import SERVER_DWKS
from .support import SchemeSupport, SelfIssuedPolicy

__all__ = [
    "ANONYMOUS",
    "SCHEME_FLOWS",
    "SERVER_DWKS",
    "AssertionCache",
    "CacheOffer",
    "Caller",
    "CertifiedSigner",
    "Level",
    "SchemeSupport",
    "SelfIssued",
    "SelfIssuedPolicy",
    "SigningServer",
    "TrustedRoots",
    "authenticate",
    "authenticate_all",
    "signature_key_cache",
    "signature_required",
]
