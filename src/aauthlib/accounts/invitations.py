"""Invitations: links that let somebody in once (#ps-approval-endpoint-auth).

What they let somebody into is the role's business. The secret of 256 random bits is in the link alone; what is kept is
its digest.
"""

from __future__ import annotations

import hashlib

__all__ = ["INVITATION_LIFETIME_S", "MAX_OPEN_INVITATIONS", "invitation_digest"]

INVITATION_LIFETIME_S = 7 * 86_400
MAX_OPEN_INVITATIONS = 100


def invitation_digest(secret: str) -> str:
    """What is stored of an invitation's secret."""
    return hashlib.sha256(b"invitation " + secret.encode("utf-8", "replace")).hexdigest()
