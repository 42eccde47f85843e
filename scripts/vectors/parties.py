"""Who takes part in the vectors: keys made from names, the same for everybody, and what issuers publish."""

from __future__ import annotations

import hashlib
from typing import Any

from aauthlib.base64url import b64url_encode
from aauthlib.keys import JWKS, SigningKey

__all__ = ["AP", "AS", "KEYS", "NOW", "PS", "RESOURCE", "key_sets", "parties"]

NOW = 1_800_000_000
AP, PS, AS, RESOURCE = (f"https://{name}.example" for name in ("ap", "ps", "as", "resource"))

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _ed25519(name: str, kid: str | None = None) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = hashlib.sha256(f"aauth test vector key {name}".encode()).digest()
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": b64url_encode(public), "d": b64url_encode(seed)}
    return SigningKey.from_jwk({**jwk, **({"kid": kid} if kid else {})})


def _es256(name: str, kid: str | None = None) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    digest = hashlib.sha256(f"aauth test vector key {name}".encode()).digest()
    secret = int.from_bytes(digest, "big") % (_P256_ORDER - 1) + 1
    numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    members = {"x": numbers.x, "y": numbers.y, "d": secret}
    jwk: dict[str, Any] = {"kty": "EC", "crv": "P-256", "alg": "ES256"}
    jwk.update({member: b64url_encode(value.to_bytes(32, "big")) for member, value in members.items()})
    return SigningKey.from_jwk({**jwk, **({"kid": kid} if kid else {})})


KEYS: dict[str, SigningKey] = {
    "agent": _ed25519("agent"),
    "agent-es256": _es256("agent-es256"),
    "durable": _ed25519("durable"),
    "stranger": _ed25519("stranger"),
    "ap": _ed25519("ap", "ap-1"),
    "ps": _es256("ps", "ps-1"),
    "ps-ed25519": _ed25519("ps-ed25519", "ps-2"),
    "as": _ed25519("as", "as-1"),
    "resource": _ed25519("resource", "resource-1"),
}

_DOCUMENTS = {
    AP: ("aauth-agent.json", ("ap",)),
    PS: ("aauth-person.json", ("ps", "ps-ed25519")),
    AS: ("aauth-access.json", ("as",)),
    RESOURCE: ("aauth-resource.json", ("resource",)),
}


def key_sets() -> dict[str, JWKS]:
    """Issuer to the key set it publishes."""
    return {issuer: JWKS.of(*(KEYS[name] for name in names)) for issuer, (_, names) in _DOCUMENTS.items()}


def parties() -> dict[str, Any]:
    """`parties.json`."""
    sets = key_sets()
    ap = sets[AP].to_document()
    broken = {
        "https://unnamed.example": {"jwks_uri": "https://unnamed.example/jwks.json"},
        "https://impostor.example": {"issuer": AP, "jwks_uri": "https://impostor.example/jwks.json"},
    }
    return {
        "keys": {
            name: {"private_jwk": key.to_private_jwk(), "thumbprint": key.public.thumbprint}
            for name, key in KEYS.items()
        },
        "issuers": {
            issuer: {
                "metadata_url": f"{issuer}/.well-known/{dwk}",
                "metadata": {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"},
                "jwks": sets[issuer].to_document(),
            }
            for issuer, (dwk, _) in _DOCUMENTS.items()
        }
        | {
            issuer: {"metadata_url": f"{issuer}/.well-known/aauth-agent.json", "metadata": document, "jwks": ap}
            for issuer, document in broken.items()
        },
    }
