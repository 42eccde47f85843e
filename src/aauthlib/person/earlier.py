"""A decision that came when the tokens of its request had expired (#resource-token-structure, #re-authorization).

A person who is told somewhere may take hours; the tokens of a request live for minutes. The decision stands: the agent
hears that its tokens expired, asks anew with fresh ones, and the decision is applied to that, once. It is applied to
nothing but the very same question, asked by the same agent for the same person.
"""

from __future__ import annotations

from typing import NoReturn

from ..deferred.pending import Pending
from ..errors import AAuthError, Expired, ProblemError
from ..keys import PublicKey
from ..store.person_records import NAMING
from .asked import PERSON_TOKEN, TOKENS, Asked
from .opening import Opening

__all__ = ["StillGranted", "decided_earlier", "keep_decision", "refuse_stale"]

_SET_ASIDE = "set_aside"


class StillGranted(Exception):  # It is no failure: the decision stays.
    """What was granted cannot be delivered on this request; a later one may have it. Answered with `error`."""

    def __init__(self, error: ProblemError) -> None:
        super().__init__(error.detail)
        self.error = error


async def refuse_stale(server: Opening, pending: Pending, asked: Asked, *, key: PublicKey) -> None:
    """Refuse a granted request that can end in no token its agent could use; `key` is what the agent signs with now.

    Raises `Expired` where the next request is answered by what is remembered, and `StillGranted` where this one is all
    that holds the decision. Down a chain nothing is kept: the upstream token bounds what the person's yes was for.
    """
    if asked.kind not in TOKENS:
        return
    if await _is_too_late(server, pending, asked):
        why = "the tokens of this request have expired"
    elif asked.upstream is None and asked.subagent is None and asked.key != key:
        why = "the agent has another key than it asked with"
    else:
        return
    error = Expired(
        f"The person has decided, and {why}. Ask anew with fresh tokens, a fresh resource token among them: the "
        "decision stands."
    )
    await keep_decision(server, pending, asked, error)


async def keep_decision(server: Opening, pending: Pending, asked: Asked, error: Expired) -> NoReturn:
    """Raise `error`, as `StillGranted` where the request is all that holds the decision."""
    if asked.upstream is None:
        wanted = {NAMING} if asked.kind == PERSON_TOKEN else set(asked.scope)
        person_id, consents = await server.standing_of(asked)
        if person_id is not None and not wanted <= consents:
            # From now on it is for the agent's next request, also while its tokens would still do.
            await server.store.set_aside(pending.digest, mark=_SET_ASIDE)
            raise StillGranted(error)
    raise error


async def decided_earlier(server: Opening, asked: Asked, *, person_id: str) -> Pending | None:
    """A request for the very same, granted by this person, that can only be delivered on another one.

    One whose agent can still fetch it is left alone: each request has its own lifecycle (#ps-token-endpoint).
    """
    if asked.upstream is not None or asked.interaction is not None:
        return None
    for pending in await server.store.granted_requests(asked.agent_id, kind=asked.kind, now=server.clock()):
        earlier = Asked.of(pending.request)
        if (
            _question(earlier) == _question(asked)
            and pending.decision.get("granted_by") == person_id
            and (pending.decision.get(_SET_ASIDE) or await _is_too_late(server, pending, earlier))
            and await _stands(server, pending)
        ):
            return pending
    return None


async def _stands(server: Opening, pending: Pending) -> bool:
    """Whether nothing it hung on was revoked: what was taken back is not handed out by another way."""
    try:
        await server.still_stands(pending)
    except AAuthError:
        return False
    return True


async def _is_too_late(server: Opening, pending: Pending, asked: Asked) -> bool:
    """Whether a granted request can end in no token any more."""
    now = server.clock()
    if server.has_answer(pending.digest):
        return False
    if asked.not_after <= now or asked.access_server is None:
        return asked.not_after <= now
    # Its resource token, which lives for minutes, was not presented in time.
    record = await server.store.federation(pending.digest)
    return record is None or (record.location is None and record.tokens_exp <= now)


def _question(asked: Asked) -> tuple[object, ...]:
    """What the person said yes to, and the reason they were given. Hints and keys are no part of it."""
    return (
        asked.kind,
        asked.resource,
        frozenset(asked.scope),
        asked.account,
        asked.sub,
        asked.subagent,
        asked.access_server,
        asked.tenant,
        asked.mission_s256,
        asked.justification,
    )
