"""Web Push: one message to one browser (RFC 8030), encrypted to it (RFC 8291), this server identified (RFC 8292).

The endpoint is whatever a browser, or somebody who looks like one, gave us: it is fetched by the guarded transport like
every address of somebody else's. Needs the `notifications` extra.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Any

from ..base64url import b64url_decode
from ..effects import Clock, Flow, Send
from ..errors import AAuthError, ConfigurationError, InvalidRequest
from ..http import Fields, Request
from ..identifiers import https_url, origin_of

__all__ = ["Rejected", "Vanished", "VapidKey", "browser_target", "push"]

_MAX_ENDPOINT_LENGTH = 2048
_POINT_BYTES, _AUTH_BYTES = 65, 16
_VAPID_LIFETIME_S = 12 * 3600
#: How long a push service keeps the message for a browser that is away: a request rarely lives longer.
_TTL_S = 3600


class Vanished(AAuthError):
    """The browser's subscription is over (RFC 8030, Section 7.3); it will not come back."""


class Rejected(AAuthError):
    """The push service did not take the message now. `retry_after_s` is what it asked for, in seconds."""

    def __init__(self, status: int, retry_after_s: int | None = None) -> None:
        super().__init__(f"The push service answered {status}.")
        self.retry_after_s = retry_after_s


def browser_target(endpoint: str, p256dh: str, auth: str, *, dev: bool) -> dict[str, str]:
    """What a browser's `PushSubscription` has, checked. Raises `InvalidRequest`."""
    try:
        if len(endpoint) > _MAX_ENDPOINT_LENGTH:
            raise InvalidRequest("The address of the push service is too long.")
        https_url(endpoint, dev=dev)
        point, secret = b64url_decode(p256dh), b64url_decode(auth)
    except (AAuthError, ValueError, binascii.Error) as error:
        raise InvalidRequest("The browser's subscription could not be read.") from error
    if len(point) != _POINT_BYTES or point[0] != 4 or len(secret) != _AUTH_BYTES:
        raise InvalidRequest("The browser's subscription has keys of another kind.")
    return {"endpoint": endpoint, "p256dh": p256dh, "auth": auth}


class VapidKey:
    """The key push services know a server by. `text` is its stored form, as `generate` returns it."""

    def __init__(self, text: str) -> None:
        self._vapid = _library().Vapid02.from_raw(text.encode("ascii"))

    @staticmethod
    def generate() -> str:
        """A new key: the private scalar, base64url."""
        vapid = _library().Vapid02()
        vapid.generate_keys()
        scalar: int = vapid.private_key.private_numbers().private_value
        return binascii.b2a_base64(scalar.to_bytes(32, "big"), newline=False).decode().translate(_URL_SAFE).rstrip("=")

    @property
    def application_server_key(self) -> str:
        """The public key, as `PushManager.subscribe` takes it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        point = self._vapid.public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return binascii.b2a_base64(point, newline=False).decode().translate(_URL_SAFE).rstrip("=")

    def authorization(self, endpoint: str, *, contact: str, now: float) -> str:
        """The `Authorization` field for a push service: good for that service alone, and for hours."""
        claims = {"aud": origin_of(endpoint), "exp": int(now) + _VAPID_LIFETIME_S, "sub": contact}
        return str(self._vapid.sign(claims)["Authorization"])


_URL_SAFE = str.maketrans("+/", "-_")


def push(
    target: Mapping[str, str], message: bytes, *, vapid: VapidKey, contact: str, topic: str, clock: Clock
) -> Flow[None]:
    """Deliver `message` to a browser. `topic` makes a later message replace an earlier one that was not shown yet.

    Raises `Vanished`, `Rejected`, or what the transport raises when the service cannot be reached.
    """
    endpoint = target["endpoint"]
    request = Request(
        "POST",
        endpoint,
        Fields(
            [
                ("content-encoding", "aes128gcm"),
                ("content-type", "application/octet-stream"),
                ("ttl", str(_TTL_S)),
                ("urgency", "high"),
                ("topic", topic),
                ("authorization", vapid.authorization(endpoint, contact=contact, now=clock())),
            ]
        ),
        _encrypted(target, message),
    )
    response = yield Send(request, max_body_bytes=16_384)
    if response.status in (404, 410):
        raise Vanished("The browser is not subscribed any more.")
    if not 200 <= response.status < 300:
        after = response.headers.get("retry-after") or ""
        raise Rejected(response.status, int(after) if after.isdecimal() and len(after) < 7 else None)


def _encrypted(target: Mapping[str, str], message: bytes) -> bytes:
    keys = {"p256dh": target["p256dh"], "auth": target["auth"]}
    encode: Callable[..., Any] = _pusher()({"endpoint": target["endpoint"], "keys": keys}).encode
    return bytes(encode(message, content_encoding="aes128gcm")["body"])


def _library() -> Any:
    try:
        import py_vapid
    except ImportError:
        raise ConfigurationError("Web Push needs pip install 'aauthlib[notifications]'.") from None
    return py_vapid


def _pusher() -> Any:
    try:
        from pywebpush import WebPusher
    except ImportError:
        raise ConfigurationError("Web Push needs pip install 'aauthlib[notifications]'.") from None
    return WebPusher
