"""One at a time: exchanges of one agent that need the same token ask for it once (#concurrent-token-requests).

Ten requests that meet the same challenge at once must not ask the person ten times. Whoever comes second waits, and
then finds the token. Waiting is a `Sleep`, so it works in threads and on an event loop alike.
"""

from __future__ import annotations

from types import TracebackType

from ..effects import Flow, Sleep

__all__ = ["Turn", "Turns"]

_ROUND_S = 0.2


class Turns:
    """Who is obtaining what, by kind of token."""

    def __init__(self) -> None:
        self._holders: dict[str, Turn] = {}

    def take(self, kind: str, *, limit_s: float) -> Flow[Turn]:
        """Wait for the turn to obtain a `kind`, at most `limit_s` seconds; to be used in a `with` statement.

        Look again at what is held once it has come: somebody else may have obtained it meanwhile.
        """
        turn = Turn(self, kind)
        waited_s = 0.0
        # `setdefault` is one step, also between threads.
        while self._holders.setdefault(kind, turn) is not turn and waited_s < limit_s:
            waited_s += _ROUND_S
            yield Sleep(_ROUND_S)
        return turn

    def leave(self, turn: Turn) -> None:
        """End `turn`; nothing happens when it is another's."""
        if self._holders.get(turn.kind) is turn:
            del self._holders[turn.kind]


class Turn:
    """A turn, over when its `with` block is."""

    def __init__(self, turns: Turns, kind: str) -> None:
        self._turns, self.kind = turns, kind

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.leave(self)
