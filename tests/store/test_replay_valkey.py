"""Received requests in Valkey: one answer for all processes that share it, and none served while it is away."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from valkey.asyncio import Valkey

from aauthlib.errors import ConfigurationError, TemporarilyUnavailable
from aauthlib.store.replay_valkey import CLOCK_MARGIN_S, KEY_PREFIX, ValkeyReplayCache
from tests.valkey_server import PASSWORD, ValkeyServer, free_port, running_valkey
from tests.verification.certifying import Authority

NOW = 1_800_000_000.0

Opening = Callable[..., Awaitable[ValkeyReplayCache]]


@pytest.fixture
async def opening(needs_valkey: ValkeyServer) -> AsyncIterator[Opening]:
    """Opens caches, on the shared server unless told otherwise, and closes them."""
    async with AsyncExitStack() as closing:

        async def open_cache(url: str = needs_valkey.url, **how: object) -> ValkeyReplayCache:
            cache = await ValkeyReplayCache.open(url, **how)  # type: ignore[arg-type]
            closing.push_async_callback(cache.aclose)
            return cache

        yield open_cache


@pytest.fixture
async def administrator(needs_valkey: ValkeyServer) -> AsyncIterator[Valkey]:
    client = Valkey.from_url(needs_valkey.url)
    yield client
    await client.aclose()


@pytest.fixture(scope="module")
def own_server(needs_valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server that a test may stop, starve or make a replica, if it starts it anew afterwards."""
    with running_valkey(needs_valkey.executable, tmp_path_factory.mktemp("own")) as server:
        yield server


def digest() -> str:
    return secrets.token_hex(32)


@dataclass
class Relay:
    """Between a cache and the server. While `open` is not set, what the server says stays here."""

    upstream: int
    url: str = ""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    met: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        back = asyncio.create_task(self.hand_back(server_reader, writer))
        while data := await reader.read(65536):
            server_writer.write(data)
        server_writer.close()
        await back
        writer.close()

    async def hand_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            self.answered.set()
            await self.open.wait()
            writer.write(data)


@pytest.fixture
async def relay(needs_valkey: ValkeyServer) -> AsyncIterator[Relay]:
    """Take it before `opening`: it ends when the caches are closed."""
    relay = Relay(needs_valkey.port)
    relay.open.set()
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.url = f"valkey://:{PASSWORD}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield relay
    relay.open.set()
    server.close()
    while under_way := asyncio.all_tasks() - {asyncio.current_task()}:
        _, left = await asyncio.wait(under_way, timeout=5)
        for task in left:
            task.cancel()


@pytest.mark.spec("#freshness-and-replay")
async def test_a_request_is_new_once_for_all_who_share_the_server(opening: Opening) -> None:
    one, other = await opening(), await opening()
    request, another = digest(), digest()
    assert await one.first_time(request, until=NOW + 60, now=NOW)
    assert not await one.first_time(request, until=NOW + 60, now=NOW)
    assert not await other.first_time(request, until=NOW + 60, now=NOW)
    assert await other.first_time(another, until=NOW + 60, now=NOW)


@pytest.mark.spec("#freshness-and-replay")
async def test_of_many_at_the_same_moment_exactly_one_is_the_first(opening: Opening) -> None:
    caches = [await opening(max_connections=3) for _ in range(4)]
    for request in (digest(), digest(), digest()):
        answers = await asyncio.gather(
            *(cache.first_time(request, until=NOW + 60, now=NOW) for cache in caches for _ in range(20))
        )
        assert answers.count(True) == 1


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize(("lasts_s", "held_s"), [(60.0, 60), (119.2, 120), (0.0, 0), (-5.0, 0)])
async def test_the_server_forgets_when_no_process_takes_the_signature_any_more(
    opening: Opening, administrator: Valkey, lasts_s: float, held_s: int
) -> None:
    request = digest()
    assert await (await opening()).first_time(request, until=NOW + lasts_s, now=NOW)
    left_s = await administrator.ttl(KEY_PREFIX + request)
    assert held_s + CLOCK_MARGIN_S - 5 <= left_s <= held_s + CLOCK_MARGIN_S


async def test_what_is_written_says_nothing_of_the_request(opening: Opening, administrator: Valkey) -> None:
    request = digest()
    await (await opening()).first_time(request, until=NOW + 60, now=NOW)
    assert [key async for key in administrator.scan_iter(f"*{request}*")] == [f"{KEY_PREFIX}{request}".encode()]
    assert await administrator.get(KEY_PREFIX + request) == b"1"


@pytest.mark.spec("#freshness-and-replay")
async def test_a_late_reply_to_a_cancelled_command_is_nobody_elses_answer(relay: Relay, opening: Opening) -> None:
    cache = await opening(relay.url, max_connections=1)
    known, new = digest(), digest()
    assert await cache.first_time(known, until=NOW + 60, now=NOW)
    met = relay.met

    relay.open.clear()
    relay.answered.clear()
    asked = asyncio.create_task(cache.first_time(known, until=NOW + 60, now=NOW))
    await relay.answered.wait()  # "not new" is on its way
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    relay.open.set()

    assert await cache.first_time(new, until=NOW + 60, now=NOW)
    assert not await cache.first_time(new, until=NOW + 60, now=NOW)
    assert relay.met == met + 1


@pytest.mark.spec("#freshness-and-replay")
async def test_a_server_that_does_not_answer_in_time_leaves_no_late_reply_either(
    relay: Relay, opening: Opening
) -> None:
    cache = await opening(relay.url, max_connections=1, timeout_s=0.2)
    known, new = digest(), digest()
    assert await cache.first_time(known, until=NOW + 60, now=NOW)
    relay.open.clear()
    with pytest.raises(TemporarilyUnavailable):
        await cache.first_time(known, until=NOW + 60, now=NOW)
    relay.open.set()
    assert await cache.first_time(new, until=NOW + 60, now=NOW)


async def test_who_finds_no_free_connection_waits_no_longer_than_that(relay: Relay, opening: Opening) -> None:
    cache = await opening(relay.url, max_connections=1, timeout_s=0.2)
    relay.open.clear()
    answers = await asyncio.gather(
        *(cache.first_time(digest(), until=NOW + 60, now=NOW) for _ in range(5)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [TemporarilyUnavailable] * 5


@pytest.mark.spec("#freshness-and-replay")
async def test_while_it_is_away_nothing_is_new_and_when_it_is_back_all_goes_on(
    opening: Opening, own_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    cache = await opening(own_server.url)
    assert await cache.first_time(digest(), until=NOW + 60, now=NOW)
    own_server.stop()
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable, match="Sign it anew") as caught:
            await cache.first_time(digest(), until=NOW + 60, now=NOW)
        assert caught.value.retry_after_s > 0
        assert PASSWORD not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert own_server.start()
    assert await cache.first_time(digest(), until=NOW + 60, now=NOW)

    said = [record.getMessage() for record in caplog.records if record.name == "aauthlib.store"]
    assert ["no usable answer" in said[0], "answers again" in said[1], len(said)] == [True, True, 2]
    assert PASSWORD not in caplog.text


@pytest.mark.spec("#freshness-and-replay")
async def test_a_full_server_is_as_good_as_away(opening: Opening, own_server: ValkeyServer) -> None:
    cache = await opening(own_server.url)
    async with administering(own_server) as administrator:
        await administrator.config_set("maxmemory", 1)
        with pytest.raises(TemporarilyUnavailable):
            await cache.first_time(digest(), until=NOW + 60, now=NOW)
        await administrator.config_set("maxmemory", 0)


async def test_a_server_that_drops_keys_when_it_is_full_is_warned_of(
    opening: Opening, own_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with administering(own_server) as administrator:
        for policy, warnings in (("noeviction", 0), ("allkeys-lru", 1)):
            caplog.clear()
            await administrator.config_set("maxmemory", 100_000_000)
            await administrator.config_set("maxmemory-policy", policy)
            await opening(own_server.url)
            assert sum("noeviction" in record.getMessage() for record in caplog.records) == warnings
        await administrator.config_set("maxmemory", 0)


async def test_a_server_that_is_away_at_the_start_is_a_setting_to_correct() -> None:
    with pytest.raises(ConfigurationError, match="Start the Valkey or Redis server") as caught:
        await ValkeyReplayCache.open(f"valkey://:{PASSWORD}@127.0.0.1:{free_port()}")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("credentials", ["", ":wrong-password@", "nobody:wrong-password@"])
async def test_a_wrong_password_is_said_to_be_wrong_and_not_repeated(
    needs_valkey: ValkeyServer, credentials: str
) -> None:
    with pytest.raises(ConfigurationError, match="user name or the password") as caught:
        await ValkeyReplayCache.open(f"redis://{credentials}127.0.0.1:{needs_valkey.port}")
    assert "wrong-password" not in str(caught.value)


async def test_a_user_needs_no_more_than_set_on_the_prefix(
    opening: Opening, administrator: Valkey, needs_valkey: ValkeyServer
) -> None:
    await administrator.acl_setuser("elsewhere", True, passwords=["+one"], keys=["other:*"], commands=["+set"])
    with pytest.raises(ConfigurationError, match=KEY_PREFIX):
        await ValkeyReplayCache.open(f"valkey://elsewhere:one@127.0.0.1:{needs_valkey.port}")

    await administrator.acl_setuser("replays", True, passwords=["+a:b@c/d"], keys=["aauth:replay:*"], commands=["+set"])
    cache = await opening(f"valkey://replays:a%3Ab%40c%2Fd@127.0.0.1:{needs_valkey.port}")
    assert await cache.first_time(digest(), until=NOW + 60, now=NOW)


async def test_a_replica_is_refused_at_the_start(own_server: ValkeyServer) -> None:
    async with administering(own_server) as administrator:
        await administrator.replicaof("127.0.0.1", str(free_port()))
        with pytest.raises(ConfigurationError, match="Name the primary"):
            await ValkeyReplayCache.open(own_server.url)
        await administrator.replicaof("NO", "ONE")


async def test_databases_of_one_server_are_told_apart_by_number(opening: Opening, needs_valkey: ValkeyServer) -> None:
    request = digest()
    for number in ("", "/3"):
        assert await (await opening(needs_valkey.url + number)).first_time(request, until=NOW + 60, now=NOW)
    with pytest.raises(ConfigurationError, match="number"):
        await ValkeyReplayCache.open(needs_valkey.url + "/9999")


async def test_over_tls_the_certificate_is_checked_and_so_is_its_name(
    needs_valkey: ValkeyServer, tmp_path: Path
) -> None:
    authority, key = Authority("Tests", at=time.time()), ec.generate_private_key(ec.SECP256R1())
    names = (x509.IPAddress(ip_address("127.0.0.1")),)
    leaf = authority.certify(key.public_key(), host=None, names=names, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    ca_file, certificate, key_file = (tmp_path / name for name in ("ca.pem", "leaf.pem", "key.pem"))
    ca_file.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    certificate.write_bytes(leaf.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key_file))
    options += ("--tls-ca-cert-file", str(ca_file), "--tls-auth-clients", "no")
    with running_valkey(needs_valkey.executable, tmp_path, *options):
        url = f"valkeys://:{PASSWORD}@127.0.0.1:{port}"
        with pytest.raises(ConfigurationError, match="certificate"):
            await ValkeyReplayCache.open(url)
        with pytest.raises(ConfigurationError, match="certificate"):
            await ValkeyReplayCache.open(f"{url.replace('127.0.0.1', 'localhost')}?ssl_ca_certs={ca_file}")
        cache = await ValkeyReplayCache.open(f"{url}?ssl_ca_certs={ca_file}")
        assert await cache.first_time(digest(), until=NOW + 60, now=NOW)
        await cache.aclose()


@asynccontextmanager
async def administering(server: ValkeyServer) -> AsyncIterator[Valkey]:
    client = Valkey.from_url(server.url)
    try:
        yield client
    finally:
        await client.aclose()
