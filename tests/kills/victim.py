"""A server that dies by `kill -9` at the transaction a test names, before or after its commit.

    python -m tests.kills.victim FUSE serve person ...

It is `aauth` in a process of its own with one thing added from outside: every transaction that has written something
looks at the fuse, a small file that the test holds open too. Nothing of it is in the library, so nothing can light it
in production.
"""

from __future__ import annotations

import mmap
import os
import re
import signal
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthlib.store.database import Database

_HEAD = struct.Struct("<qqq")
_BYTES = 1024
_WRITES = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")
_WROTE = "tests_wrote"
#: One row for each request that arrives, in a transaction of its own: the same moment at every step of every flow.
_EVERY_REQUEST = frozenset({"received_requests"})
#: Telling people has a clock of its own. It is counted where it is what the test is about, and only there.
_TELLING = frozenset({"person_notification_outbox", "person_notification_subscriptions"})


class Moment(IntEnum):
    """When it happens."""

    BEFORE = 1
    """All is written, nothing is committed."""
    AFTER = 2
    """It is committed, and nobody has been told."""


class Fuse:
    """What the test and the server share: which transaction is the last one, and whether it was."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(_BYTES))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _BYTES)

    def light(self, number: int, moment: Moment, *, telling: bool = False) -> None:
        """The `number`-th transaction that writes, counted from now, is the last; of `telling` people, or any other."""
        self._shared[:] = bytes(_BYTES)
        _HEAD.pack_into(self._shared, 0, number, moment, telling)

    def put_out(self) -> None:
        """From now on nothing happens."""
        self.light(0, Moment.BEFORE)

    @property
    def burnt(self) -> str:
        """What the last transaction wrote; empty while nothing has happened."""
        return self._shared[_HEAD.size :].rstrip(b"\0").decode()

    def reached(self, moment: Moment, wrote: frozenset[str]) -> None:
        """A transaction has come to this moment."""
        left, when, telling = _HEAD.unpack_from(self._shared)
        if left < 1 or when != moment or telling != (wrote <= _TELLING):
            return
        _HEAD.pack_into(self._shared, 0, left - 1, when, telling)
        if left == 1:
            name = ",".join(sorted(wrote)).encode()[: _BYTES - _HEAD.size]
            self._shared[_HEAD.size : _HEAD.size + len(name)] = name
            os.kill(os.getpid(), signal.SIGKILL)


def fit(fuse: Fuse) -> None:
    """Have every transaction of this process look at the fuse."""
    transaction = Database.transaction

    @event.listens_for(Engine, "after_cursor_execute")
    def executed(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        written = _WRITES.match(statement)
        if written is not None and cursor.rowcount != 0:
            connection.info.setdefault(_WROTE, set()).add(written[1])

    @asynccontextmanager
    async def watched(self: Database) -> AsyncIterator[AsyncConnection]:
        wrote = frozenset[str]()
        async with transaction(self) as connection:
            connection.info.pop(_WROTE, None)
            yield connection
            wrote = frozenset(connection.info.pop(_WROTE, ())) - _EVERY_REQUEST
            if wrote:
                fuse.reached(Moment.BEFORE, wrote)
        if wrote:
            fuse.reached(Moment.AFTER, wrote)

    Database.transaction = watched  # type: ignore[method-assign]


def main() -> None:
    fit(Fuse(Path(sys.argv.pop(1))))
    from aauthlib.cli import main as aauth

    aauth()


if __name__ == "__main__":
    main()
