"""How long an exchange waits for each decision, however often it has to ask for it (#polling-error-codes).

A person takes hours, the tokens of a request live for minutes. A server that answers `expired` may have decided all the
same, and applies that to the next request; so it is asked anew, within the one wait the application allows.
"""

from __future__ import annotations

from ..deferred.polling import PollPolicy
from ..effects import Clock
from ..errors import Expired

__all__ = ["Patience"]

#: A server that answers `expired` sooner than this, again, says it of something that asking anew does not mend.
_SHORTEST_WAIT_S = 60.0


class Patience:
    """Of one exchange, by what is waited for."""

    def __init__(self, clock: Clock, policy: PollPolicy) -> None:
        self._clock, self._policy = clock, policy
        self._began: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._repeated: set[str] = set()

    def begin(self, what: str) -> float:
        """It is asked for now. Returns when the wait for it began, Unix seconds."""
        now = self._clock()
        self._asked[what] = now
        return self._began.setdefault(what, now)

    def end(self, what: str) -> None:
        """It was decided; the next decision has a wait of its own."""
        self._began.pop(what, None)
        self._asked.pop(what, None)
        self._repeated.discard(what)

    def again(self, what: str, error: Expired) -> None:
        """Return when it is worth asking anew after a server's `error`; raise that otherwise."""
        now = self._clock()
        over = now - self._began.get(what, now) >= self._policy.deadline_s
        at_once = what in self._repeated and now - self._asked.get(what, now) < _SHORTEST_WAIT_S
        if over or at_once:
            raise error
        self._repeated.add(what)
