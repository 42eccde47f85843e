"""Keeping guessing slow (#ps-approval-endpoint-auth): what may be tried to sign in, by name and by network.

Counted in the store, so that neither a restart nor a second process of the server gives anybody another round. What is
counted per process is said where it is (`store.attempts.Attempts`).
"""

from __future__ import annotations

from ..effects import Clock
from ..errors import AAuthError
from .networks import network_of
from .storage import AccountStore

__all__ = [
    "FAILURES_BY_NAME",
    "FAILURES_BY_NETWORK",
    "FAILURE_WINDOW_S",
    "Guessing",
    "SignInRefused",
    "TooManyAttempts",
]

#: Wrong tries for one name, whoever tries, and for one network, whatever the name, within the window.
FAILURES_BY_NAME = 10
FAILURES_BY_NETWORK = 30
FAILURE_WINDOW_S = 900


class SignInRefused(AAuthError):
    """What was typed signs nobody in; which part of it is wrong is not said."""


class TooManyAttempts(AAuthError):
    """Guessing is slowed down."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60))
        super().__init__(f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}.")
        self.wait_s = wait_s


class Guessing:
    """Counts the tries of one kind of secret, such as `password`: another kind has tries of its own."""

    def __init__(self, store: AccountStore, kind: str, *, clock: Clock) -> None:
        self._store, self._kind, self._clock = store, kind, clock

    async def count(self, name: str, address: str | None) -> None:
        """Count a try before it is judged, so that many at once gain nothing. Raises `TooManyAttempts`."""
        limits = [(self._name(name), FAILURES_BY_NAME)]
        network = network_of(address)
        if network is not None:
            limits.append((_network(network), FAILURES_BY_NETWORK))
        wait_s = await self._store.count_attempt(limits, window_s=FAILURE_WINDOW_S, now=self._clock())
        if wait_s > 0:
            raise TooManyAttempts(wait_s)

    async def clear(self, name: str, address: str | None) -> None:
        """Forget the tries: somebody proved themselves."""
        network = network_of(address)
        await self._store.clear_attempts([self._name(name), *([_network(network)] if network is not None else ())])

    def _name(self, name: str) -> str:
        return f"{self._kind} of {name}"


def _network(network: str) -> str:
    return f"sign-in from {network}"
