"""Errors as responses, and back: the one place where an `AAuthError` becomes HTTP (#error-responses)."""

from __future__ import annotations

from typing import TypeVar

from ..errors import (
    AAuthError,
    AsUnreachable,
    Denied,
    Expired,
    Gone,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ProblemError,
    RateLimited,
    ServerError,
    SignatureError,
    SlowDown,
    TemporarilyUnavailable,
    TokenError,
    UnsupportedAlgorithm,
    UnsupportedScheme,
    as_signature_error,
    parse_problem,
)
from ..http import Response, json_response
from .headers import accept_signature, accepted_tokens, parse_signature_error, serialize_signature_error

__all__ = ["error_of", "error_response"]

PROBLEM_JSON = "application/problem+json"
_MAX_RETRY_DIGITS = 9


def error_response(error: AAuthError) -> Response:
    """The response that tells the other party about `error`.

    A `403` carries none of the signature headers, since access was denied after the signature verified. An error
    without a wire form of its own is a `server_error` whose text says nothing about it.
    """
    if isinstance(error, TokenError):
        error = as_signature_error(error)
    if isinstance(error, SignatureError):
        headers = [("signature-error", serialize_signature_error(error))]
        schemes = error.accepted_schemes or (error.accepted if isinstance(error, UnsupportedScheme) else ())
        algorithms = error.accepted_algorithms or (error.accepted if isinstance(error, UnsupportedAlgorithm) else ())
        headers.extend(accept_signature(schemes, algorithms))
        return json_response(error.status, error.body(), headers=headers, content_type=PROBLEM_JSON)
    if not isinstance(error, ProblemError):
        error = ServerError("The server met an error of its own. Try again later.")
    headers = []
    if isinstance(error, SlowDown | RateLimited | TemporarilyUnavailable):
        headers.append(("retry-after", str(max(0, int(error.retry_after_s)))))
    if isinstance(error, MethodNotAllowed):
        headers.append(("allow", ", ".join(error.allow)))
    return json_response(error.status, error.body(), headers=headers, content_type=PROBLEM_JSON)


#: What a status means at a token endpoint or pending URL when the body does not say (#deferred-response-state-machine).
_BY_STATUS: dict[int, type[ProblemError]] = {
    400: InvalidRequest,
    403: Denied,
    404: NotFound,
    408: Expired,
    410: Gone,
    429: SlowDown,
    500: ServerError,
    502: AsUnreachable,
    503: TemporarilyUnavailable,
}


def error_of(response: Response) -> AAuthError:
    """The error a response of another party stands for: `Signature-Error` first, then the body, then the status."""
    if response.status == 401:
        signature_error = parse_signature_error(response.headers)
        if signature_error is not None:
            return _with_headers(signature_error, response)
    error = parse_problem(response.status, response.body)
    cls = _BY_STATUS.get(response.status)
    if error is None and cls is not None:
        error = cls(_detail(response) or f"The server answered {response.status} without saying why.")
    if error is not None:
        return _with_headers(error, response)
    return AAuthError(f"The server answered {response.status}, which means nothing at this point of the protocol.")


_E = TypeVar("_E", bound=AAuthError)


def _with_headers(error: _E, response: Response) -> _E:
    """`error` with what `error_response` puts into headers. A date in `Retry-After` needs a clock and is left alone."""
    headers = response.headers
    if isinstance(error, UnsupportedScheme):
        error.accepted = accepted_tokens(headers, "accept-signature-scheme") or ()
    elif isinstance(error, UnsupportedAlgorithm):
        error.accepted = accepted_tokens(headers, "accept-signature-alg") or ()
    elif isinstance(error, SlowDown | RateLimited | TemporarilyUnavailable):
        seconds = headers.get("retry-after") or ""
        if seconds.isascii() and seconds.isdigit() and len(seconds) <= _MAX_RETRY_DIGITS:
            error.retry_after_s = int(seconds)
    elif isinstance(error, MethodNotAllowed):
        error.allow = tuple(filter(None, (name.strip() for name in (headers.get("allow") or "").split(","))))
    return error


def _detail(response: Response) -> str:
    """What a problem with a code unknown here says for people."""
    try:
        document = response.json()
    except ValueError:
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    return detail if isinstance(detail, str) else ""
