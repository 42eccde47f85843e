"""A policy in a file, read again when the file changes.

The policy is swapped whole between two decisions. A new file that cannot be read as a policy changes nothing but the
log: what decided before goes on deciding, so that a slip of the editor neither opens nor closes everything.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ..effects import Clock
from ..errors import ConfigurationError
from .cedar import CedarPolicy
from .decisions import Verdict
from .facts import Facts
from .policy import Policy
from .rules import RulesPolicy

__all__ = ["PolicyFile", "load_policy"]

_LOOK_EVERY_S = 1.0
_MAX_BYTES = 4_194_304

_log = logging.getLogger("aauthlib.access")


def load_policy(path: Path) -> Policy:
    """The policy in a `.toml` or `.cedar` file. Raises `ConfigurationError`."""
    readers: dict[str, Callable[[str], Policy]] = {".toml": RulesPolicy.read, ".cedar": CedarPolicy.read}
    reader = readers.get(path.suffix)
    if reader is None:
        raise ConfigurationError(f"{path.name} is no policy: its name ends in {' or '.join(readers)}.")
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text.") from error
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_BYTES} bytes.")
    return reader(text)


class PolicyFile:
    """The policy in a file, whatever it says now. Raises `ConfigurationError` when there is none to begin with."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._seen = _stamp(path)
        self._policy = load_policy(path)
        self._looked_at = clock()
        self.problem: str | None = None
        """Why the file as it is now is not in force; `None` when it is."""

    @property
    def version(self) -> str:
        return self._policy.version

    async def decide(self, facts: Facts) -> Verdict:
        if self._clock() - self._looked_at >= _LOOK_EVERY_S:
            await self.reload()
        return await self._policy.decide(facts)

    async def reload(self) -> bool:
        """Look at the file now. Returns whether another policy decides than before."""
        self._looked_at = self._clock()
        stamp = await asyncio.to_thread(_stamp, self._path)
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            policy = await asyncio.to_thread(load_policy, self._path)
        except ConfigurationError as error:
            self.problem = error.detail
            _log.error("the policy file is not in force, version %s still decides: %s", self.version, error.detail)
            return False
        before, self._policy, self.problem = self.version, policy, None
        _log.info("policy version %s decides now", policy.version)
        return before != policy.version


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
