"""A policy of our access server for tests: it wants one thing after the other, then allows."""

from __future__ import annotations

from aauthlib.access.decisions import Allow, Decision, NeedApproval
from aauthlib.access.facts import Facts

__all__ = ["InTurn"]


class InTurn:
    """Each decision is made once; but an approval is wanted until there is one, since it is asked again meanwhile."""

    def __init__(self, *decisions: Decision) -> None:
        self._decisions, self.seen = list(decisions), list[Facts]()

    def __call__(self, facts: Facts) -> Decision:
        self.seen.append(facts)
        if self._decisions and isinstance(self._decisions[0], NeedApproval):
            if facts.approved_by is None:
                return self._decisions[0]
            self._decisions.pop(0)
        return self._decisions.pop(0) if self._decisions else Allow()
