"""#resource-token-verification at a person server, as numbered steps, with the presented token beside it."""

from __future__ import annotations

import re

from ..effects import Flow
from ..errors import (
    AAuthError,
    InvalidPresentedToken,
    InvalidResourceToken,
    RevokedPresentedToken,
    RevokedResourceToken,
    as_parameter_error,
)
from ..keys import PublicKey
from ..tokens import AgentToken, AuthToken, PersonToken, ResourceToken, verify
from ..tokens.checks import check_presented_token, check_resource_token
from .core import PersonServerCore

__all__ = ["verify_resource_token"]

_MAX_SCOPE_VALUES = 50
_MAX_ACCOUNT_LENGTH = 512
# scope-token of RFC 6749, Section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}\Z")


async def verify_resource_token(
    server: PersonServerCore, resource_text: str, presented_text: str, *, agent: AgentToken, key: PublicKey
) -> tuple[ResourceToken, PersonToken | AuthToken]:
    """Verify the pair that an auth token request carries.

    `agent` signed the request; `key` is its key, or that of the sub-agent it asks for. The resource token's `aud` may
    be an access server: the caller decides what to do then. Raises `<invalid|expired|revoked>_resource_token`, the same
    for `presented`, or `clock_skew`.
    """
    now, policy, store = server.clock(), server.policy, server.store
    # The resource token, per #common-verification.
    try:
        token = await server.run(verify(resource_text, ResourceToken, now=now, policy=policy))
    except AAuthError as error:
        raise as_parameter_error(error, "resource") from error
    # Steps 1 and 2. Another `aud` than this server is an access server; `ps` must name this server in both cases.
    check_resource_token(token, recipient=token.aud, agent_key=key)
    if token.ps != server.issuer:
        raise InvalidResourceToken("The resource token names another person server.")
    if await store.is_revoked(token.iss, token.jti):
        raise RevokedResourceToken("The resource withdrew this resource token; call the resource again.")
    _check_contents(token)
    # Step 3: the presented token.
    flow: Flow[PersonToken | AuthToken] = verify(
        presented_text, PersonToken, AuthToken, now=now, policy=policy, cache=server.cache
    )
    try:
        presented = await server.run(flow)
    except AAuthError as error:
        raise as_parameter_error(error, "presented") from error
    check_presented_token(token, presented)
    await _check_holder(server, presented, agent)
    # Step 4: a mission this server does not know cannot be active.
    if token.mission_s256 is not None:
        raise InvalidResourceToken("The resource token names a mission that this server does not know.")
    return token, presented


def _check_contents(token: ResourceToken) -> None:
    """What is asked can be shown and enforced."""
    if not token.scope:
        raise InvalidResourceToken("The resource token asks for no scope, and this server knows no claim in its place.")
    if len(token.scope) > _MAX_SCOPE_VALUES or not all(_SCOPE.match(value) for value in token.scope):
        raise InvalidResourceToken(f"scope must be at most {_MAX_SCOPE_VALUES} well-formed values, one space between.")
    if token.account is not None and (len(token.account) > _MAX_ACCOUNT_LENGTH or not token.account.isprintable()):
        raise InvalidResourceToken(f"account must be at most {_MAX_ACCOUNT_LENGTH} printable characters.")


async def _check_holder(server: PersonServerCore, presented: PersonToken | AuthToken, agent: AgentToken) -> None:
    """The person and the agent behind the presented token are those of this request (#agent-person-binding)."""
    store = server.store
    if presented.iss == server.issuer:
        record = await store.issued(presented.jti)
        if record is None:
            raise InvalidPresentedToken("This server has no record of the presented token; obtain a fresh one.")
        if record.revoked_at is not None:
            raise RevokedPresentedToken("The presented token was revoked; obtain a fresh person token.")
        if record.agent != agent.identity:
            raise InvalidPresentedToken("The presented token was issued to another agent.")
    person_id = await store.person_of(resource=presented.aud, sub=presented.sub)
    standing = await store.standing(agent.identity, resource=presented.aud)
    if standing.binding is None or person_id != standing.binding.person_id:
        raise InvalidPresentedToken("The presented token names another person than the agent acts for.")
