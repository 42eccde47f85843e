"""The small headers: `AAuth-Access`, `AAuth-Capabilities`, `Accept-Signature-*`, `Signature-Error`, `Prefer`.

Each has one reader and one writer. Readers of what servers say are lenient as the spec asks (unknown members are
ignored); what is a credential is read strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

from ..errors import SIGNATURE_ERRORS, InvalidInput, InvalidRequest, SignatureError
from ..fields import FieldError, Token, parse_dictionary, parse_list, serialize
from ..http import Fields

__all__ = [
    "accept_signature",
    "accepted_tokens",
    "parse_access",
    "parse_capabilities",
    "parse_prefer_wait",
    "parse_retry_after",
    "parse_session_token",
    "parse_signature_error",
    "serialize_signature_error",
    "serialize_tokens",
    "session_authorization",
]

_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*\Z")
_MAX_SESSION_TOKEN_LENGTH = 8192
_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)
_SECONDS = re.compile(r"[0-9]{1,9}\Z")


def serialize_tokens(tokens: Iterable[str]) -> str:
    """A List of Tokens: `AAuth-Capabilities`, `Accept-Signature-Scheme`, `Accept-Signature-Alg`."""
    return serialize([(Token(token), {}) for token in tokens])


def accepted_tokens(headers: Fields, name: str) -> tuple[str, ...] | None:
    """The Tokens of a List header, or `None` when it is absent or malformed (an advisory header is then ignored)."""
    value = headers.get(name)
    if value is None:
        return None
    try:
        return tuple(str(item) for item, _ in parse_list(value) if isinstance(item, Token))
    except FieldError:
        return None


def accept_signature(schemes: Iterable[str], algorithms: Iterable[str]) -> list[tuple[str, str]]:
    """`Accept-Signature-Scheme` and `Accept-Signature-Alg` (HTTP Signature Keys, Section 4), in order of preference.

    Either is left out where nothing is listed: an empty List is not written (RFC 9651, Section 4.1).
    """
    listed = (("accept-signature-scheme", tuple(schemes)), ("accept-signature-alg", tuple(algorithms)))
    return [(name, serialize_tokens(tokens)) for name, tokens in listed if tokens]


def parse_capabilities(headers: Fields) -> frozenset[str]:
    """#aauth-capabilities: when the header is absent, no capability is assumed."""
    return frozenset(accepted_tokens(headers, "aauth-capabilities") or ())


def parse_access(headers: Fields) -> str | None:
    """The session token in `AAuth-Access` (#aauth-access), or `None` when the response carries none.

    Raises `InvalidRequest` for an empty value, white space or control characters, or more than one credential.
    """
    values = headers.get_all("aauth-access")
    if not values:
        return None
    if len(values) > 1:
        raise InvalidRequest("The response carries more than one AAuth-Access credential.")
    return _token68(values[0])


def parse_session_token(headers: Fields) -> str | None:
    """The credential in `Authorization: AAuth`, or `None` when the request has no such header.

    Raises `InvalidRequest` when it is malformed or there is more than one.
    """
    credentials = [value.strip(" \t") for value in headers.get_all("authorization")]
    sessions = [value for value in credentials if value.lower() == "aauth" or value.lower().startswith("aauth ")]
    if not sessions:
        return None
    if len(credentials) > 1:
        raise InvalidRequest("The request carries more than one Authorization credential.")
    return _token68(sessions[0][6:].strip(" "))


def session_authorization(session_token: str) -> str:
    """The `Authorization` value that presents a session token."""
    return f"AAuth {session_token}"


def _token68(value: str) -> str:
    if len(value) > _MAX_SESSION_TOKEN_LENGTH or not _TOKEN68.match(value):
        raise InvalidRequest("An AAuth session token is one non-empty token68 value.")
    return value


def serialize_signature_error(error: SignatureError) -> str:
    """The `Signature-Error` header (HTTP Signature Keys, Section 5)."""
    members: dict[str, object] = {"error": (Token(error.code), {})}
    for name, strings in error.members().items():
        members[name] = ([(string, {}) for string in strings], {})
    return serialize(members)


def parse_signature_error(headers: Fields) -> SignatureError | None:
    """Read `Signature-Error`; `None` when it is absent, malformed or names an unknown code."""
    value = headers.get("signature-error")
    if value is None:
        return None
    try:
        members = parse_dictionary(value)
    except FieldError:
        return None
    code = members.get("error", (None, {}))[0]
    cls = SIGNATURE_ERRORS.get(str(code)) if isinstance(code, Token) else None
    if cls is None:
        return None
    if cls is InvalidInput:
        required = members.get("required_input", ([], {}))[0]
        names = [item for item, _ in required if isinstance(item, str)] if isinstance(required, list) else []
        return InvalidInput("The server requires more covered components.", required_input=names)
    return cls(cls.title)


def parse_prefer_wait(headers: Fields, *, most_s: int) -> int:
    """Seconds a caller is willing to wait (`Prefer: wait=N`, RFC 7240), at most `most_s`; 0 when it does not say."""
    value = headers.get("prefer")
    match = _WAIT.search(value) if value is not None and len(value) <= 1024 else None
    return min(int(match.group(1)), most_s) if match else 0


def parse_retry_after(headers: Fields, *, now: float, default_s: float) -> float:
    """Seconds to wait by `Retry-After` (seconds or a date), never negative; `default_s` when absent or malformed."""
    value = headers.get("retry-after")
    if value is None:
        return default_s
    if _SECONDS.match(value):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):  # OverflowError: a time zone of many digits
        return default_s
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now)
