"""Issuing auth tokens as an access server (#auth-token-structure), and the record of each. Knows no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..deferred.pending import Completion
from ..errors import Expired, TokenInvalid
from ..http import json_response
from ..messages.identity_scopes import released_claims
from ..store.access_records import IssuedAuthToken
from ..tokens import ACCESS_DWK, MAX_LIFETIME_S, issue_auth_token
from .asked import Asked
from .core import AccessServerCore

__all__ = ["mint"]


def mint(server: AccessServerCore, asked: Asked, *, scope: Sequence[str], claims: Mapping[str, Any]) -> Completion:
    """The `200` with an auth token for `scope`, and what is recorded of it.

    `claims` are the identity claims the person server gave; the granted identity scopes release theirs. Raises
    `Expired` when what the token hangs on has expired.
    """
    now, jti = server.clock(), server.random_jti()
    # Never more than the resource token asked, whatever was decided.
    granted = [value for value in asked.scope if value in scope]
    if not granted:
        raise TokenInvalid("What was decided does not belong to what was asked.")
    try:
        token = issue_auth_token(
            server.keys.signing,
            iss=server.issuer,
            dwk=ACCESS_DWK,
            ps=asked.ps,
            aud=asked.resource,
            sub=asked.sub,
            cnf=asked.key,
            jti=jti,
            now=now,
            not_after=asked.not_after,
            scope=granted,
            account=asked.account,
            mission_s256=asked.mission_s256,
            tenant=asked.tenant,
            claims=released_claims(granted, claims),
        )
    except TokenInvalid as error:
        raise Expired("A token the request depends on has expired; obtain fresh ones and ask again.") from error
    exp = int(min(int(now) + MAX_LIFETIME_S, asked.not_after))
    record = IssuedAuthToken(
        jti=jti,
        ps=asked.ps,
        aud=asked.resource,
        sub=asked.sub,
        exp=exp,
        grounds=asked.grounds,
        root=asked.root.ground,
        scope=" ".join(granted),
        issued_at=now,
    )
    return Completion(json_response(200, {"auth_token": token, "expires_in": exp - int(now)}), record)
