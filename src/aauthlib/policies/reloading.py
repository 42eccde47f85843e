"""A policy in a file, read again when the file changes.

The policy is swapped whole between two decisions. A new file that cannot be read as a policy changes nothing but the
log: what decided before goes on deciding, so that a slip of the editor neither opens nor closes everything. A file that
changes while it is read is looked at again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ..effects import Clock
from ..errors import ConfigurationError

__all__ = ["Reloading", "Versioned", "read_text"]

_LOOK_EVERY_S = 1.0
#: A file that has just changed may be half written; most programs empty it first.
_SETTLES_IN_S = 0.05
_MAX_BYTES = 4_194_304

_log = logging.getLogger("aauthlib.policies")


class Versioned(Protocol):
    """A policy, of whichever role."""

    @property
    def version(self) -> str:
        """Names what decides now, for the log."""


P = TypeVar("P", bound=Versioned)


def read_text(path: Path) -> str:
    """The text of a policy file. Raises `ConfigurationError`."""
    try:
        content = path.read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text.") from error
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_BYTES} bytes.")
    return text


class Reloading(Generic[P]):
    """The policy in a file, whatever it says now. Raises `ConfigurationError` when there is none to begin with."""

    def __init__(self, path: Path, load: Callable[[Path], P], *, clock: Clock) -> None:
        self._path, self._load, self._clock = path, load, clock
        self._seen = _stamp(path)
        self._policy = load(path)
        self._looked_at = clock()
        self.problem: str | None = None
        """Why the file as it is now is not in force; `None` when it is."""

    @property
    def version(self) -> str:
        return self._policy.version

    @property
    def policy(self) -> P:
        """The policy in force, as of the last look."""
        return self._policy

    async def current(self) -> P:
        """The policy in force, after a look at the file where the last one is a second ago."""
        if self._clock() - self._looked_at >= _LOOK_EVERY_S:
            await self.reload()
        return self._policy

    async def reload(self) -> bool:
        """Look at the file now. Returns whether another policy decides than before."""
        self._looked_at = self._clock()
        stamp = await asyncio.to_thread(_stamp, self._path)
        if stamp == self._seen:
            return False
        await asyncio.sleep(_SETTLES_IN_S)
        try:
            policy = await asyncio.to_thread(self._load, self._path)
        except Exception as error:  # Whatever the file makes its reader do, the policy in force stays.
            self._seen, self.problem = stamp, _problem(error)
            _log.error("the policy file is not in force, version %s still decides: %s", self.version, self.problem)
            return False
        # Half of a policy can be a policy too, and what was read first must not take the place of what was read last.
        if await asyncio.to_thread(_stamp, self._path) != stamp:
            return False
        before, self._seen = self.version, stamp
        self._policy, self.problem = policy, None
        _log.info("policy version %s decides now", policy.version)
        return before != policy.version


def _problem(error: Exception) -> str:
    return error.detail if isinstance(error, ConfigurationError) else f"It cannot be read: {type(error).__name__}."


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
