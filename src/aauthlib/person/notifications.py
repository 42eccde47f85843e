"""What a person server says to people of what waits for them (#approval-pending, #ps-approval-endpoint-auth).

A message says who asks and where, in the words of neither: names come from identifiers that were verified, and no
token, code, claim or text of the agent's is in it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from ..deferred.pending import Pending
from ..errors import NotFound
from ..notifying import Message, NotificationStore, Notifier, Teller
from .asked import AUTH_TOKEN, PERSON_TOKEN, Asked
from .meanwhile import Meanwhile
from .questions import is_open, waits_of

__all__ = ["approvals_teller_of", "notifier_of", "teller_of"]

#: A topic's most characters.
_TOPIC = 32


def teller_of(server: Meanwhile) -> Teller:
    """What to say of a request that waits at `server`."""

    async def tell(digest: str, person_id: str) -> Message:
        request = await server.store.request_for(digest, person_id=person_id, now=server.clock())
        text = _asks(request.pending)
        if not request.pending.waiting:
            text = await _wanted_there(server, request.pending)
        return Message(
            f"Somebody asks you at {_host(server.issuer)}",
            text,
            f"{server.issuer}/requests/{digest}",
            digest[:_TOPIC],
        )

    return tell


def approvals_teller_of(server: Meanwhile) -> Teller:
    """What to say to somebody whose approval `server` asks for."""

    async def tell(id_: str, person_id: str) -> Message:
        standing, seat = await server.store.approval_standing(id_, person_id=person_id, now=server.clock())
        if not seat:
            raise NotFound("It is somebody else's to decide now.")
        asked = Asked.of(standing.approval.request)
        where = f" about {_host(asked.resource)}" if asked.resource else ""
        return Message(
            f"Your approval is asked at {_host(server.issuer)}",
            f"{_host(asked.agent.iss)} asks for somebody of your organisation{where}.",
            f"{server.issuer}/approvals/{id_}",
            id_[:_TOPIC],
        )

    return tell


def notifier_of(server: Meanwhile, store: NotificationStore, **settings: Any) -> Notifier:
    """The notifier of `server`; `settings` are more of `Notifier`'s."""
    tellers = (teller_of(server), approvals_teller_of(server))
    return Notifier(store, tellers, issuer=server.issuer, wire=server.wire, dev=server.dev, **settings)


async def _wanted_there(server: Meanwhile, pending: Pending) -> str:
    """Of a request that the person allowed earlier, while its access server wants them. Raises `NotFound`."""
    record = await server.store.federation(pending.digest)
    if record is None or not (is_open(record) or waits_of(record).interaction_url is not None):
        raise NotFound("The access server does not wait for the person any more.")
    asked = Asked.of(pending.request)
    return f"{_host(record.access_server)} needs you before {_host(asked.agent.iss)} may use {_host(asked.resource)}."


def _asks(pending: Pending) -> str:
    if pending.kind not in (PERSON_TOKEN, AUTH_TOKEN):
        return _OTHERS.get(pending.kind, "An agent of yours asks you to decide.")
    asked = Asked.of(pending.request)
    who, where = _host(asked.agent.iss), _host(asked.resource)
    return f"{who} asks to act as you at {where}." if asked.kind == PERSON_TOKEN else f"{who} asks to use {where}."


#: Where a relay leads is the agent's word, and so in none of these.
_OTHERS = {
    "interaction": "An agent of yours asks you to go to a page.",
    "payment": "An agent of yours asks you to look at a payment.",
    "question": "An agent of yours has a question.",
}


def _host(identifier: str) -> str:
    return urlsplit(identifier).netloc
