"""The interface of policies, and the one that is a Python callable."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Protocol

from .decisions import Decision, Verdict
from .facts import Facts

__all__ = ["CallablePolicy", "Policy"]


class Policy(Protocol):
    """Decides token requests.

    It is asked again with every fact that an exchange teaches. A demand that was met already must not be made again:
    that is treated as a denial, since the exchange would never end.
    """

    @property
    def version(self) -> str:
        """Names what decides now, for the log."""

    async def decide(self, facts: Facts) -> Verdict:
        """Decide on these facts. When it raises, the request fails as `server_error`, with nothing granted."""


class CallablePolicy:
    """A policy that is a function, plain or asynchronous, from facts to a decision."""

    def __init__(self, decide: Callable[[Facts], Decision | Awaitable[Decision]], *, version: str = "callable") -> None:
        self._decide, self._version = decide, version

    @property
    def version(self) -> str:
        return self._version

    async def decide(self, facts: Facts) -> Verdict:
        decision = self._decide(facts)
        if inspect.isawaitable(decision):
            decision = await decision
        return Verdict(decision, rule=getattr(self._decide, "__name__", "callable"), version=self._version)
