"""How many calls downstream are under way for one person.

A resource that calls another which calls it again would go round until something breaks. Each round is one more call
under way for the same person, so the bound ends it, however many resources are in the circle.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import RateLimited

__all__ = ["Slots"]


class Slots:
    """At most `most` at a time by person. Safe between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def take(self, person: tuple[str, str]) -> Iterator[None]:
        """Hold one while the block runs. Raises `RateLimited`."""
        with self._lock:
            taken = self._taken.get(person, 0)
            if taken >= self._most:
                raise RateLimited(
                    "Too many calls for this person are under way from here; do the services call each other in a "
                    "circle?",
                    retry_after_s=10,
                )
            self._taken[person] = taken + 1
        try:
            yield
        finally:
            with self._lock:
                if self._taken[person] <= 1:
                    del self._taken[person]
                else:
                    self._taken[person] -= 1
