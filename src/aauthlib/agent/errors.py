"""How an exchange fails on the agent's side (#requirement-values, #resource-challenge-verification).

What another party says no with (`Denied`, `UserUnreachable`, ...) keeps its own class from `aauthlib.errors`. Here
stand the failures only an agent has; each says what was asked, what this agent lacks and what to do next.

    AgentError
    ├── ChallengeInvalid      the server's challenge breaks the protocol or fails verification
    ├── ChallengeUnmet        the challenge is fine, this agent cannot satisfy it
    ├── NoProgress            the same is asked again although it was given, or too many round trips
    ├── RequestRefused        the server refuses the signature and nothing this agent can change helps
    └── EnrolmentFailed       the agent provider gives no agent token
"""

from __future__ import annotations

from ..errors import AAuthError, SignatureError
from ..http import Response

__all__ = ["AgentError", "ChallengeInvalid", "ChallengeUnmet", "EnrolmentFailed", "NoProgress", "RequestRefused"]


class AgentError(AAuthError):
    """An exchange ended without the response the application wants. `response` is the last one, if there was one."""

    def __init__(self, detail: str = "", *, response: Response | None = None) -> None:
        super().__init__(detail)
        self.response = response


class ChallengeInvalid(AgentError):
    """The server's challenge breaks the protocol; nothing was sent to anybody on its account."""


class ChallengeUnmet(AgentError):
    """The server asks for something this agent does not have or was not set up to do."""


class NoProgress(AgentError):
    """The server asks again for what it was just given, or keeps asking without end."""


class RequestRefused(AgentError):
    """The server refuses the signature or its key. `reason` is what it said (`Signature-Error`)."""

    def __init__(self, detail: str, reason: SignatureError, *, response: Response | None = None) -> None:
        super().__init__(detail, response=response)
        self.reason = reason


class EnrolmentFailed(AgentError):
    """The agent provider refused, or its answer is not what was asked for."""
