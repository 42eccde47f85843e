"""JWS compact serialisation (RFC 7515) as AAuth uses it: asymmetric, fully specified `alg`, nothing optional.

Straight-line on purpose: this is the hot path of every first contact. What a token means is in `tokens`; this module
knows only how its three parts are written, and that `none`, `EdDSA`, symmetric algorithms, `crit` and unencoded
payloads do not exist here (#common-claims).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from .base64url import b64url_decode, b64url_encode
from .errors import TokenInvalid
from .keys import PublicKey, SigningKey

__all__ = ["JWS", "MAX_JWT_LENGTH", "parse", "sign"]

#: Longest compact JWT accepted anywhere, in characters. Post-quantum signatures fit; header limits of servers do too.
MAX_JWT_LENGTH = 16_384

_decode = msgspec.json.Decoder().decode


class JWS(msgspec.Struct, frozen=True, gc=False):
    """A parsed, NOT yet verified, compact JWS."""

    header: Mapping[str, Any]
    payload: dict[str, Any]
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        # Claims and signature together are the token.
        return f"JWS(alg={self.header.get('alg')!r}, typ={self.header.get('typ')!r})"

    def verify(self, key: PublicKey) -> bool:
        """Whether `key` made the signature. `alg` in the header must be the key's own."""
        return self.header.get("alg") == key.alg and key.verify(self.signature, self.signing_input)


def parse(token: str) -> JWS:
    """Split and decode a compact JWS whose payload is a JSON object.

    Raises `TokenInvalid` for anything but three base64url parts with JSON objects in the first two, for an `alg`
    that is missing, `none`, polymorphic or symmetric, and for a `crit` header, since this library understands none.
    """
    parts = token.split(".", 3) if len(token) <= MAX_JWT_LENGTH else []
    if len(parts) != 3 or not all(parts):
        raise TokenInvalid("The token is not a compact JWT of acceptable length.")
    encoded_header, encoded_payload, encoded_signature = parts
    header = _header(encoded_header)
    try:
        payload = _decode(b64url_decode(encoded_payload))
        signature = b64url_decode(encoded_signature)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise TokenInvalid("The token's payload or signature cannot be decoded.") from error
    if not isinstance(payload, dict):
        raise TokenInvalid("The token's payload must be a JSON object.")
    return JWS(header, payload, token[: -len(encoded_signature) - 1].encode(), signature)


@lru_cache(maxsize=256)  # every token that one key signs has the same header
def _header(encoded: str) -> Mapping[str, Any]:
    try:
        header = _decode(b64url_decode(encoded))
    except (ValueError, RecursionError) as error:
        raise TokenInvalid("The token's header cannot be decoded.") from error
    if not isinstance(header, dict):
        raise TokenInvalid("The token's header must be a JSON object.")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg == "EdDSA" or alg.lower() == "none" or alg.startswith("HS"):
        raise TokenInvalid("The token's alg must be a fully-specified asymmetric algorithm, such as Ed25519.")
    if "crit" in header:
        raise TokenInvalid("The token marks header parameters as critical that are not understood here.")
    return header


def sign(header: Mapping[str, Any], payload: Mapping[str, Any], key: SigningKey) -> str:
    """Make a compact JWS. `alg` is the key's; `header` carries `typ` and `kid` or `jwk`."""
    protected = {"alg": key.alg, **header}
    signing_input = (
        b64url_encode(msgspec.json.encode(protected)) + "." + b64url_encode(msgspec.json.encode(dict(payload)))
    )
    return signing_input + "." + b64url_encode(key.sign(signing_input.encode("ascii")))
