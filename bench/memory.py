"""Memory when a million distinct callers come by: what a server keeps of them must stay under its bounds.

That is verified tokens, the counts of rate limits and, for state-changing requests, the digests against replays.
"""

from __future__ import annotations

import gc
import hashlib
import resource
import sys
from pathlib import Path

from world import PERSON_SERVER, PROVIDER

from aauthlib.base64url import b64url_encode
from aauthlib.httpsig import MemoryReplayCache
from aauthlib.resource.ratelimit import Limit, RateLimiter
from aauthlib.tokens import AgentToken, TokenCache, VerificationPolicy
from aauthlib.tokens.profile import read


def resident_bytes() -> int:
    """Resident memory now; where the system does not say, the most there ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * resource.getpagesize()


def callers_memory(callers: int, now: int) -> dict[str, float]:
    """Pass `callers` tokens, each of another agent with another key, through reading and all that remembers callers.

    Their signatures are left out, since a million would take minutes and hold no memory.
    """
    cache, policy = TokenCache(), VerificationPolicy()
    limiter, limit, replays = RateLimiter(lambda: now), Limit.parse("60/minute"), MemoryReplayCache()
    header = b64url_encode(b'{"alg":"Ed25519","typ":"aa-agent+jwt","kid":"provider-1"}')
    signature = b64url_encode(bytes(64))
    gc.collect()
    before = resident_bytes()
    for number in range(callers):
        x = b64url_encode((number + 2).to_bytes(8, "big") * 3 + bytes(8))
        payload = (
            f'{{"iss":"{PROVIDER}","dwk":"aauth-agent.json","sub":"aauth:a{number}@provider.example",'
            f'"jti":"{number:022}","iat":{now},"exp":{now + 3600},"ps":"{PERSON_SERVER}",'
            f'"cnf":{{"jwk":{{"kty":"OKP","crv":"Ed25519","alg":"Ed25519","x":"{x}"}}}}}}'
        )
        text = f"{header}.{b64url_encode(payload.encode())}.{signature}"
        token = read(text, AgentToken, now=now, policy=policy).token
        cache.put(token)
        limiter.take(("route", "IDENTIFIED", (token.iss, token.sub)), limit)
        replays.add(hashlib.sha256(payload.encode()).hexdigest(), until=now + 60, now=now)
    gc.collect()
    return {
        "callers": callers,
        "cache_entries": len(cache),
        "rate_limit_entries": len(limiter),
        "replay_entries": len(replays),
        "cache_growth_mib": round((resident_bytes() - before) / 2**20, 1),
        "resident_mib": round(resident_bytes() / 2**20, 1),
    }
