"""Issuing person and auth tokens (#person-token-structure, #auth-token-structure), and the record of each.

The one place where this server signs a token. What may be issued was decided before; the bounds of its lifetime are
applied here. Knows no store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..base64url import b64url_encode
from ..deferred.pending import Completion
from ..effects import Clock
from ..errors import Expired, TokenInvalid
from ..http import json_response
from ..messages.identity_scopes import released_claims
from ..store.person_records import IssuedToken
from ..tokens import MAX_LIFETIME_S, PERSON_DWK, issue_auth_token, issue_person_token
from .asked import AUTH_TOKEN, PERSON_TOKEN, Asked
from .keys import ServerKeys

__all__ = ["Mint"]


class Mint:
    """Issues tokens in the name of one person server."""

    def __init__(
        self, issuer: str, keys: Callable[[], ServerKeys], *, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._issuer, self._keys, self._clock, self._random_bytes = issuer, keys, clock, random_bytes

    def person_token(self, asked: Asked, person_id: str, *, tenant: str | None = None) -> Completion:
        """Issue a person token. `tenant` is the person's organisation.

        Raises `Expired` when what it hangs on has expired.
        """
        now, jti, keys = self._clock(), self._jti(), self._keys()
        sub = keys.directed.sub(person_id, asked.resource)
        try:
            token = issue_person_token(
                keys.signing,
                iss=self._issuer,
                aud=asked.resource,
                sub=sub,
                cnf=asked.key,
                jti=jti,
                now=now,
                not_after=asked.not_after,
                tenant=tenant,
                mission_s256=asked.mission_s256,
            )
        except TokenInvalid as error:
            raise _expired() from error
        return self._completion(asked, PERSON_TOKEN, token, person_id=person_id, sub=sub, jti=jti, now=now)

    def auth_token(
        self, asked: Asked, person_id: str, *, scopes: Sequence[str], profile: Mapping[str, Any]
    ) -> Completion:
        """Issue an auth token for the granted `scopes`. Raises `Expired` as `person_token` does."""
        now, jti, keys = self._clock(), self._jti(), self._keys()
        sub = keys.directed.sub(person_id, asked.resource)
        # Never more than the resource token asked, whatever was decided.
        granted = [value for value in asked.scope if value in scopes]
        if sub != asked.sub or not granted:
            raise TokenInvalid("What was decided does not belong to what was asked.")
        try:
            token = issue_auth_token(
                keys.signing,
                iss=self._issuer,
                dwk=PERSON_DWK,
                ps=self._issuer,
                aud=asked.resource,
                sub=sub,
                cnf=asked.key,
                jti=jti,
                now=now,
                not_after=asked.not_after,
                scope=granted,
                account=asked.account,
                tenant=asked.tenant,
                mission_s256=asked.mission_s256,
                claims=released_claims(granted, profile),
            )
        except TokenInvalid as error:
            raise _expired() from error
        scope = " ".join(granted)
        return self._completion(asked, AUTH_TOKEN, token, person_id=person_id, sub=sub, jti=jti, now=now, scope=scope)

    def _jti(self) -> str:
        return b64url_encode(self._random_bytes(16))

    def _completion(
        self,
        asked: Asked,
        kind: str,
        token: str,
        *,
        person_id: str,
        sub: str,
        jti: str,
        now: float,
        scope: str | None = None,
    ) -> Completion:
        exp = int(min(int(now) + MAX_LIFETIME_S, asked.not_after))
        record = IssuedToken(
            jti=jti,
            kind=kind,
            aud=asked.resource,
            exp=exp,
            agent=asked.agent_id,
            person_id=person_id,
            sub=sub,
            subagent=asked.subagent,
            presented_jti=asked.presented_jti,
            upstream=asked.upstream_id,
            root=asked.root,
            scope=scope,
            mission=asked.mission_s256,
            justification=asked.justification,
            issued_at=now,
        )
        return Completion(json_response(200, {kind: token, "expires_in": exp - int(now)}), record)


def _expired() -> Expired:
    return Expired("A token the request depends on has expired; obtain fresh ones and ask again.")
