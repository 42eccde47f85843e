"""Every check of #ps-to-as-token-request: five tokens, compared with each other and with the person server that signed.

The order is that of #resource-token-verification, the agent token last: what -11 asks for decides before what it only
plans. The comparison of the agent token's key with `agent_jkt` is the open point that -12 settles; a token that fails
it is `invalid_agent_token`.
"""

from __future__ import annotations

import msgspec

from ..effects import Flow
from ..errors import (
    AAuthError,
    InvalidAgentToken,
    InvalidPresentedToken,
    InvalidResourceToken,
    InvalidUpstreamToken,
    RevokedPresentedToken,
    RevokedResourceToken,
    RevokedUpstreamToken,
    as_parameter_error,
)
from ..messages.bodies import FederatedTokenRequest
from ..store.access_records import Ground
from ..tokens import ACCESS_DWK, AgentToken, AuthToken, PersonToken, ResourceToken, verify
from ..tokens.checks import check_askable, check_presented_token, check_resource_token, check_subagent_token
from .asked import Asked, TokenRef
from .core import AccessServerCore

__all__ = ["verify_presented_token", "verify_request", "verify_resource_token"]

_MAX_AGENT_CLAIMS_BYTES = 16_384
_IDENTITY_OF_AGENT = frozenset({"iss", "dwk", "jti", "iat", "exp", "nbf", "sub", "cnf", "ps", "parent_agent"})


async def verify_request(server: AccessServerCore, body: FederatedTokenRequest, *, ps: str) -> Asked:
    """Verify what the person server `ps` sent.

    Raises `<invalid|expired|revoked>_<parameter>_token` for the token that fails, or `clock_skew`.
    """
    resource_token = await verify_resource_token(server, body.resource_token, ps=ps)
    presented, root = await verify_presented_token(server, body.presented_token, resource_token)
    upstream = await _upstream_token(server, body, ps)
    agent, subagent = await _agent_tokens(server, body, resource_token, ps)
    if upstream is not None and upstream.aud != agent.iss:
        raise InvalidUpstreamToken("The upstream token was not issued for the intermediary whose agent token this is.")
    if upstream is None and agent.ps not in (None, ps):
        # Down a chain it does not matter: an intermediary is routed to its caller's person server (#call-chaining).
        raise InvalidAgentToken("The agent token names another person server than the one that signed this request.")
    holding = (agent, subagent, presented, upstream)
    return Asked(
        ps=ps,
        agent=agent.sub,
        provider=agent.iss,
        cnf=(subagent or agent).cnf.to_jwk(),
        resource=resource_token.iss,
        sub=resource_token.sub,
        scope=resource_token.scope or (),
        not_after=min(token.exp for token in holding if token is not None),
        presented=_reference(presented),
        root=root,
        resource_token=_reference(resource_token),
        upstream=_reference(upstream) if upstream is not None else None,
        sub_agent=subagent.sub if subagent is not None else None,
        account=resource_token.account,
        tenant=resource_token.tenant,
        mission_s256=resource_token.mission_s256,
        step_up=isinstance(presented, AuthToken),
        agent_claims=_agent_claims(agent),
    )


async def verify_resource_token(server: AccessServerCore, text: str, *, ps: str) -> ResourceToken:
    """A resource token addressed to this server that names the person server `ps`, as `verify_request` raises."""
    try:
        token = await server.run(verify(text, ResourceToken, now=server.clock(), policy=server.policy))
    except AAuthError as error:
        raise as_parameter_error(error, "resource") from error
    if token.aud != server.issuer:
        raise InvalidResourceToken("The resource token is addressed to another server.")
    if token.ps != ps:
        raise InvalidResourceToken("The resource token names another person server than the one that signed here.")
    if server.resources is not None and token.iss not in server.resources:
        raise InvalidResourceToken("This access server does not decide for the resource that issued the token.")
    if await server.store.is_revoked(token.iss, token.jti):
        raise RevokedResourceToken("The resource withdrew this resource token; call the resource again.")
    check_askable(token)
    return token


async def verify_presented_token(
    server: AccessServerCore, text: str, resource_token: ResourceToken
) -> tuple[PersonToken | AuthToken, TokenRef]:
    """The presented token, and the person token it goes back to. Raises as `verify_request` does."""
    flow: Flow[PersonToken | AuthToken] = verify(
        text, PersonToken, AuthToken, now=server.clock(), policy=server.policy, cache=server.cache
    )
    try:
        token = await server.run(flow)
    except AAuthError as error:
        raise as_parameter_error(error, "presented") from error
    # With the resource token's `ps` compared before, this makes the token's person server the one that signed.
    check_presented_token(resource_token, token)
    if token.dwk == ACCESS_DWK and token.iss != server.issuer:
        # Its resources take no other access server's grants, and nobody would tell us that it was revoked.
        raise InvalidPresentedToken("The presented auth token was issued by another access server.")
    if await server.store.is_revoked(token.iss, token.jti):
        raise RevokedPresentedToken("The presented token was revoked; obtain a fresh person token.")
    root = _reference(token)
    if _is_own(server, token):
        record = await server.store.issued(token.jti)
        if record is None:
            raise InvalidPresentedToken("This server has no record of the presented token; obtain a person token.")
        if record.revoked_at is not None:
            raise RevokedPresentedToken("The presented token was revoked; obtain a fresh person token.")
        root = _of(record.root)
    return token, root


async def _agent_tokens(
    server: AccessServerCore, body: FederatedTokenRequest, resource_token: ResourceToken, ps: str
) -> tuple[AgentToken, AgentToken | None]:
    """The agent's token and, where a parent asks for it, the sub-agent's, one of which `agent_jkt` names."""
    agent = await _agent_token(server, body.agent_token)
    if body.subagent_token is None:
        if agent.parent_agent is not None:
            raise InvalidAgentToken("A sub-agent's token goes in subagent_token, beside its parent's in agent_token.")
        if agent.cnf.thumbprint != resource_token.agent_jkt:
            raise InvalidAgentToken("The agent token is bound to another key than the resource token names.")
        return agent, None
    try:
        subagent = await server.run(
            verify(body.subagent_token, AgentToken, now=server.clock(), policy=server.policy, cache=server.cache)
        )
    except AAuthError as error:
        raise as_parameter_error(error, "subagent") from error
    check_subagent_token(subagent, parent=agent)
    check_resource_token(resource_token, recipient=server.issuer, agent_key=subagent.cnf)
    return agent, subagent


async def _agent_token(server: AccessServerCore, text: str) -> AgentToken:
    try:
        return await server.run(verify(text, AgentToken, now=server.clock(), policy=server.policy, cache=server.cache))
    except AAuthError as error:
        raise as_parameter_error(error, "agent") from error


async def _upstream_token(
    server: AccessServerCore, body: FederatedTokenRequest, ps: str
) -> PersonToken | AuthToken | None:
    """#upstream-token-verification, but for its `aud`, which is the intermediary's that the agent token names."""
    if body.upstream_token is None:
        return None
    flow: Flow[PersonToken | AuthToken] = verify(
        body.upstream_token, PersonToken, AuthToken, now=server.clock(), policy=server.policy, cache=server.cache
    )
    try:
        token = await server.run(flow)
    except AAuthError as error:
        raise as_parameter_error(error, "upstream") from error
    if token.person_server != ps:
        raise InvalidUpstreamToken("The upstream token is of another person server than the one that signed here.")
    if await server.store.is_revoked(token.iss, token.jti):
        raise RevokedUpstreamToken("The upstream token was revoked.")
    record = await server.store.issued(token.jti) if _is_own(server, token) else None
    if record is not None and record.revoked_at is not None:
        raise RevokedUpstreamToken("The upstream token was revoked.")
    return token


def _is_own(server: AccessServerCore, token: PersonToken | AuthToken) -> bool:
    """Whether this server issued it; a person server may have the very same identifier (#ps-as-collapse)."""
    return token.iss == server.issuer and token.dwk == ACCESS_DWK


def _agent_claims(agent: AgentToken) -> dict[str, object]:
    """What the provider says of the agent beyond its identity. Too much of it is refused: a part could mislead."""
    claims = {name: value for name, value in agent.claims.items() if name not in _IDENTITY_OF_AGENT}
    if len(msgspec.json.encode(claims)) > _MAX_AGENT_CLAIMS_BYTES:
        raise InvalidAgentToken(f"The agent token has more than {_MAX_AGENT_CLAIMS_BYTES} bytes of further claims.")
    return claims


def _reference(token: ResourceToken | PersonToken | AuthToken) -> TokenRef:
    return TokenRef(token.iss, token.jti, token.exp)


def _of(ground: Ground) -> TokenRef:
    return TokenRef(ground.iss, ground.jti, ground.exp)
