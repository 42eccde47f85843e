"""Requests whose path or method could mean one thing to the policy and another to the application.

The policy decides on the path the application sees, the signature covers the target as it was sent. What decodes
ambiguously between the two is refused here, before anything is decided (#covered-components, #untrusted-input).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from ..errors import InvalidRequest

__all__ = ["METHOD_OVERRIDES", "check_unambiguous", "route_path"]

#: Header fields by which some frameworks let a POST be handled as another method.
METHOD_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})

_METHOD = re.compile(r"[A-Z][A-Z0-9_-]{0,31}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Encoded separators and dots, in the target as sent, and once more in what it decodes to.
_ENCODED = re.compile(r"%(?:2f|5c|2e)", re.IGNORECASE)
_ENCODED_SEPARATOR = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
_MAX_PATH_LENGTH = 8192


def check_unambiguous(method: str, raw_path: str, path: str, header_names: Iterable[str]) -> None:
    """Refuse what the application might read differently from the policy.

    `raw_path` is the path as sent (no query), `path` as decoded by the server, which is what the application sees.
    Raises `InvalidRequest` for a method that is not upper case, a method override header, an encoded slash or
    backslash, dot segments, empty segments, control characters, and a path that is not UTF-8.
    """
    if not _METHOD.match(method):
        raise InvalidRequest("The HTTP method must be a token in upper case.")
    if not METHOD_OVERRIDES.isdisjoint(header_names):
        raise InvalidRequest("Send the request with the method you mean; method override headers are not accepted.")
    if len(raw_path) > _MAX_PATH_LENGTH or len(path) > _MAX_PATH_LENGTH:
        raise InvalidRequest(f"The path is longer than {_MAX_PATH_LENGTH} characters.")
    if _ENCODED_SEPARATOR.search(raw_path) or _ENCODED.search(path):
        raise InvalidRequest("The path has an encoded slash, backslash or dot, which could be read in two ways.")
    if "\\" in path or "//" in path or _CONTROL.search(path) or not path.startswith("/"):
        raise InvalidRequest("The path has a backslash, an empty segment or a control character.")
    if "/." in path and not {".", ".."}.isdisjoint(path.split("/")):
        raise InvalidRequest("The path has a dot segment; send it already resolved.")
    if "%" not in raw_path and raw_path.isascii():
        return
    try:
        unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The path is not UTF-8.") from error


def route_path(path: str, root_path: str) -> str:
    """The path the application routes on: `path` without the prefix it is mounted under."""
    if root_path and path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        return path[len(root_path) :] or "/"
    return path
