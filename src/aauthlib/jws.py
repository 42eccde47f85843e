"""JWS compact serialisation (RFC 7515) as AAuth uses it: asymmetric, fully specified `alg`, nothing optional.

Straight-line on purpose: this is the hot path of every first contact. What a token means is in `tokens`; this module
knows only how its three parts are written, and that `none`, `EdDSA`, symmetric algorithms, `crit` and unencoded
payloads do not exist here (#common-claims).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from .base64url import b64url_decode, b64url_encode
from .errors import TokenInvalid
from .keys import PublicKey, SigningKey

__all__ = ["JWS", "MAX_JWT_LENGTH", "parse", "sign"]

#: Longest compact JWT accepted anywhere, in characters. Post-quantum signatures fit; header limits of servers do too.
MAX_JWT_LENGTH = 16_384

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class JWS:
    """A parsed, NOT yet verified, compact JWS."""

    header: dict[str, Any]
    payload: dict[str, Any]
    signing_input: bytes
    signature: bytes

    def verify(self, key: PublicKey) -> bool:
        """Whether `key` made the signature. `alg` in the header must be the key's own."""
        return self.header.get("alg") == key.alg and key.verify(self.signature, self.signing_input)


def parse(token: str) -> JWS:
    """Split and decode a compact JWS whose payload is a JSON object.

    Raises `TokenInvalid` for anything but three base64url parts with JSON objects in the first two, for an `alg`
    that is missing, `none`, polymorphic or symmetric, and for a `crit` header, since this library understands none.
    """
    if len(token) > MAX_JWT_LENGTH or not _COMPACT.match(token):
        raise TokenInvalid("The token is not a compact JWT of acceptable length.")
    signing_input, _, encoded_signature = token.rpartition(".")
    encoded_header, _, encoded_payload = signing_input.partition(".")
    try:
        header = msgspec.json.decode(b64url_decode(encoded_header))
        payload = msgspec.json.decode(b64url_decode(encoded_payload))
        signature = b64url_decode(encoded_signature)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError is a ValueError
        raise TokenInvalid("The token's header, payload or signature cannot be decoded.") from error
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise TokenInvalid("The token's header and payload must be JSON objects.")
    alg = header.get("alg")
    if not isinstance(alg, str) or alg == "EdDSA" or alg.lower() == "none" or alg.startswith("HS"):
        raise TokenInvalid("The token's alg must be a fully-specified asymmetric algorithm, such as Ed25519.")
    if "crit" in header:
        raise TokenInvalid("The token marks header parameters as critical that are not understood here.")
    return JWS(header, payload, signing_input.encode("ascii"), signature)


def sign(header: Mapping[str, Any], payload: Mapping[str, Any], key: SigningKey) -> str:
    """Make a compact JWS. `alg` is the key's; `header` carries `typ` and `kid` or `jwk`."""
    protected = {"alg": key.alg, **header}
    signing_input = (
        b64url_encode(msgspec.json.encode(protected)) + "." + b64url_encode(msgspec.json.encode(dict(payload)))
    )
    return signing_input + "." + b64url_encode(key.sign(signing_input.encode("ascii")))
