"""`aauth db keys` and `aauth db rotate-keys`: what an operator sees and does."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.exits import Exit
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.database import Database
from aauthlib.store.keyring import DEFAULT_LEAD_S, KeyRing
from aauthlib.store.person import SQLPersonStore

pytestmark = pytest.mark.spec("#jwks-discovery")


def aauth(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["db", *arguments])


def listed(url: str) -> dict[str, list[dict[str, Any]]]:
    result = aauth("keys", url, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that a person server and an access server have started on."""

    async def make() -> None:
        database = await Database.open(made)
        for store in (SQLPersonStore(database), SQLAccessStore(database)):
            await KeyRing(store.signing_keys, clock=time.time, longest_token_s=3600).refresh()
        await database.close()

    made = f"sqlite:///{tmp_path / 'servers.db'}"
    asyncio.run(make())
    return made


def test_a_new_key_is_published_now_and_signs_later(url: str) -> None:
    before, started = listed(url), time.time()

    result = aauth("rotate-keys", url)

    assert result.exit_code == 0, result.stderr
    after = listed(url)
    assert set(after) == {"person", "access"}
    for role, (old, new) in after.items():
        assert [old] == before[role]
        assert started + DEFAULT_LEAD_S <= new["use_from"] <= time.time() + DEFAULT_LEAD_S
        assert new["kid"] in result.stderr
    assert "jwk" not in json.dumps(after)


def test_a_second_rotation_within_the_lead_says_that_one_is_under_way(url: str) -> None:
    aauth("rotate-keys", url)
    result = aauth("rotate-keys", url)
    assert "is published already" in result.stderr
    assert [len(keys) for keys in listed(url).values()] == [2, 2]


def test_one_servers_key_can_sign_at_once(url: str) -> None:
    assert aauth("rotate-keys", url, "--role", "access", "--at-once").exit_code == 0
    after = listed(url)
    assert len(after["person"]) == 1
    assert after["access"][1]["use_from"] <= time.time()


@pytest.mark.parametrize("role", ["provider", "resource"])
def test_a_server_that_is_not_there_is_an_error_that_says_so(url: str, role: str) -> None:
    result = aauth("rotate-keys", url, "--role", role)
    assert result.exit_code == Exit.USAGE
    assert "Traceback" not in result.stderr


def test_a_database_no_server_has_started_on_has_no_keys_to_rotate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    aauth("upgrade", url)
    result = aauth("rotate-keys", url)
    assert result.exit_code == Exit.USAGE
    assert "when it starts" in result.stderr
    (tmp_path / "old.db").touch()
    assert "aauth db upgrade" in aauth("keys", f"sqlite:///{tmp_path / 'old.db'}").stderr
