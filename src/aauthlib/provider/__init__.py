"""The agent provider: self-published (static files) or as a server (#agent-tokens; draft-hardt-aauth-bootstrap)."""

from ..store.keyring import KeyRing
from ..store.provider_records import (
    Enrollment,
    EnrollmentRefused,
    EnrollmentRevoked,
    EnrollmentUnknown,
    IssuedToken,
    ProviderStore,
)
from .enrollment import EnrollmentGate, EnrollmentRequest, InvitationCodes
from .provider import AgentProvider
from .revocation import Outcome, RevokedToken
from .selfpublished import Published, check_published, publish, self_issue

__all__ = [
    "AgentProvider",
    "Enrollment",
    "EnrollmentGate",
    "EnrollmentRefused",
    "EnrollmentRequest",
    "EnrollmentRevoked",
    "EnrollmentUnknown",
    "InvitationCodes",
    "IssuedToken",
    "KeyRing",
    "Outcome",
    "ProviderStore",
    "Published",
    "RevokedToken",
    "check_published",
    "publish",
    "self_issue",
]
