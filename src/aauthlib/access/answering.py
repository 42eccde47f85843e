"""What a person server answers on a pending URL: claims, an answer in words, or an updated request.

#requirement-claims, #agent-response-to-clarification. Each returns what the exchange knows afterwards; nothing is
stored and nothing decided here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..errors import InvalidRequest, InvalidResourceToken
from ..http import Request
from ..messages.bodies import ClarificationAnswer, decode_request
from ..store.access_records import Exchange, Learned
from ..tokens import AuthToken
from ..tokens.checks import check_resource_token
from .asked import Asked, TokenRef
from .core import AccessServerCore
from .verifying import verify_presented_token, verify_resource_token

__all__ = ["learned_from_update", "verify_update", "with_answer", "with_claims"]

_MAX_CLAIMS_BYTES = 16_384
_MAX_ANSWER_LENGTH = 16_384
#: Updates of one request: each leads to a new decision.
_MAX_UPDATES = 5


class _Claims(msgspec.Struct, frozen=True):
    """The body of a POST with claims is any JSON object."""


def with_claims(exchange: Exchange, request: Request) -> Learned:
    """What was learned, with the claims in `request`: of those that were asked for, never `sub`."""
    decode_request(_Claims, request)
    document: dict[str, Any] = msgspec.json.decode(request.body)
    if "sub" in document:
        raise InvalidRequest("sub is in the presented token and must not be among the claims.")
    wanted = exchange.terms["claims"]
    given = {name: value for name, value in document.items() if name in wanted and value is not None}
    learned = exchange.learned
    claims = {**learned.claims, **given}
    if len(msgspec.json.encode(claims)) > _MAX_CLAIMS_BYTES:
        raise InvalidRequest(f"The claims are longer than {_MAX_CLAIMS_BYTES} bytes.")
    return msgspec.structs.replace(learned, claims=claims, claims_asked=(*learned.claims_asked, *wanted))


def with_answer(exchange: Exchange, answer: ClarificationAnswer) -> Learned:
    """What was learned, with the answer in words to the question that is open."""
    text = answer.clarification_response
    if answer.action != "clarification_response" or not text or len(text) > _MAX_ANSWER_LENGTH:
        raise InvalidRequest("action is clarification_response, with the answer in a member of the same name.")
    options = exchange.terms.get("options")
    if options and text not in options:
        raise InvalidRequest("The answer is none of the options.")
    learned = exchange.learned
    return msgspec.structs.replace(learned, answers={**learned.answers, exchange.terms["question"]: text})


async def verify_update(server: AccessServerCore, asked: Asked, answer: ClarificationAnswer) -> Asked:
    """The request as an `updated_request` changes it: verified as the original was (#ps-to-as-token-request).

    The new resource token has the same `iss`, `ps`, `sub`, `agent_jkt`, `mission_s256` and `tenant`. Raises the errors
    of #resource-token-verification.
    """
    if not answer.resource_token or not answer.presented_token:
        raise InvalidRequest("updated_request needs resource_token and presented_token.")
    token = await verify_resource_token(server, answer.resource_token, ps=asked.ps)
    check_resource_token(token, recipient=server.issuer, agent_key=asked.key)
    for name, ours, theirs in (
        ("iss", asked.resource, token.iss),
        ("sub", asked.sub, token.sub),
        ("mission_s256", asked.mission_s256, token.mission_s256),
        ("tenant", asked.tenant, token.tenant),
    ):
        if ours != theirs:
            raise InvalidResourceToken(f"The updated request has another {name} than the original.")
    presented, root = await verify_presented_token(server, answer.presented_token, token)
    return msgspec.structs.replace(
        asked,
        scope=token.scope or (),
        account=token.account,
        # The other tokens are not sent again: what is issued still does not outlive them.
        not_after=min(asked.not_after, presented.exp),
        presented=TokenRef(presented.iss, presented.jti, presented.exp),
        root=root,
        resource_token=TokenRef(token.iss, token.jti, token.exp),
        step_up=isinstance(presented, AuthToken),
    )


def learned_from_update(learned: Learned, before: Asked, after: Asked, answer: ClarificationAnswer) -> Learned:
    """What still counts after an update, with its reason.

    An approval and answers were about what was asked: they hold for less of it, and for nothing else.
    """
    reasons = (*learned.updates, (answer.justification or "")[:_MAX_ANSWER_LENGTH])
    if len(reasons) > _MAX_UPDATES:
        raise InvalidRequest(f"A request is updated at most {_MAX_UPDATES} times. Withdraw it and ask anew.")
    if set(after.scope) <= set(before.scope) and after.account == before.account:
        return msgspec.structs.replace(learned, updates=reasons)
    return msgspec.structs.replace(learned, updates=reasons, answers={}, approved_by=None)
