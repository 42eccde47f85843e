"""What no exchange can be faster than: commits of the database, signatures of `cryptography`, requests of the client.

Each measures for a short while with the wall clock, since a commit waits for the disk and a request for the other side.
"""

from __future__ import annotations

import sqlite3
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url

__all__ = ["Commits", "Writes", "median", "raw_sign_per_s", "raw_verify_per_s", "spread", "verifications"]

_MESSAGE = b"m" * 300
_KEY = Ed25519PrivateKey.generate()
_PUBLIC = _KEY.public_key()
_SIGNATURE = _KEY.sign(_MESSAGE)
_SIGNATURES = 1500
_COMMITS = 300


def median(rates: list[float]) -> float:
    return statistics.median(rates)


def spread(rates: list[float]) -> float:
    """Distance of the extremes as a share of the median."""
    return round((max(rates) - min(rates)) / statistics.median(rates), 3)


def verifications(number: int) -> int:
    """Verify so many Ed25519 signatures; returns how many."""
    for _ in range(number):
        _PUBLIC.verify(_SIGNATURE, _MESSAGE)
    return number


def raw_verify_per_s() -> float:
    """Ed25519 verifications per second."""
    began = perf_counter()
    return verifications(_SIGNATURES) / (perf_counter() - began)


def raw_sign_per_s() -> float:
    """Ed25519 signatures per second."""
    began = perf_counter()
    for _ in range(_SIGNATURES):
        _KEY.sign(_MESSAGE)
    return _SIGNATURES / (perf_counter() - began)


class Commits:
    """Transactions of one inserted row, one after the other, by the bare driver, in a database like the server's."""

    def __init__(self, per_s: Callable[[], Awaitable[float]], close: Callable[[], Awaitable[None]]) -> None:
        self.per_s, self.close = per_s, close

    @classmethod
    async def of(cls, url: str, directory: Path) -> Commits:
        """On a file in `directory` with the settings of `store.database`, or in the PostgreSQL database at `url`."""
        if make_url(url).get_backend_name() == "sqlite":
            return cls._sqlite(directory / "commits.db")
        return await cls._postgresql(url)

    @classmethod
    def _sqlite(cls, path: Path) -> Commits:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("CREATE TABLE commits (key TEXT PRIMARY KEY, value TEXT)")
        number = iter(range(1 << 62))

        async def per_s() -> float:
            began = perf_counter()
            for _ in range(_COMMITS):
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO commits VALUES (?, ?)", (f"{next(number):020}", "v" * 200))
                connection.execute("COMMIT")
            return _COMMITS / (perf_counter() - began)

        async def close() -> None:
            connection.close()

        return cls(per_s, close)

    @classmethod
    async def _postgresql(cls, url: str) -> Commits:
        connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
        await connection.execute("CREATE TABLE commits (key TEXT PRIMARY KEY, value TEXT)")
        number = iter(range(1 << 62))

        async def per_s() -> float:
            began = perf_counter()
            for _ in range(_COMMITS):
                async with connection.transaction():
                    await connection.execute("INSERT INTO commits VALUES ($1, $2)", f"{next(number):020}", "v" * 200)
            return _COMMITS / (perf_counter() - began)

        return cls(per_s, connection.close)


class Writes:
    """Counts transactions that wrote something, in every database of this process, while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Writes:
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "before_cursor_execute", self._statement)
        event.remove(Engine, "commit", self._commit)

    def _statement(self, connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            connection.info["bench wrote"] = True

    def _commit(self, connection: Connection) -> None:
        self.count += bool(connection.info.pop("bench wrote", False))
