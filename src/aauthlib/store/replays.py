"""Where received requests are remembered, chosen by URL (#freshness-and-replay)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ..errors import ConfigurationError
from ..httpsig import MemoryReplayCache, ReplayCache
from .database import Database
from .replay import SQLReplayCache
from .valkey_address import VALKEY_SCHEMES, ValkeyAddress

__all__ = ["OpenReplayCache", "open_replay_cache", "replay_cache_of_server", "shown_replay_url"]

_FORMS = (
    "memory: for one process; sqlite:///file.db, postgresql://user@host/name, valkey://host or redis://host "
    "(valkeys:// and rediss:// over TLS) for several"
)
_DATABASES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class OpenReplayCache:
    """A `httpsig.ReplayCache` that holds something open. Close it when nothing is served any more."""

    cache: ReplayCache
    shown: str
    """Where it is, for people; without user name and password."""
    _close: Callable[[], Awaitable[None]] = field(repr=False)

    async def first_time(self, digest: str, *, until: float, now: float) -> bool:
        """See `httpsig.ReplayCache`."""
        return await self.cache.first_time(digest, until=until, now=now)

    async def aclose(self) -> None:
        """Close what was opened."""
        await self._close()


async def open_replay_cache(url: str) -> OpenReplayCache:
    """Open what `url` names, in the event loop that serves.

    `memory:`, `sqlite:///file.db`, `postgresql://user@host/name`, `valkey://` or `redis://`, `valkeys://` or
    `rediss://`. A database gets the tables of this version. Raises `ConfigurationError`, which says what to do and
    never shows a password, when it cannot be used.
    """
    shown = shown_replay_url(url)
    scheme = _scheme(url)
    if scheme == "memory":
        return OpenReplayCache(MemoryReplayCache(), shown, _nothing_to_close)
    if scheme in VALKEY_SCHEMES:
        try:
            from .replay_valkey import ValkeyReplayCache
        except ModuleNotFoundError as error:
            raise _needs(error, "valkey") from None
        remembering = await ValkeyReplayCache.open(url)
        return OpenReplayCache(remembering, shown, remembering.aclose)
    try:
        database = await Database.open(url)
    except ModuleNotFoundError as error:
        raise _needs(error, "postgres") from None
    except (OSError, SQLAlchemyError) as error:
        raise ConfigurationError(
            f"{shown} cannot be used to remember requests ({type(error).__name__}). Start the database, or correct the "
            "URL."
        ) from None
    return OpenReplayCache(SQLReplayCache(database), shown, database.close)


async def replay_cache_of_server(
    url: str | None, database: Database, closing: AsyncExitStack, *, given: ReplayCache | None = None
) -> ReplayCache:
    """What a server remembers requests in: `given`, or what `url` names, or its own `database`.

    What is opened here is closed by `closing`. Raises `ConfigurationError`.
    """
    if url is None:
        return given if given is not None else SQLReplayCache(database)
    if given is not None:
        raise ConfigurationError("Give either replay_url or replay: a server remembers requests in one place.")
    opened = await open_replay_cache(url)
    closing.push_async_callback(opened.aclose)
    return opened


def shown_replay_url(url: str) -> str:
    """`url` for people: no user name, no password, no parameters. Raises `ConfigurationError`."""
    scheme = _scheme(url)
    if scheme == "memory":
        return "memory"
    if scheme in VALKEY_SCHEMES:
        return str(ValkeyAddress.parse(url))
    parsed = _database_url(url)
    return URL.create(
        parsed.drivername, host=parsed.host, port=parsed.port, database=parsed.database
    ).render_as_string()


def _scheme(url: str) -> str:
    """The kind of store. What else stands in the URL is not repeated: a mistyped one has its password anywhere."""
    scheme, colon, rest = url.partition(":")
    kind = scheme.partition("+")[0]
    known = rest in ("", "//") if scheme == "memory" else scheme in VALKEY_SCHEMES or kind in _DATABASES
    if not (colon and known):
        raise ConfigurationError(f"This is no place to remember requests in. There are: {_FORMS}.")
    return kind


def _database_url(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(f"The URL of the database cannot be read. There are: {_FORMS}.") from None


def _needs(error: ModuleNotFoundError, extra: str) -> ConfigurationError:
    package = (error.name or extra).partition(".")[0]
    return ConfigurationError(f"This needs the package {package}: pip install 'aauthlib[{extra}]'.")


async def _nothing_to_close() -> None:
    return
