"""Which store a URL names, and that no message repeats a password."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.httpsig import MemoryReplayCache
from aauthlib.store.database import Database
from aauthlib.store.replay import SQLReplayCache
from aauthlib.store.replay_valkey import ValkeyReplayCache
from aauthlib.store.replays import open_replay_cache, replay_cache_of_server, shown_replay_url
from aauthlib.store.valkey_address import ValkeyAddress
from tests.valkey_server import ValkeyServer, free_port

NOW = 1_800_000_000.0
SECRET = "hunter2"


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize("url", ["memory:", "memory://"])
async def test_memory_is_for_one_process(url: str) -> None:
    opened = await open_replay_cache(url)
    assert isinstance(opened.cache, MemoryReplayCache)
    assert await opened.first_time("a", until=NOW + 60, now=NOW)
    assert not await opened.first_time("a", until=NOW + 60, now=NOW)
    await opened.aclose()


@pytest.mark.spec("#freshness-and-replay")
async def test_a_sqlite_url_is_a_file_that_processes_share(tmp_path: Path) -> None:
    for new in (True, False):
        opened = await open_replay_cache(f"sqlite:///{tmp_path / 'replays.db'}")
        assert isinstance(opened.cache, SQLReplayCache)
        assert await opened.first_time("a", until=NOW + 60, now=NOW) is new
        await opened.aclose()


@pytest.mark.spec("#freshness-and-replay")
async def test_a_postgresql_url_is_a_database(needs_postgres: str) -> None:
    opened = await open_replay_cache(needs_postgres)
    assert isinstance(opened.cache, SQLReplayCache)
    assert await opened.first_time(opened.shown, until=NOW + 60, now=NOW) in (True, False)
    assert not await opened.first_time(opened.shown, until=NOW + 60, now=NOW)
    await opened.aclose()


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize("scheme", ["valkey", "redis"])
async def test_a_valkey_or_redis_url_is_such_a_server(needs_valkey: ValkeyServer, scheme: str) -> None:
    opened = await open_replay_cache(needs_valkey.url.replace("valkey", scheme, 1))
    assert isinstance(opened.cache, ValkeyReplayCache)
    assert opened.shown == f"valkey://127.0.0.1:{needs_valkey.port}/0"
    await opened.first_time(scheme, until=NOW + 60, now=NOW)
    assert not await opened.first_time(scheme, until=NOW + 60, now=NOW)
    await opened.aclose()


def test_every_part_of_a_valkey_url_is_read() -> None:
    assert ValkeyAddress.parse("rediss://u%40x:p%2Fw@[::1]:7000/4?ssl_ca_certs=/etc/ca.pem") == ValkeyAddress(
        host="::1", port=7000, number=4, tls=True, username="u@x", password="p/w", ca_file="/etc/ca.pem"
    )
    assert ValkeyAddress.parse("valkey://host") == ValkeyAddress(host="host", port=6379)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory:", "memory"),
        (f"valkey://u:{SECRET}@host", "valkey://host:6379/0"),
        (f"rediss://:{SECRET}@[::1]:7000/2", "valkeys://[::1]:7000/2"),
        (f"postgresql://{SECRET}:{SECRET}@host:5433/name?password={SECRET}", "postgresql://host:5433/name"),
        ("sqlite:///replays.db", "sqlite:///replays.db"),
    ],
)
def test_a_url_is_shown_without_user_password_and_parameters(url: str, shown: str) -> None:
    assert shown_replay_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        SECRET,
        f"memory:{SECRET}",
        f"mysql://u:{SECRET}@host/db",
        f"http://u:{SECRET}@host",
        f"valkey:{SECRET}",
        f"valkey://u:{SECRET}@",
        f"valkey://u:{SECRET}/x@host",
        f"valkey://u:1/{SECRET}@host",
        f"valkey://u:1?{SECRET}@host",
        f"valkey://u:1#{SECRET}@host",
        f"valkey://u:{SECRET}@host:port",
        f"valkey://u:{SECRET}@host:99999",
        f"valkey://u:{SECRET}@host/name",
        f"valkey://u@host?password={SECRET}",
        f"valkey://[{SECRET}",
        f"postgresql://u:{SECRET}@host:port/db",
        f"sqlite:{SECRET}",
    ],
)
async def test_a_url_that_cannot_be_read_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"valkey://") as caught:
        await open_replay_cache(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("url", ["postgresql://u:{secret}@127.0.0.1:{port}/db", "valkey://u:{secret}@127.0.0.1:{port}"])
async def test_a_store_that_is_away_at_the_start_says_what_to_do(url: str) -> None:
    with pytest.raises(ConfigurationError, match="Start the") as caught:
        await open_replay_cache(url.format(secret=SECRET, port=free_port()))
    assert SECRET not in str(caught.value)


async def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "valkey"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "aauthlib.store.replay_valkey")
    monkeypatch.setitem(sys.modules, "valkey", None)
    with pytest.raises(ConfigurationError, match=r"valkey: pip install 'aauthlib\[valkey\]'"):
        await open_replay_cache("valkey://localhost")


async def test_a_server_remembers_in_one_place(tmp_path: Path) -> None:
    database = await Database.open("sqlite://")
    async with AsyncExitStack() as closing:
        closing.push_async_callback(database.close)
        assert isinstance(await replay_cache_of_server(None, database, closing), SQLReplayCache)
        given = MemoryReplayCache()
        assert await replay_cache_of_server(None, database, closing, given=given) is given
        with pytest.raises(ConfigurationError, match="either"):
            await replay_cache_of_server("memory:", database, closing, given=given)
