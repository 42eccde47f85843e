"""Passkeys (WebAuthn) of one server: options for the browser, and verification of what it answers.

A challenge is made without writing anything: it carries its end and a MAC over what it is for and which browser asked
(`binder`), and is recorded when it is answered, so that it is good for one answer within five minutes. The relying
party is the issuer's host, the origin the issuer. Knows no pages and no cookies.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_registration_credential_json,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ..base64url import b64url_decode
from ..effects import Clock
from ..errors import AAuthError
from ..store.account_records import Account, Passkey
from .storage import AccountStore

__all__ = ["CHALLENGE_LIFETIME_S", "PasskeyRefused", "Passkeys"]

CHALLENGE_LIFETIME_S = 300
_NONCE = 16
_MAC = 32
_MAX_CREDENTIAL = 16_384
_T = TypeVar("_T")


class PasskeyRefused(AAuthError):
    """What the browser answered does not prove a passkey; the text says what to do."""


class Passkeys:
    """Registration and sign-in with passkeys of one issuer."""

    def __init__(
        self,
        store: AccountStore,
        *,
        issuer: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store, self._issuer, self._clock, self._random_bytes = store, issuer, clock, random_bytes
        self.rp_id = urlsplit(issuer).hostname or ""
        self._key: bytes | None = None

    async def registration_options(
        self, *, user_handle: bytes, username: str, display_name: str, binder: str, existing: Sequence[Passkey] = ()
    ) -> dict[str, Any]:
        """Options for `navigator.credentials.create`, as JSON with base64url members.

        `binder` is a secret of the browser that asks (its session): only that browser can use the answer.
        """
        options = generate_registration_options(
            rp_id=self.rp_id,
            rp_name=self.rp_id,
            user_id=user_handle,
            user_name=username,
            user_display_name=display_name,
            challenge=await self._challenge(b"create" + user_handle, binder),
            timeout=CHALLENGE_LIFETIME_S * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                require_resident_key=True,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=passkey.credential_id) for passkey in existing],
        )
        document: dict[str, Any] = options_to_json_dict(options)
        return document

    async def authentication_options(self, *, binder: str) -> dict[str, Any]:
        """Options for `navigator.credentials.get`, for whatever passkey the person picks."""
        options = generate_authentication_options(
            rp_id=self.rp_id,
            challenge=await self._challenge(b"get", binder),
            timeout=CHALLENGE_LIFETIME_S * 1000,
            user_verification=UserVerificationRequirement.PREFERRED,
        )
        document: dict[str, Any] = options_to_json_dict(options)
        return document

    async def verify_registration(
        self, credential_json: str, *, person_id: str, user_handle: bytes, binder: str, name: str
    ) -> Passkey:
        """The new passkey, not stored yet. Raises `PasskeyRefused`."""
        failed = PasskeyRefused("The passkey could not be verified. Try to create it again.")
        document = _document(credential_json)
        credential = _judge(lambda: parse_registration_credential_json(document), failed)
        challenge = await self._redeem(b"create" + user_handle, binder, credential.response.client_data_json)
        verified = _judge(
            lambda: verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self._issuer,
            ),
            failed,
        )
        return Passkey(
            credential_id=verified.credential_id,
            person_id=person_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            backed_up=verified.credential_backed_up,
            name=name,
            created_at=self._clock(),
        )

    async def authenticate(self, credential_json: str, *, binder: str) -> Account:
        """The account whose passkey answered. Raises `PasskeyRefused`, without saying whether the passkey is known."""
        refused = PasskeyRefused("This passkey was not accepted. Try again, or sign in another way.")
        document = _document(credential_json)
        credential = _judge(lambda: parse_authentication_credential_json(document), refused)
        challenge = await self._redeem(b"get", binder, credential.response.client_data_json)
        passkey = await self._store.passkey(credential.raw_id)
        account = await self._store.account(passkey.person_id) if passkey is not None else None
        if passkey is None or account is None:
            raise refused
        handle = credential.response.user_handle
        if handle is not None and not hmac.compare_digest(handle, account.user_handle):
            raise refused
        verified = _judge(
            lambda: verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self.rp_id,
                expected_origin=self._issuer,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
            ),
            refused,
        )
        used = await self._store.use_passkey(
            passkey,
            sign_count=verified.new_sign_count,
            backed_up=verified.credential_backed_up,
            now=self._clock(),
        )
        if not used:
            raise refused
        return account

    async def _challenge(self, purpose: bytes, binder: str) -> bytes:
        body = self._random_bytes(_NONCE) + struct.pack(">Q", int(self._clock()) + CHALLENGE_LIFETIME_S)
        return body + await self._mac(purpose, binder, body)

    async def _redeem(self, purpose: bytes, binder: str, client_data: bytes) -> bytes:
        """The challenge that the browser answered, if we made it for this and it was not answered before."""
        stale = PasskeyRefused("This took too long, or the page was used before. Try again.")
        try:
            challenge = b64url_decode(json.loads(client_data)["challenge"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise stale from None
        body, mac = challenge[:-_MAC], challenge[-_MAC:]
        if len(body) != _NONCE + 8 or not hmac.compare_digest(mac, await self._mac(purpose, binder, body)):
            raise stale
        (expires_at,) = struct.unpack(">Q", body[_NONCE:])
        now = self._clock()
        digest = hashlib.sha256(challenge).hexdigest()
        if expires_at <= now or not await self._store.use_challenge(digest, expires_at=expires_at, now=now):
            raise stale
        return challenge

    async def _mac(self, purpose: bytes, binder: str, body: bytes) -> bytes:
        if self._key is None:
            self._key = await self._store.secret("passkey-challenge", self._random_bytes(32))
        parts = (purpose, binder.encode("utf-8"), body)
        message = b"".join(struct.pack(">I", len(part)) + part for part in parts)
        return hmac.digest(self._key, message, "sha256")


def _judge(step: Callable[[], _T], refused: PasskeyRefused) -> _T:
    """The result of a step of the WebAuthn library. Whatever it makes of hostile bytes is a refusal."""
    try:
        return step()
    except Exception as error:
        # Its parsers raise more than its own exceptions on malformed CBOR, keys and certificates.
        raise refused from error


def _document(credential_json: str) -> dict[str, Any]:
    refused = PasskeyRefused("The browser's answer could not be read. Try again.")
    if len(credential_json) > _MAX_CREDENTIAL:
        raise refused
    try:
        document = json.loads(credential_json)
    except (ValueError, RecursionError):
        raise refused from None
    if not isinstance(document, dict):
        raise refused
    return document
