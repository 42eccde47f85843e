"""#verification whole, one flow for every server role: from the three headers to a `Caller` on the trust ladder.

It yields `FindKey`, `FindKeyAt` and `FindCertificates` when a key is needed and nothing else; drivers in `transport`
answer. Revocation is asked for last, by the role that holds the revocations. A scheme is a row in `SCHEME_FLOWS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from ..effects import Flow
from ..errors import InvalidSignature, SignatureError, TokenError, as_signature_error
from ..http import Request
from ..httpsig import SignaturePolicy, is_signed, select
from ..keys import PublicKey
from ..tokens import TokenCache, VerificationPolicy
from .cached import by_cached, offer
from .caller import ANONYMOUS, Caller
from .hwk import by_hwk
from .jkt_jwt import by_jkt_jwt
from .jwks import by_jwks
from .jwks_uri import by_jwks_uri
from .jwt import by_jwt
from .self_jwt import by_self_jwt
from .support import SchemeFlow, SchemeSupport, TokenType, Verification
from .x509 import by_x509

__all__ = ["SCHEME_FLOWS", "authenticate", "authenticate_all", "signature_required"]

#: Step 5, the key, by scheme.
SCHEME_FLOWS: Mapping[str, SchemeFlow] = {
    "jwt": by_jwt,
    "hwk": by_hwk,
    "jkt-jwt": by_jkt_jwt,
    "jwks_uri": by_jwks_uri,
    "jwks": by_jwks,
    "self-jwt": by_self_jwt,
    "x509": by_x509,
    "cached": by_cached,
}

_NO_SUPPORT = SchemeSupport()


def authenticate(
    request: Request,
    *,
    now: float,
    signature: SignaturePolicy,
    tokens: VerificationPolicy,
    accepted: tuple[TokenType, ...],
    cache: TokenCache | None = None,
    support: SchemeSupport = _NO_SUPPORT,
    label: str | None = None,
) -> Flow[Caller]:
    """Verify the signature of `request` and say who made it.

    `accepted` are the token types this endpoint takes under the `jwt` scheme; `support` is what `x509`, `self-jwt` and
    `cached` need; `label` chooses one of several signatures, which is otherwise the first of an accepted scheme. An
    unsigned request is an anonymous caller; whether that is enough is the endpoint's decision. Raises a
    `SignatureError`, always to be answered with `401` and `Signature-Error`.

    A token's `aud` is NOT compared here, since what it must be depends on the role.
    """
    if not is_signed(request):
        return ANONYMOUS
    try:
        # Steps 1 to 4, which need no key.
        signed = select(request, signature, now=now, label=label)
        # Step 5: the key, according to the scheme. Step 6, its algorithm, is part of reading it.
        at = Verification(now, signature, tokens, accepted, cache, support)
        caller = yield from SCHEME_FLOWS[signed.key.scheme](signed.key, signed, at)
        # One policy for every scheme: any key is accepted for exactly what the server says it accepts.
        key = cast("PublicKey", caller.key)  # every scheme names one
        signed.check_key(key, signature)
        # Step 7.
        signed.verify(key)
    except TokenError as error:
        raise _saying_what_works(as_signature_error(error), signature, support) from error
    except SignatureError as error:
        _saying_what_works(error, signature, support)
        raise
    if support.assertions is None:
        return caller
    return msgspec.structs.replace(caller, cache_offer=offer(caller, signed, at))


def authenticate_all(
    request: Request,
    labels: Iterable[str],
    *,
    now: float,
    signature: SignaturePolicy,
    tokens: VerificationPolicy,
    accepted: tuple[TokenType, ...],
    cache: TokenCache | None = None,
    support: SchemeSupport = _NO_SUPPORT,
) -> Flow[dict[str, Caller]]:
    """Verify the signature of every one of `labels`, as `authenticate` does (HTTP Signature Keys, Section 3.2).

    Returns the callers by label; signatures of other labels are not looked at. Raises for the first that fails, and
    `InvalidSignature` for a request without a signature or for one that is missing.
    """
    callers: dict[str, Caller] = {}
    for label in labels:
        caller = yield from authenticate(
            request,
            now=now,
            signature=signature,
            tokens=tokens,
            accepted=accepted,
            cache=cache,
            support=support,
            label=label,
        )
        if caller is ANONYMOUS:
            raise signature_required("The request is not signed.", signature, support)
        callers[label] = caller
    return callers


def signature_required(detail: str, signature: SignaturePolicy, support: SchemeSupport = _NO_SUPPORT) -> SignatureError:
    """`invalid_signature` for a caller that did not sign, with what would be accepted (HTTP Signature Keys, 4.4)."""
    return _saying_what_works(InvalidSignature(detail), signature, support)


def _saying_what_works(error: SignatureError, signature: SignaturePolicy, support: SchemeSupport) -> SignatureError:
    error.accepted_schemes = support.schemes(signature.schemes)
    error.accepted_algorithms = signature.algorithms
    return error
