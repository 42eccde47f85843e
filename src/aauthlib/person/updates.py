"""Verifying an updated request (#updated-request), whether it answers the person or an access server."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..errors import InvalidRequest, InvalidResourceToken
from ..messages.bodies import MAX_TEXT_LENGTH, ClarificationAnswer
from ..tokens import AgentToken
from .asked import AUTH_TOKEN, Asked, AskedInteraction
from .core import PersonServerCore
from .resource_tokens import verify_resource_token

__all__ = ["MAX_ANSWER_LENGTH", "Updated", "said", "verify_update"]

#: The most the agent can say in one turn, so that a page stays readable.
MAX_ANSWER_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class Updated:
    """A request as it is after its update."""

    asked: Asked
    reason: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    tokens: dict[str, str]
    """What an access server is presented in place of the first pair."""
    tokens_exp: float


async def verify_update(
    server: PersonServerCore, asked: Asked, body: ClarificationAnswer, agent: AgentToken
) -> Updated:
    """The pair of the update is verified as the first one was, and names the same person, place and mission.

    Raises `InvalidRequest`, or the errors of #resource-token-verification.
    """
    if asked.kind != AUTH_TOKEN or asked.upstream is not None:
        raise InvalidRequest("This request cannot be updated. Answer in words, or withdraw it and ask anew.")
    if not body.resource_token or not body.presented_token:
        raise InvalidRequest("updated_request needs resource_token and presented_token.")
    reason = said(body.justification, "justification")
    token, presented = await verify_resource_token(
        server, body.resource_token, body.presented_token, agent=agent, key=asked.key
    )
    for name, ours, theirs in (
        ("iss", asked.resource, token.iss),
        ("sub", asked.sub, token.sub),
        ("tenant", asked.tenant, token.tenant),
        ("mission_s256", asked.mission_s256, token.mission_s256),
        ("aud", asked.access_server or server.issuer, token.aud),
    ):
        if ours != theirs:
            raise InvalidResourceToken(f"The updated request has another {name} than the original.")
    own = server.is_own(presented)
    if not own and asked.stepped_up_jti is None:
        raise InvalidResourceToken("The updated request steps up from another token than the original.")
    interaction, scope = token.interaction, token.scope or ()
    changed = msgspec.structs.replace(
        asked,
        scope=scope,
        account=token.account,
        resource_jti=token.jti,
        presented_jti=presented.jti if own else None,
        stepped_up_jti=None if own else presented.jti,
        presented_exp=presented.exp,
        not_after=min(asked.not_after, presented.exp),
        interaction=AskedInteraction(url=interaction.url, code=interaction.code, flow=server.random_id())
        if interaction
        else None,
        justification=reason or asked.justification,
    )
    return Updated(
        asked=changed,
        reason=reason,
        added=tuple(value for value in scope if value not in asked.scope),
        removed=tuple(value for value in asked.scope if value not in scope),
        tokens={"resource_token": body.resource_token, "presented_token": body.presented_token},
        tokens_exp=token.exp,
    )


def said(text: str | None, name: str) -> str:
    """What the agent says, as kept. Raises `InvalidRequest` for more than a page shows."""
    stripped = (text or "").strip()
    if len(stripped) > min(MAX_ANSWER_LENGTH, MAX_TEXT_LENGTH) or "\0" in stripped:
        raise InvalidRequest(f"{name} has at most {MAX_ANSWER_LENGTH} characters, and no NUL.")
    return stripped
