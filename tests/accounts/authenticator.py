"""An authenticator in software, for tests: makes a passkey and signs challenges as WebAuthn describes."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from aauthlib.base64url import b64url_decode, b64url_encode

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


class Authenticator:
    """Holds one passkey for one relying party."""

    def __init__(self, origin: str, rp_id: str) -> None:
        self.origin, self.rp_id = origin, rp_id
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.credential_id = secrets.token_bytes(32)
        self.count = 0
        self.user_handle = b""

    def create(self, options: dict[str, Any], **client: str) -> str:
        """The answer to `navigator.credentials.create`."""
        self.user_handle = b64url_decode(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + cbor2.dumps(cose)
        data = self._data(_PRESENT | _VERIFIED | _ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        return self._answer(
            {
                "clientDataJSON": self._client_data("webauthn.create", options, client),
                "attestationObject": b64url_encode(attestation),
            }
        )

    def get(self, options: dict[str, Any], **client: str) -> str:
        """The answer to `navigator.credentials.get`."""
        self.count += 1
        client_data = self._client_data("webauthn.get", options, client)
        data = self._data(_PRESENT | _VERIFIED)
        signed = data + hashlib.sha256(b64url_decode(client_data)).digest()
        return self._answer(
            {
                "clientDataJSON": client_data,
                "authenticatorData": b64url_encode(data),
                "signature": b64url_encode(self.key.sign(signed, ec.ECDSA(SHA256()))),
                "userHandle": b64url_encode(self.user_handle),
            }
        )

    def _data(self, flags: int) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def _client_data(self, kind: str, options: dict[str, Any], client: dict[str, str]) -> str:
        document = {"type": kind, "challenge": options["challenge"], "origin": self.origin, **client}
        return b64url_encode(json.dumps(document).encode())

    def _answer(self, response: dict[str, Any]) -> str:
        name = b64url_encode(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
