"""#resource-token-verification at a person server, as numbered steps, with the presented token beside it."""

from __future__ import annotations

from ..effects import Flow
from ..errors import (
    AAuthError,
    InvalidPresentedToken,
    InvalidResourceToken,
    MissionTerminated,
    RevokedPresentedToken,
    RevokedResourceToken,
    as_parameter_error,
)
from ..keys import PublicKey
from ..tokens import AgentToken, AuthToken, PersonToken, ResourceToken, verify
from ..tokens.checks import check_askable, check_presented_token, check_resource_token
from .admission import admit
from .core import PersonServerCore
from .upstream import Upstream

__all__ = ["verify_resource_token"]


async def verify_resource_token(
    server: PersonServerCore,
    resource_text: str,
    presented_text: str,
    *,
    agent: AgentToken,
    key: PublicKey,
    upstream: Upstream | None = None,
) -> tuple[ResourceToken, PersonToken | AuthToken]:
    """Verify the pair that an auth token request carries.

    `agent` signed the request; `key` is its key, or that of the sub-agent it asks for. Down a chain, `upstream` says
    for whom. The resource token's `aud` may be an access server: the caller decides what to do then. Raises
    `<invalid|expired|revoked>_resource_token`, the same for `presented`, `clock_skew`, `mission_terminated`, or
    `temporarily_unavailable`.
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
    check_askable(token)
    # Step 3: the presented token.
    flow: Flow[PersonToken | AuthToken] = verify(
        presented_text, PersonToken, AuthToken, now=now, policy=policy, cache=server.cache
    )
    try:
        presented = await server.run(flow)
    except AAuthError as error:
        raise as_parameter_error(error, "presented") from error
    check_presented_token(token, presented)
    await _check_holder(server, presented, agent, upstream)
    # Step 4: the mission, which is the one the presented token names, is active.
    if upstream is not None and upstream.token.mission_s256 != token.mission_s256:
        raise InvalidPresentedToken("The presented token belongs to another mission than the upstream token.")
    if token.mission_s256 is not None:
        mission = await store.mission(upstream.root if upstream else agent.identity, token.mission_s256)
        if mission is None:
            raise InvalidResourceToken("The resource token names a mission that this server does not know.")
        reason = mission.ended(now=now)
        if reason is not None:
            raise MissionTerminated("The mission of this resource token has ended.", reason=reason)
    # Where the person goes first, if the resource has a page of its own (#resource-initiated-interaction).
    if token.interaction is not None:
        await admit(server, token.interaction.url, InvalidResourceToken)
    return token, presented


async def _check_holder(
    server: PersonServerCore, presented: PersonToken | AuthToken, agent: AgentToken, upstream: Upstream | None
) -> None:
    """The person and the agent behind the presented token are those of this request (#agent-person-binding)."""
    store = server.store
    own = server.is_own(presented)
    record = await store.issued(presented.jti) if own else await store.federated(presented.iss, presented.jti)
    if record is None and own:
        raise InvalidPresentedToken("This server has no record of the presented token; obtain a fresh one.")
    if record is not None:
        if record.revoked_at is not None:
            raise RevokedPresentedToken("The presented token was revoked; obtain a fresh person token.")
        if record.agent != agent.identity:
            raise InvalidPresentedToken("The presented token was issued to another agent.")
        if record.root is not None and upstream is None:
            raise InvalidPresentedToken("The presented token was issued down a chain; ask with upstream_token.")
    person_id = await store.person_of(resource=presented.aud, sub=presented.sub)
    if upstream is not None:
        expected: str | None = upstream.person_id
    else:
        binding = (await store.standing(agent.identity, resource=presented.aud)).binding
        expected = binding.person_id if binding is not None else None
    if expected is None or person_id != expected:
        raise InvalidPresentedToken("The presented token names another person than the agent acts for.")
