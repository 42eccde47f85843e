"""How far person servers are trusted, and how much one that nobody knows may ask (#ps-as-trust-establishment).

Anybody can run a person server. One that is neither pre-established here nor has paid is bounded alone and together
with all its like, so that many of them can neither fill the store nor keep those that are known from being served.
Rates are counted in memory, one count per process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ..effects import Clock
from ..errors import RateLimited
from ..store.attempts import Attempts

__all__ = ["Limits", "Trust", "Turnstile"]


@dataclass(frozen=True, slots=True)
class Trust:
    """Person servers that are pre-established, each for some tenants (`None`: for everybody it represents)."""

    person_servers: Mapping[str, Collection[str] | None]

    def covers(self, ps: str, tenant: str | None) -> bool:
        """Whether `ps` is pre-established for the organisation it says the person belongs to."""
        if ps not in self.person_servers:
            return False
        tenants = self.person_servers[ps]
        return tenants is None or (tenant is not None and tenant in tenants)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken. Rates are by minute."""

    open_first_contact: int = 20
    """Requests one unknown person server may have waiting."""
    open_all_first_contacts: int = 1000
    """Requests all unknown person servers may have waiting."""
    open_known: int = 2000
    """Requests one known person server, or one that has paid, may have waiting."""
    open_tenant: int = 500
    """Of those, requests for the people of one of its organisations."""
    rate_first_contact: int = 60
    rate_all_first_contacts: int = 600
    revocations: int = 120
    """Of one issuer."""
    revocations_held: int = 10_000
    revocations_of_all: int = 200_000
    """Beyond which only those are remembered of issuers that this server deals with: names are cheap."""


class Turnstile:
    """Counts requests of person servers that are not known."""

    def __init__(self, trust: Trust, limits: Limits, *, clock: Clock) -> None:
        self.trust, self.limits = trust, limits
        #: Held while a request of a person server that is not known is counted and opened.
        self.strangers = asyncio.Lock()
        self._each = Attempts(limit=limits.rate_first_contact, window_s=60.0, clock=clock)
        self._all = Attempts(limit=limits.rate_all_first_contacts, window_s=60.0, clock=clock)
        self._revocations = Attempts(limit=limits.revocations, window_s=60.0, clock=clock)

    def known(self, ps: str) -> bool:
        return ps in self.trust.person_servers

    def count(self, ps: str, *, billed: bool = False) -> None:
        """Count a token request; one with a billing relationship is trusted. Raises `RateLimited`."""
        if billed or self.known(ps):
            return
        wait_s = max(self._each.wait_s(ps), self._all.wait_s(""))
        if wait_s > 0:
            raise RateLimited(
                "Person servers this access server has no agreement with ask too often.", retry_after_s=int(wait_s) + 1
            )
        self._each.count(ps)
        self._all.count("")

    def check_open(self, ps: str, *, own: int, first_contacts: int, of_tenant: int = 0, billed: bool = False) -> None:
        """Whether one more request may wait. Raises `RateLimited`."""
        limits = self.limits
        full = (
            own >= limits.open_known or of_tenant >= limits.open_tenant
            if billed or self.known(ps)
            else own >= limits.open_first_contact or first_contacts >= limits.open_all_first_contacts
        )
        if full:
            raise RateLimited("Too many requests of this person server are waiting already.", retry_after_s=60)

    def count_revocation(self, issuer: str) -> None:
        """Count a revocation. Raises `RateLimited`."""
        wait_s = self._revocations.wait_s(issuer)
        if wait_s > 0:
            raise RateLimited("Too many revocations in a minute.", retry_after_s=int(wait_s) + 1)
        self._revocations.count(issuer)
