"""`Content-Digest` (RFC 9530), of a whole body and of one that streams."""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64

from ..errors import InvalidSignature
from ..fields import FieldError, parse_dictionary

__all__ = ["DIGEST_ALGORITHMS", "DigestVerifier", "content_digest", "verify_content_digest"]

_HASHES = {"sha-256": "sha256", "sha-512": "sha512"}

#: The algorithms that are verified wherever they occur.
DIGEST_ALGORITHMS: tuple[str, ...] = tuple(_HASHES)


def content_digest(body: bytes, *algorithms: str) -> str:
    """The `Content-Digest` value of `body`: one member for each of `algorithms`, `sha-256` unless told otherwise."""
    return ", ".join([_member(body, algorithm) for algorithm in algorithms or ("sha-256",)])


def _member(body: bytes, algorithm: str) -> str:
    digest = hashlib.new(_HASHES[algorithm], body).digest()
    return f"{algorithm}=:{b2a_base64(digest, newline=False).decode('ascii')}:"


def verify_content_digest(value: str, body: bytes) -> None:
    """Check every digest in `value` that we can compute, as `DigestVerifier` does. Raises `InvalidSignature`."""
    if value == content_digest(body):  # the one form nearly every client sends
        return
    verifier = DigestVerifier(value)
    verifier.feed(body)
    verifier.finish()


class DigestVerifier:
    """Holds a body against its `Content-Digest` as it arrives, without keeping any of it.

    `feed` every chunk in order, then `finish`. What was fed is not to be trusted before `finish` has returned.
    """

    def __init__(self, value: str) -> None:
        """Read the field `value`.

        Raises `InvalidSignature` when it is malformed or holds no algorithm known here (`sha-256`, `sha-512`).
        """
        try:
            members = parse_dictionary(value)
        except FieldError as error:
            raise InvalidSignature("Content-Digest is not a well-formed dictionary.") from error
        self._expected = [
            (hashlib.new(_HASHES[name]), member[0]) for name, member in members.items() if name in _HASHES
        ]
        if not self._expected:
            raise InvalidSignature("Content-Digest has no sha-256 or sha-512 digest.")

    def feed(self, chunk: bytes) -> None:
        """Take the next part of the body."""
        for running, _ in self._expected:
            running.update(chunk)

    def finish(self) -> None:
        """Say that the body is complete.

        Raises `InvalidSignature` when any known digest differs: a body with one right and one wrong digest was altered.
        """
        for running, digest in self._expected:
            if not isinstance(digest, bytes) or not hmac.compare_digest(digest, running.digest()):
                raise InvalidSignature("Content-Digest does not match the body that arrived.")
