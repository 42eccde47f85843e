"""What an agent provider refuses, in problem+json (#error-response-format).

The ceremonies are each provider's own (draft-hardt-aauth-bootstrap), so these three codes are this project's. A client
that does not know them goes by the status, `403`, and shows the `detail`. This module knows no HTTP.
"""

from __future__ import annotations

from ..errors import ProblemError

__all__ = ["EnrollmentRefused", "EnrollmentRevoked", "EnrollmentUnknown"]


class EnrollmentRefused(ProblemError):
    """The provider's gate did not admit the key: no invitation, a wrong one, or no room."""

    code = "enrollment_refused"
    status = 403


class EnrollmentUnknown(ProblemError):
    """No agent is enrolled with the key that signed; the client enrols first."""

    code = "enrollment_unknown"
    status = 403


class EnrollmentRevoked(ProblemError):
    """The enrolment of this key was revoked. It stays so: a new agent needs a new key."""

    code = "enrollment_revoked"
    status = 403
