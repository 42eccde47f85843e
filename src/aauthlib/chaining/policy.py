"""The bounds on calling downstream."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigurationError

__all__ = ["ChainPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPolicy:
    """Bounds on calling downstream. Raises `ConfigurationError` for one that lets nothing through."""

    lifetime_s: float = 900.0
    """Seconds an invocation may take from its first call downstream, the person's time to decide included; its result
    is kept for the caller as long. It never outlives the caller's token. Then it ends as `expired` (408)."""
    most_per_person: int = 32
    """Calls under way at a time for one person. It also ends a circle of services that call each other."""
    most_waiting: int = 20
    """Invocations of one caller that wait at a time. One more is refused as `rate_limited` (429)."""
    most_of_person_server: int = 250
    """Of the callers of one person server: anybody can run one, and have as many persons and keys there as it likes."""
    most_in_all: int = 1000
    """Of everybody, in one process; each is a task that polls downstream."""
    max_result_bytes: int = 1_048_576
    poll_wait_s: int = 45
    """`Prefer: wait` of our own polls downstream, in seconds; 0 asks for an answer at once."""

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if getattr(self, name) <= 0 and name != "poll_wait_s":
                raise ConfigurationError(f"ChainPolicy.{name} is a number above zero.")
        if self.poll_wait_s < 0:
            raise ConfigurationError("ChainPolicy.poll_wait_s is a number, and not below zero.")
