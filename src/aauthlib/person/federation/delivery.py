"""Verifying the auth token that an access server delivers (#auth-token-delivery, #auth-token-structure)."""

from __future__ import annotations

from ...effects import Clock, Flow
from ...errors import AAuthError, AsUnreachable
from ...tokens import ACCESS_DWK, AuthToken, VerificationPolicy, verify
from ...tokens.profile import read
from .answers import Expected
from .reading import AnswerReader

__all__ = ["verify_delivery"]


def verify_delivery(
    text: object, expected: Expected, reader: AnswerReader, *, clock: Clock, policy: VerificationPolicy
) -> Flow[AuthToken]:
    """Steps 1 to 7, and what #auth-token-structure adds. Raises `AsUnreachable` for whatever is not as it must be."""
    if not isinstance(text, str):
        raise reader.unreachable("answered without an auth token")
    try:
        # Step 2 before step 1: nobody else's keys are fetched because this server names them.
        claimed = read(text, AuthToken, now=clock(), policy=policy).token
        if claimed.iss != expected.access_server or claimed.dwk != ACCESS_DWK:
            raise reader.unreachable("answered with another server's token")
        token: AuthToken = yield from verify(text, AuthToken, now=clock(), policy=policy)
    except AsUnreachable:
        raise
    except AAuthError as error:
        raise reader.unreachable("answered with a token that does not verify") from error
    for wrong, what in (
        (token.aud != expected.aud, "for another resource"),
        (token.cnf.thumbprint != expected.cnf.thumbprint, "bound to another key"),
        (token.sub != expected.sub or token.ps != expected.person_server, "naming another person"),
        (not set(token.scope or ()) <= expected.scope, "with more scope than was asked and allowed"),
        (token.account != expected.account, "for another account"),
        (token.mission_s256 != expected.mission_s256, "for another mission"),
        # An access server says nothing of where a person belongs; it may leave out what it was told.
        (token.tenant not in (None, expected.tenant), "for another organisation"),
        (token.exp > expected.not_after, "that outlives a token it hangs on"),
    ):
        if wrong:
            raise reader.unreachable(f"answered with a token {what}")
    return token
