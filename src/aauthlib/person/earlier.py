"""A decision that came when the tokens of its request had expired (#resource-token-structure, #re-authorization).

A person who is told somewhere may take hours; the tokens of a request live for minutes. The decision stands: the agent
hears that its tokens expired, asks anew with fresh ones, and the decision is applied to that, once.
"""

from __future__ import annotations

from ..deferred.pending import Pending
from ..errors import Expired, ProblemError
from ..keys import PublicKey
from .asked import TOKENS, Asked
from .core import PersonServerCore

__all__ = ["StillGranted", "decided_earlier", "refuse_stale"]


class StillGranted(Exception):  # It is no failure: the decision stays.
    """What was granted cannot be delivered on this request; a later one may have it. Answered with `error`."""

    def __init__(self, error: ProblemError) -> None:
        super().__init__(error.detail)
        self.error = error


async def refuse_stale(server: PersonServerCore, pending: Pending, asked: Asked) -> None:
    """Refuse a granted request whose tokens have expired.

    Raises `Expired` where what was decided is remembered, and `StillGranted` where the request itself is all that holds
    it.
    """
    if asked.kind not in TOKENS or not await _has_expired(server, pending, asked):
        return
    error = Expired(
        "The person has decided, and the tokens of this request have expired. Ask anew with fresh ones, a fresh "
        "resource token among them: the decision stands."
    )
    person_id, consents = await server.standing_of(asked)
    if person_id is not None and asked.upstream is None and not set(pending.decision["scopes"]) <= consents:
        raise StillGranted(error)
    raise error


async def decided_earlier(server: PersonServerCore, asked: Asked, *, person_id: str, key: PublicKey) -> Pending | None:
    """A request for the very same, granted by this person, that can only be delivered on another one.

    `key` is the one the agent signs with now; a token for another would be of no use to it (#re-authorization). Down a
    chain there is no such request: the upstream token bounds what the person's yes was for.
    """
    if asked.upstream is not None or asked.interaction is not None:
        return None
    now = server.clock()
    for pending in await server.store.granted_requests(asked.agent_id, kind=asked.kind, now=now):
        earlier = Asked.of(pending.request)
        if (
            _question(earlier) == _question(asked)
            and pending.decision.get("granted_by") == person_id
            and (_is_for_another(earlier, key) or await _has_expired(server, pending, earlier))
        ):
            return pending
    return None


async def _has_expired(server: PersonServerCore, pending: Pending, asked: Asked) -> bool:
    """Whether a granted request can end in no token any more."""
    now = server.clock()
    if asked.not_after <= now or asked.access_server is None:
        return asked.not_after <= now
    # Its resource token, which lives for minutes, was not presented in time.
    record = await server.store.federation(pending.digest)
    return record is None or (record.location is None and record.tokens_exp <= now)


def _is_for_another(asked: Asked, key: PublicKey) -> bool:
    return asked.subagent is None and asked.key != key


def _question(asked: Asked) -> tuple[object, ...]:
    """What the person said yes to."""
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
        asked.upstream,
    )
