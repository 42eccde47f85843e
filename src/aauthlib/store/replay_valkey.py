"""Requests that were received, in Valkey or Redis: `httpsig.ReplayCache` for several processes (#freshness-and-replay).

Whether a request is new is decided by one `SET ... NX EX`, so by the server, which also forgets it in time. No answer
means that nobody knows, and then the request is not served.
"""

from __future__ import annotations

import asyncio
import logging
import math

from valkey.asyncio import Valkey
from valkey.asyncio.connection import Connection, ConnectionPool, SSLConnection
from valkey.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError, ValkeyError

from ..errors import ConfigurationError, TemporarilyUnavailable
from ..httpsig.replay import CANNOT_TELL
from .valkey_address import ValkeyAddress

__all__ = ["CLOCK_MARGIN_S", "KEY_PREFIX", "ValkeyReplayCache"]

KEY_PREFIX = "aauth:replay:"
#: How far the clocks of the processes may be apart: each reckons from its own when a signature is too old.
CLOCK_MARGIN_S = 30

_FAILURES = (ValkeyError, OSError)

_log = logging.getLogger("aauthlib.store")


class ValkeyReplayCache:
    """For every process that shares the server. Open it with `open`, in the event loop that serves; close it there.

    A key is held until its signature is too old, and `CLOCK_MARGIN_S` more. `timeout_s` is the bound on all that one
    answer takes: a free connection, connecting, the command.
    """

    def __init__(self, address: ValkeyAddress, *, max_connections: int = 16, timeout_s: float = 2.0) -> None:
        self.address = address
        self._timeout_s = timeout_s
        # The pool refuses what exceeds it, so turns are taken in front of it. It has no timeouts of its own: one
        # deadline is over everything, and a connection that was given up in the middle of a command is closed with it,
        # so that no later command reads its reply.
        self._turns = asyncio.Semaphore(max_connections)
        tls = {"ssl_check_hostname": True, "ssl_ca_certs": address.ca_file} if address.tls else {}
        self._pool = ConnectionPool(
            SSLConnection if address.tls else Connection,
            max_connections=max_connections,
            host=address.host,
            port=address.port,
            db=address.number,
            username=address.username,
            password=address.password,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            lib_name=None,
            lib_version=None,
            **tls,
        )
        self._client = Valkey(connection_pool=self._pool)
        self._away = False

    @classmethod
    async def open(cls, url: str, *, max_connections: int = 16, timeout_s: float = 2.0) -> ValkeyReplayCache:
        """Connect to `url` and see that it can be written to. Raises `ConfigurationError`."""
        cache = cls(ValkeyAddress.parse(url), max_connections=max_connections, timeout_s=timeout_s)
        try:
            await cache._set("start", 0)
            await cache._warn_of_eviction()
        except _FAILURES as error:
            await cache.aclose()
            raise ConfigurationError(_at_start(error, cache.address)) from None
        except BaseException:
            await cache.aclose()
            raise
        return cache

    async def first_time(self, digest: str, *, until: float, now: float) -> bool:
        """See `httpsig.ReplayCache`. Raises `TemporarilyUnavailable` when the server gives no usable answer."""
        try:
            new = await self._set(digest, until - now)
        except _FAILURES as error:
            self._say(away=True, why=type(error).__name__)
            raise TemporarilyUnavailable(CANNOT_TELL) from error
        self._say(away=False)
        return new

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.disconnect()

    async def _set(self, digest: str, lasts_s: float) -> bool:
        expires_in_s = math.ceil(max(0.0, lasts_s)) + CLOCK_MARGIN_S
        async with asyncio.timeout(self._timeout_s), self._turns:
            return await self._client.set(KEY_PREFIX + digest, b"1", nx=True, ex=expires_in_s) is True

    async def _warn_of_eviction(self) -> None:
        """A server that makes room by dropping keys drops some of these, and what was dropped can be replayed."""
        try:
            async with asyncio.timeout(self._timeout_s), self._turns:
                memory = await self._client.info("memory")
        except ResponseError:  # an account that may do no more than it must
            return
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            _log.warning(
                "%s drops keys when its memory is full (maxmemory-policy %s), and what it dropped can be replayed. "
                "Use a server of its own with maxmemory-policy noeviction.",
                self.address,
                memory.get("maxmemory_policy"),
            )

    def _say(self, *, away: bool, why: str = "") -> None:
        """Log when the server goes away and when it is back, not each request in between."""
        if away and not self._away:
            _log.warning("%s gives no usable answer (%s): requests that change something get 503.", self.address, why)
        elif self._away and not away:
            _log.warning("%s answers again.", self.address)
        self._away = away


def _at_start(error: Exception, address: ValkeyAddress) -> str:
    """What to do about `error`. The text of the error stays out: it is somebody else's, and may quote."""
    match error:
        case AuthenticationError():
            return f"{address} refuses the user name or the password in the URL, or wants one. Correct the URL."
        case NoPermissionError():
            return f"{address} does not let this user SET keys that begin with {KEY_PREFIX}. Allow it (ACL SETUSER)."
        case ReadOnlyError():
            return f"{address} is a replica and takes no writes. Name the primary in the URL."
        case ResponseError():
            return f"{address} refuses to remember requests ({type(error).__name__}). Is it full, or the number wrong?"
    trust = " Over TLS its certificate must be valid for that name (?ssl_ca_certs=FILE for a CA of your own)."
    return (
        f"{address} cannot be reached ({type(error).__name__}). Start the Valkey or Redis server, or correct the URL "
        f"where requests are remembered.{trust if address.tls else ''}"
    )
