"""The person server (#person-server): the parts put together.

What agents call is in `endpoints`, `missions` and `permission`, what providers and resources call in `revocation`, what
the pages call in `desk`, `mission_desk` and `approving`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from ..effects import Clock
from .approving import ApprovalDesk
from .cascade import tell_again
from .desk import ConsentDesk
from .faces import FlowRunner
from .keys import load_keys
from .mission_desk import MissionDesk
from .personal_data import PersonalData
from .relaying import InteractionEndpoint
from .revocation import RevocationEndpoint
from .storage import PersonStore

__all__ = ["PersonServer"]


class PersonServer(RevocationEndpoint, InteractionEndpoint, ConsentDesk, MissionDesk, ApprovalDesk, PersonalData):
    """A person server, without a web framework. Make one with `PersonServer.open`."""

    @classmethod
    async def open(
        cls,
        *,
        issuer: str,
        store: PersonStore,
        wire: FlowRunner,
        clock: Clock = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        **settings: Any,
    ) -> PersonServer:
        """A person server with the keys in `store`, which are made on first start.

        `settings` are those of `PersonServerCore`: `dev`, `name`, `description`, `logo_uri`, `lifetime_s`,
        `approval_lifetime_s`, `replay`, `rules`. Raises `InvalidIdentifier` when `issuer` is no server identifier.
        """
        keys = await load_keys(store, clock=clock, random_bytes=random_bytes)
        return cls(issuer=issuer, store=store, wire=wire, keys=keys, clock=clock, random_bytes=random_bytes, **settings)

    async def tell_again(self) -> int:
        """Tell resources and access servers of revocations that they could not be told of before (#revocation-cascade).

        To be called every few seconds, in every process. Returns how many were settled.
        """
        return await tell_again(self)
