"""What a server says it accepts, and what this agent has of it (HTTP Signature Keys, Sections 4, 4.9 and 6).

`Accept-Signature-Scheme` and `Accept-Signature-Alg` are advice: unknown tokens are passed over, and a list in which
nothing is known means that a signature would not help. `Signature-Key-Cache` is remembered for the token it was issued
for. Nothing here decides whether to send again; that is `loop`'s and `recovery`'s.
"""

from __future__ import annotations

from ..fields import FieldError, is_plain_string, parse_dictionary
from ..http import Response
from ..keys import ALGORITHMS, SigningKey
from ..messages.headers import accepted_tokens
from ..verification import Level
from .credentials import Credential, ServerMemory

__all__ = ["learn", "level_for", "usable_algorithms"]

_MAX_CID_LENGTH = 1024


def usable_algorithms(response: Response) -> tuple[str, ...] | None:
    """The algorithms of `Accept-Signature-Alg` that this agent knows; `None` when the header says nothing."""
    listed = accepted_tokens(response.headers, "accept-signature-alg")
    return None if listed is None else tuple(alg for alg in listed if alg in ALGORITHMS)


def level_for(response: Response, own: SigningKey | None) -> Level | None:
    """The lowest rung that `response` admits and this agent can stand on, or `None` when signing would not help.

    `own` is the key of the agent token, if there is one already; pseudonyms get a key of an algorithm that fits.
    """
    schemes = accepted_tokens(response.headers, "accept-signature-scheme") or ()
    algorithms = usable_algorithms(response)
    if algorithms is not None and not algorithms:
        return None
    if "hwk" in schemes:
        return Level.PSEUDONYM
    if "jwt" in schemes and (algorithms is None or own is None or own.alg in algorithms):
        return Level.IDENTIFIED
    return None


def learn(response: Response, credential: Credential, memory: ServerMemory) -> None:
    """Remember what `response`, to a request signed with `credential`, says about its server."""
    algorithms = usable_algorithms(response)
    if algorithms:
        memory.algorithms = algorithms
    schemes = accepted_tokens(response.headers, "accept-signature-scheme")
    if schemes is not None:
        memory.caches = "cached" in schemes
    if credential.token is not None:
        cid = _cache_identifier(response)
        if cid is not None:
            memory.keep_cid(credential.token, cid)


def _cache_identifier(response: Response) -> str | None:
    """The identifier in `Signature-Key-Cache` for the one signature this agent makes; it is opaque."""
    value = response.headers.get("signature-key-cache")
    if value is None:
        return None
    try:
        members = parse_dictionary(value)
    except FieldError:
        return None
    cid = members.get("sig", (None, {}))[0]
    # A Token or Byte Sequence is no String (RFC 9651); what needs an escape is passed over, since it is never issued.
    if type(cid) is not str or not 0 < len(cid) <= _MAX_CID_LENGTH or not is_plain_string(cid):
        return None
    return cid
