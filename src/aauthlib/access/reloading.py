"""An access server's policy in a file, read again when the file changes (`policies.reloading`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..effects import Clock
from ..errors import ConfigurationError
from ..policies.reloading import Reloading, read_text
from .cedar import CedarPolicy
from .decisions import Verdict
from .facts import Facts
from .policy import CallablePolicy, Policy
from .rules import RulesPolicy

__all__ = ["PolicyFile", "load_policy"]


def load_policy(path: Path) -> Policy:
    """The policy in a `.toml`, `.cedar` or `.py` file, the last of which is run. Raises `ConfigurationError`."""
    readers: dict[str, Callable[[str], Policy]] = {
        ".toml": RulesPolicy.read,
        ".cedar": CedarPolicy.read,
        ".py": CallablePolicy.read,
    }
    reader = readers.get(path.suffix)
    if reader is None:
        raise ConfigurationError(f"{path.name} is no policy: its name ends in {' or '.join(readers)}.")
    return reader(read_text(path))


class PolicyFile(Reloading[Policy]):
    """The policy in a file, whatever it says now. Raises `ConfigurationError` when there is none to begin with."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        super().__init__(path, load_policy, clock=clock)

    async def decide(self, facts: Facts) -> Verdict:
        return await (await self.current()).decide(facts)
