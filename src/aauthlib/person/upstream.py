"""#upstream-token-verification at a person server, as numbered steps: for whom a resource acts as an agent.

A resource that calls another one for its caller (an intermediary) shows the token it was called with. The token says
which person it is about and grants nothing by itself. What is asked is decided by the person, or was (#call-chaining).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..effects import Flow
from ..errors import AAuthError, InvalidUpstreamToken, RevokedUpstreamToken, as_parameter_error
from ..store.person_records import AgentId, FederatedToken, IssuedToken, TokenId
from ..tokens import ACCESS_DWK, AgentToken, AuthToken, PersonToken, verify
from ..tokens.profile import read
from .asked import AskedUpstream
from .core import PersonServerCore

__all__ = ["Upstream", "verify_upstream"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A verified upstream token, and what this server's own records say of it."""

    token: PersonToken | AuthToken
    token_id: TokenId
    person_id: str
    caller: AgentId
    """The agent that called the intermediary."""
    root: AgentId
    """The agent at the top of the chain, whose binding to the person everything below hangs on."""

    def asked(self) -> AskedUpstream:
        """What a pending request keeps of it."""
        iss, jti = self.token_id
        return AskedUpstream(
            iss=iss,
            jti=jti,
            person_id=self.person_id,
            caller=self.caller[1],
            root_iss=self.root[0],
            root_sub=self.root[1],
        )


async def verify_upstream(server: PersonServerCore, text: str, *, agent: AgentToken) -> Upstream:
    """Verify the `upstream_token` of a request that `agent`, the intermediary's own agent, signed.

    Raises `<invalid|expired|revoked>_upstream_token`, or `clock_skew`.
    """
    store, now = server.store, server.clock()
    flow: Flow[PersonToken | AuthToken] = verify(
        text, PersonToken, AuthToken, now=now, policy=server.policy, cache=server.cache
    )
    try:
        # Steps 2 and 3 first, as far as they need no key: what they refuse is not worth asking its issuer about.
        claimed = read(text, PersonToken, AuthToken, now=now, policy=server.policy).token
        assert isinstance(claimed, PersonToken | AuthToken)
        await _check_issuer(server, claimed)
        _check_intermediary(claimed, agent)
        # Step 1, with `aud` compared in step 3, and `cnf` with nothing: it is the calling agent's key.
        token = await server.run(flow)
    except InvalidUpstreamToken:
        raise
    except AAuthError as error:
        raise as_parameter_error(error, "upstream") from error
    # Step 4: the calling agent, from this server's own records.
    own = server.is_own(token)
    record: IssuedToken | FederatedToken | None = (
        await store.issued(token.jti) if own else await store.federated(token.iss, token.jti)
    )
    person_id = await store.person_of(resource=token.aud, sub=token.sub)
    if record is None or record.aud != token.aud or person_id is None or record.person_id != person_id:
        raise InvalidUpstreamToken("This server has no record of the upstream token, so it cannot tell whose it is.")
    root = record.root or record.agent
    standing = await store.standing(root, resource=token.aud)
    if record.revoked_at is not None or standing.binding is None or standing.binding.person_id != person_id:
        raise RevokedUpstreamToken("The upstream token, or the access of the agent that presented it, was revoked.")
    # Step 5: the mission is that of the agent at the top of the chain.
    if token.mission_s256 is not None:
        mission = await store.mission(root, token.mission_s256)
        if mission is None:
            raise InvalidUpstreamToken("The upstream token names a mission that this server does not know.")
        if mission.ended(now=now) is not None:
            raise RevokedUpstreamToken("The mission the upstream token belongs to has ended.")
    return Upstream(token, (None if own else token.iss, token.jti), person_id, caller=record.agent, root=root)


async def _check_issuer(server: PersonServerCore, token: PersonToken | AuthToken) -> None:
    """Step 2: it names this server, and was issued by it or by an access server it presented a token to."""
    if token.person_server != server.issuer:
        raise InvalidUpstreamToken("The upstream token names another person server; ask there.")
    if server.is_own(token):
        return
    presented = token.dwk == ACCESS_DWK and await server.store.was_presented(
        access_server=token.iss, aud=token.aud, sub=token.sub
    )
    if not presented:
        raise InvalidUpstreamToken(
            "The upstream token was issued by a server that this one never asked for it, so it says nothing here."
        )


def _check_intermediary(token: PersonToken | AuthToken, agent: AgentToken) -> None:
    """Step 3: the token was presented to the very party that asks now (#intermediary-agent-identity)."""
    if token.aud != agent.iss:
        raise InvalidUpstreamToken(
            "The upstream token was presented to another party than the one that issued this agent token. A resource "
            "that calls on must be its own agent provider."
        )
