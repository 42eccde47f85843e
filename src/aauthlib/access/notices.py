"""What an access server says to its people of what waits for their approval (#approval-pending).

It names who vouches for the agent and the resource, both verified; nothing that a person server or an agent says is in
it. Whoever has decided, or may not any more, is told nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

from ..errors import NotFound
from ..notifying import Message, Teller
from ..store.access_people_records import AccessPerson
from .desk import AccessDesk

__all__ = ["teller_of"]

#: A topic's most characters.
_TOPIC = 32


class _People(Protocol):
    @property
    def person(self) -> Callable[[str], Awaitable[AccessPerson | None]]: ...


def teller_of(server: AccessDesk, people: _People) -> Teller:
    """What to say of an approval at `server`."""

    async def tell(digest: str, person_id: str) -> Message:
        view, person = await server.approval(digest), await people.person(person_id)
        if person is None or not view.is_for(person) or view.is_own(person_id):
            raise NotFound("It is not for them to decide any more.")
        return Message(
            f"Your approval is wanted at {_host(server.issuer)}",
            f"{_host(view.provider)} asks to use {_host(view.resource)}.",
            f"{server.root}/approvals/{view.id}",
            digest[:_TOPIC],
        )

    return tell


def _host(identifier: str) -> str:
    return urlsplit(identifier).netloc
