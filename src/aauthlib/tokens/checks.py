"""What a verifier compares between tokens and the request, as the spec's numbered steps.

Each function takes tokens whose issuers' signatures are verified and returns nothing; a failing step raises the error
the spec names for it. None of them does I/O.
"""

from __future__ import annotations

import re
from typing import Protocol

from ..errors import (
    InvalidPresentedToken,
    InvalidResourceToken,
    InvalidSubagentToken,
    TokenInvalid,
)
from ..keys import PublicKey
from .agent import AgentToken
from .auth import AuthToken
from .person import PersonToken
from .resource import ResourceToken

__all__ = [
    "check_askable",
    "check_auth_token_response",
    "check_presented_token",
    "check_resource_challenge",
    "check_resource_token",
    "check_subagent_token",
    "check_token_at_resource",
]

_MAX_SCOPE_VALUES = 50
_MAX_ACCOUNT_LENGTH = 512
# scope-token of RFC 6749, Section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]{1,256}\Z")


def check_token_at_resource(token: PersonToken | AuthToken, *, resource: str) -> None:
    """#person-token-verification step 1, #request-context-binding step 2: `aud` is the resource itself.

    That `cnf.jwk` made the request's signature follows from verifying the request with it.
    """
    if token.aud != resource:
        raise TokenInvalid("The token was issued for another resource.")


def check_resource_token(resource_token: ResourceToken, *, recipient: str, agent_key: PublicKey) -> None:
    """#resource-token-verification, steps 1 and 2.

    `recipient` is the verifier's own identifier; `agent_key` signed the request, or is the sub-agent's key when a
    parent asks for its sub-agent. Raises `InvalidResourceToken`.
    """
    if resource_token.aud != recipient:
        raise InvalidResourceToken("The resource token is addressed to another server.")
    if resource_token.agent_jkt != agent_key.thumbprint:
        raise InvalidResourceToken("The resource token was issued to another key than the one that signed here.")


def check_askable(token: ResourceToken) -> None:
    """What a resource token asks can be shown, decided and enforced. Raises `InvalidResourceToken`."""
    if not token.scope:
        raise InvalidResourceToken("The resource token asks for no scope, and this server knows no claim in its place.")
    if len(token.scope) > _MAX_SCOPE_VALUES or not all(_SCOPE.match(value) for value in token.scope):
        raise InvalidResourceToken(f"scope must be at most {_MAX_SCOPE_VALUES} well-formed values, one space between.")
    if token.account is not None and (len(token.account) > _MAX_ACCOUNT_LENGTH or not token.account.isprintable()):
        raise InvalidResourceToken(f"account must be at most {_MAX_ACCOUNT_LENGTH} printable characters.")


def check_presented_token(resource_token: ResourceToken, presented: PersonToken | AuthToken) -> None:
    """#resource-token-verification, step 3: the presented token is the one the resource token names.

    Raises `InvalidPresentedToken` when the presented token itself is for another resource or key, and
    `InvalidResourceToken` when the two disagree: a mismatch against a token that verifies is evidence of tampering.
    """
    if presented.aud != resource_token.iss:
        raise InvalidPresentedToken("The presented token was issued for another resource.")
    if presented.cnf.thumbprint != resource_token.agent_jkt:
        raise InvalidPresentedToken("The presented token is bound to another key than the resource token.")
    for name, ours, theirs in (
        ("presented_jti", resource_token.presented_jti, presented.jti),
        ("ps", resource_token.ps, presented.person_server),
        ("sub", resource_token.sub, presented.sub),
        ("mission_s256", resource_token.mission_s256, presented.mission_s256),
        ("tenant", resource_token.tenant, presented.tenant),
    ):
        if ours != theirs:
            raise InvalidResourceToken(f"The resource token's {name} does not match the presented token.")


def check_subagent_token(subagent: AgentToken, *, parent: AgentToken) -> None:
    """#sub-agents: the signing agent is the parent, both have one provider, and delegation is one level deep.

    Raises `InvalidSubagentToken`.
    """
    if parent.parent_agent is not None:
        raise InvalidSubagentToken("The agent that signed the request is itself a sub-agent and can have none.")
    if subagent.parent_agent != parent.sub:
        raise InvalidSubagentToken("The sub-agent token's parent_agent is not the agent that signed the request.")
    if subagent.iss != parent.iss:
        raise InvalidSubagentToken("The sub-agent token was issued by another agent provider than its parent's.")


def check_resource_challenge(
    resource_token: ResourceToken,
    *,
    resource: str,
    agent_key: PublicKey,
    presented: PersonToken | AuthToken,
    person_server: str,
) -> None:
    """#resource-challenge-verification, steps 3 to 5, at the agent. Raises `TokenInvalid` naming the step that failed.

    Steps 1, 2 and 6 are done by parsing and verifying the token.
    """
    if resource_token.iss != resource:
        raise TokenInvalid("The resource token was issued by another resource than the one that was called.")
    if resource_token.agent_jkt != agent_key.thumbprint:
        raise TokenInvalid("The resource token is bound to another key than this agent's.")
    if resource_token.ps != person_server:
        raise TokenInvalid("The resource token names another person server than this agent's.")
    if resource_token.sub != presented.sub:
        raise TokenInvalid("The resource token names another person than the token this agent presented.")
    if resource_token.presented_jti != presented.jti:
        raise TokenInvalid("The resource token names another token than the one this agent presented.")


class AskedOfServer(Protocol):
    """What a resource token asks of the server it is addressed to."""

    @property
    def aud(self) -> str: ...

    @property
    def sub(self) -> str: ...

    @property
    def scope(self) -> tuple[str, ...] | None: ...

    @property
    def account(self) -> str | None: ...

    @property
    def mission_s256(self) -> str | None: ...


def check_auth_token_response(
    auth_token: AuthToken, *, asked: AskedOfServer, agent_key: PublicKey, resource: str
) -> None:
    """#auth-token-response-verification, steps 2 to 5, at the agent, and what #auth-token-structure has copied.

    `asked` is the resource token, or what was kept of it. Raises `TokenInvalid`.
    """
    if auth_token.iss != asked.aud:
        raise TokenInvalid("The auth token was issued by another server than the resource token is addressed to.")
    if auth_token.aud != resource:
        raise TokenInvalid("The auth token is for another resource than the one to be accessed.")
    if auth_token.cnf.thumbprint != agent_key.thumbprint:
        raise TokenInvalid("The auth token is bound to another key than this agent's.")
    if auth_token.sub != asked.sub:
        raise TokenInvalid("The auth token names another person than the token this agent presented.")
    if asked.scope is not None and not set(auth_token.scope or ()) <= set(asked.scope):
        raise TokenInvalid("The auth token grants more scope than the resource asked for.")
    if auth_token.mission_s256 != asked.mission_s256:
        raise TokenInvalid("The auth token is for another mission than the resource token.")
    if auth_token.account != asked.account:
        raise TokenInvalid("The auth token is for another account than the resource token.")
