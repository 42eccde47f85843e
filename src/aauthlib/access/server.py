"""The access server (#access-server-federation): the parts put together.

What person servers call is in `endpoints` and `revocation`, what people here call in `desk`.
"""

from __future__ import annotations

import time
from typing import Any

from ..effects import Clock
from ..transport.cascades import Cascades
from .cascade import tell_again
from .core import FlowRunner, load_keys
from .desk import AccessDesk
from .policy import Policy
from .revocation import RevocationEndpoint
from .storage import AccessStore

__all__ = ["AccessServer"]


class AccessServer(RevocationEndpoint, AccessDesk):
    """An access server, without a web framework. Make one with `AccessServer.open`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.cascades = Cascades()

    @classmethod
    async def open(
        cls,
        *,
        issuer: str,
        store: AccessStore,
        wire: FlowRunner,
        policy: Policy,
        clock: Clock = time.time,
        **settings: Any,
    ) -> AccessServer:
        """An access server with the keys in `store`, which are made on first start.

        `settings` are those of `AccessServerCore`. Raises `InvalidIdentifier` when `issuer` is no server identifier.
        """
        keys = await load_keys(store, clock=clock)
        return cls(issuer=issuer, store=store, wire=wire, policy=policy, keys=keys, clock=clock, **settings)

    async def tell_again(self) -> int:
        """Tell resources of revocations that they could not be told of before (#revocation-cascade).

        To be called every few seconds, in every process. Returns how many were settled.
        """
        return await tell_again(self)

    async def aclose(self) -> None:
        """Stop the cascades under way."""
        await self.cascades.aclose()
