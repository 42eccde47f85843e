"""A pending URL that an agent waits at, and what its answer is checked against (#pending-response). Values only."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..tokens import ResourceToken
from ..verification import Level

__all__ = ["ANSWER", "AuthTokenAsked", "Wait"]

ANSWER: Literal["answer"] = "answer"


class AuthTokenAsked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a resource token said, as far as the auth token is compared with it (#auth-token-response-verification)."""

    aud: str
    sub: str
    ps: str
    scope: tuple[str, ...] | None = None
    account: str | None = None
    mission_s256: str | None = None

    @classmethod
    def by(cls, token: ResourceToken) -> AuthTokenAsked:
        """What `token` asks for."""
        return cls(
            aud=token.aud,
            sub=token.sub,
            ps=token.ps,
            scope=token.scope,
            account=token.account,
            mission_s256=token.mission_s256,
        )


class Wait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One pending URL."""

    location: str = ""
    """`""` as long as nothing is open."""
    gives: Literal["person-token", "auth-token", "answer"] = ANSWER
    """What it ends in: a token of the person server's, or the answer itself."""
    asked: AuthTokenAsked | None = None
    """Of an auth token."""
    with_person: bool = False
    """Of an answer of the resource's: whether it was asked for with a token that names the person."""
    url: str | None = None
    """The page the person is wanted on, and its code, which only the first answer said."""
    code: str | None = None

    @classmethod
    def at_level(cls, level: Level) -> Wait:
        """For an answer of a resource that was asked with a credential of `level`."""
        return cls(with_person=level >= Level.PERSON)
