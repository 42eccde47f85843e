"""Which bucket a caller is counted in: by the most it proved, per route (signature-key#4.5).

Anonymous callers are counted by address, pseudonyms by key, agents and servers by identity, persons by `(iss, sub)`.
"""

from __future__ import annotations

from ..verification import Caller, Level
from .challenges import rate_limited
from .policy import Match
from .ratelimit import RateLimiter, address_key

__all__ = ["count"]

#: Keys one address may spread a limit over, when all its callers prove is a key.
_KEYS_PER_ADDRESS = 10


def count(limiter: RateLimiter, caller: Caller, match: Match, client: str) -> None:
    """Count a request that is served against its caller's limit. Raises the `429`."""
    rule = match.rule
    if caller.key is None:
        wait_s = 0.0
        if rule.anonymous_limit is not None:
            wait_s = limiter.take((match.route, "anonymous", address_key(client)), rule.anonymous_limit)
        if wait_s:
            raise rate_limited(wait_s, anonymous=True)
        return
    if rule.limit is None:
        return
    wait_s = limiter.take((match.route, caller.level.name, _identity(caller)), rule.limit)
    if not wait_s and caller.level is Level.PSEUDONYM:
        # Keys cost nothing, so the many keys of one address share a limit too.
        wait_s = limiter.take((match.route, "keys", address_key(client)), rule.limit.times(_KEYS_PER_ADDRESS))
    if wait_s:
        raise rate_limited(wait_s, anonymous=False)


def _identity(caller: Caller) -> tuple[str, ...]:
    if caller.presented is not None:
        return (caller.presented.person_server, caller.presented.sub)
    if caller.agent_token is not None:
        return caller.agent_token.identity
    if caller.server is not None:
        return (caller.server.id,)
    if caller.signer is not None:
        return caller.signer
    return (caller.pseudonym or "",)
