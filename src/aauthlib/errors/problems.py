"""`application/problem+json` with an `error` member (#error-response-format): one class per code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .base import AAuthError

__all__ = [
    "PROBLEMS",
    "Abandoned",
    "AccessDenied",
    "AsUnreachable",
    "Denied",
    "Expired",
    "ExpiredAgentToken",
    "ExpiredPresentedToken",
    "ExpiredResourceToken",
    "ExpiredSubagentToken",
    "ExpiredUpstreamToken",
    "Gone",
    "InteractionUnavailable",
    "InvalidAccount",
    "InvalidAgentToken",
    "InvalidCode",
    "InvalidPresentedToken",
    "InvalidRequest",
    "InvalidResourceToken",
    "InvalidScope",
    "InvalidSubagentToken",
    "InvalidUpstreamToken",
    "MethodNotAllowed",
    "MissionNotFound",
    "MissionTerminated",
    "NotFound",
    "ProblemError",
    "RateLimited",
    "Revoked",
    "RevokedAgentToken",
    "RevokedPresentedToken",
    "RevokedResourceToken",
    "RevokedSubagentToken",
    "RevokedUpstreamToken",
    "ServerError",
    "SlowDown",
    "TemporarilyUnavailable",
    "TokenClockSkew",
    "UnsupportedIss",
    "UserUnreachable",
]


class ProblemError(AAuthError):
    """An error whose body is `application/problem+json` with an `error` member (#error-response-format)."""

    code: ClassVar[str]
    status: ClassVar[int]

    def body(self) -> dict[str, Any]:
        """The members of the problem body."""
        return {"error": self.code, "status": self.status, **({"detail": self.detail} if self.detail else {})}


class InvalidRequest(ProblemError):
    """Malformed JSON, or missing or invalid parameters."""

    code = "invalid_request"
    status = 400


class InvalidScope(ProblemError):
    """The requested scope is not one the resource defines (#authorization-endpoint-error-responses)."""

    code = "invalid_scope"
    status = 400


class InvalidAccount(ProblemError):
    """The account named is not held by the person (#account-binding)."""

    code = "invalid_account"
    status = 400


class InvalidResourceToken(ProblemError):
    """The resource token is malformed, forged, or disagrees with the presented token."""

    code = "invalid_resource_token"
    status = 400


class ExpiredResourceToken(ProblemError):
    """The resource token expired; a fresh one is to be had from the resource."""

    code = "expired_resource_token"
    status = 400


class RevokedResourceToken(ProblemError):
    """The resource withdrew the resource token."""

    code = "revoked_resource_token"
    status = 400


class InvalidPresentedToken(ProblemError):
    """The presented token is malformed, forged, or neither a person token nor an auth token."""

    code = "invalid_presented_token"
    status = 400


class ExpiredPresentedToken(ProblemError):
    """The presented token expired; the agent needs a fresh person token, then a fresh resource token."""

    code = "expired_presented_token"
    status = 400


class RevokedPresentedToken(ProblemError):
    """The presented token was revoked by the server that issued it."""

    code = "revoked_presented_token"
    status = 400


class InvalidUpstreamToken(ProblemError):
    """The upstream token fails (#upstream-token-verification)."""

    code = "invalid_upstream_token"
    status = 400


class ExpiredUpstreamToken(ProblemError):
    """The upstream token has expired."""

    code = "expired_upstream_token"
    status = 400


class RevokedUpstreamToken(ProblemError):
    """The upstream token, or the calling agent's access, was revoked."""

    code = "revoked_upstream_token"
    status = 400


class InvalidSubagentToken(ProblemError):
    """The sub-agent token fails, names another parent, or has another issuer (#sub-agents)."""

    code = "invalid_subagent_token"
    status = 400


class ExpiredSubagentToken(ProblemError):
    """The sub-agent token has expired; the parent obtains a fresh one."""

    code = "expired_subagent_token"
    status = 400


class RevokedSubagentToken(ProblemError):
    """The sub-agent token was revoked by its provider."""

    code = "revoked_subagent_token"
    status = 400


class InvalidAgentToken(ProblemError):
    """The agent token sent beside a resource token to an access server does not verify, or is another key's."""

    code = "invalid_agent_token"
    status = 400


class ExpiredAgentToken(ProblemError):
    """The agent token sent to an access server expired."""

    code = "expired_agent_token"
    status = 400


class RevokedAgentToken(ProblemError):
    """The agent token sent to an access server was revoked."""

    code = "revoked_agent_token"
    status = 400


class TokenClockSkew(ProblemError):
    """A token sent as a parameter has an `iat` too far ahead of our clock (#token-endpoint-error-codes)."""

    code = "clock_skew"
    status = 400


class UserUnreachable(ProblemError):
    """The person cannot be reached and the agent cannot direct them (#token-endpoint-error-codes)."""

    code = "user_unreachable"
    status = 403


class AsUnreachable(ProblemError):
    """The access server gave no usable answer (#token-endpoint-error-codes)."""

    code = "as_unreachable"
    status = 502


class InteractionUnavailable(ProblemError):
    """The PS has no channel to relay an interaction (#interaction-endpoint-errors)."""

    code = "interaction_unavailable"
    status = 424


class ServerError(ProblemError):
    """An internal failure."""

    code = "server_error"
    status = 500


class TemporarilyUnavailable(ProblemError):
    """`503`: back off for `retry_after_s` seconds, then try again."""

    code = "temporarily_unavailable"
    status = 503

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Denied(ProblemError):
    """The person or an approver said no (#polling-error-codes)."""

    code = "denied"
    status = 403


class Abandoned(ProblemError):
    """The interaction code was used but the person did not finish (#polling-error-codes)."""

    code = "abandoned"
    status = 403


class Expired(ProblemError):
    """The pending request timed out (#polling-error-codes)."""

    code = "expired"
    status = 408


class Revoked(ProblemError):
    """A token the pending request depends on was revoked (#polling-error-codes)."""

    code = "revoked"
    status = 403


class InvalidCode(ProblemError):
    """The interaction code is not recognised, already consumed, or was guessed at too often."""

    code = "invalid_code"
    status = 410


class Gone(ProblemError):
    """The pending URL has given its terminal answer, or was cancelled (#pending-url-security).

    The protocol defines only the status `410` here; the body's `error` is informative.
    """

    code = "gone"
    status = 410


class SlowDown(ProblemError):
    """Polling too often: add 5 seconds to the interval (#polling-error-codes)."""

    code = "slow_down"
    status = 429

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(ProblemError):
    """Too many requests from this caller for now; `retry_after_s` seconds until the next may succeed."""

    code = "rate_limited"
    status = 429

    def __init__(self, detail: str = "", *, retry_after_s: int = 60) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class UnsupportedIss(ProblemError):
    """The recipient does not accept revocations from this caller (#revocation-response)."""

    code = "unsupported_iss"
    status = 403


class NotFound(ProblemError):
    """Nothing is there for this caller. The body's `error` is informative; the status says it all."""

    code = "not_found"
    status = 404


class MissionNotFound(ProblemError):
    """No such mission, or it is not this agent's: nobody can tell which (#mission-endpoint-errors)."""

    code = "mission_not_found"
    status = 404


class MissionTerminated(ProblemError):
    """The mission is permanently ended (#mission-status-errors); `reason` says why, as far as it is told."""

    code = "mission_terminated"
    status = 403

    def __init__(self, detail: str = "", *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason

    def body(self) -> dict[str, Any]:
        """The problem, with the mission's status and the reason."""
        why = {"termination_reason": self.reason} if self.reason is not None else {}
        return {**super().body(), "mission_status": "terminated", **why}


class AccessDenied(ProblemError):
    """The signature verified and this caller is still not let in (signature-key#5.3). The `error` is informative."""

    code = "access_denied"
    status = 403


class MethodNotAllowed(ProblemError):
    """The endpoint does not take this HTTP method."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, detail: str = "", *, allow: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.allow = tuple(allow)


PROBLEMS: Mapping[str, type[ProblemError]] = {
    cls.code: cls
    for cls in (
        InvalidRequest,
        InvalidScope,
        InvalidAccount,
        InvalidResourceToken,
        ExpiredResourceToken,
        RevokedResourceToken,
        InvalidPresentedToken,
        ExpiredPresentedToken,
        RevokedPresentedToken,
        InvalidUpstreamToken,
        ExpiredUpstreamToken,
        RevokedUpstreamToken,
        InvalidSubagentToken,
        ExpiredSubagentToken,
        RevokedSubagentToken,
        InvalidAgentToken,
        ExpiredAgentToken,
        RevokedAgentToken,
        TokenClockSkew,
        UserUnreachable,
        AsUnreachable,
        InteractionUnavailable,
        ServerError,
        TemporarilyUnavailable,
        Denied,
        Abandoned,
        Expired,
        Revoked,
        InvalidCode,
        Gone,
        SlowDown,
        RateLimited,
        UnsupportedIss,
        NotFound,
        MissionNotFound,
        MissionTerminated,
        AccessDenied,
        MethodNotAllowed,
    )
}
