"""`aauth db new-key` and `aauth db encrypt`: what an operator does."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.exits import Exit
from aauthlib.store.database import Database
from aauthlib.store.keyring import KeyRing
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.sealing import ENVIRONMENT_VARIABLE, Sealer


def aauth(*arguments: str, key: str = "") -> Any:
    return CliRunner().invoke(app, ["db", *arguments], env={ENVIRONMENT_VARIABLE: key})


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database that a person server has started on."""
    made = f"sqlite:///{tmp_path / 'person.db'}"

    async def make() -> None:
        database = await Database.open(made, sealer=Sealer())
        await KeyRing(SQLPersonStore(database).signing_keys, clock=time.time, longest_token_s=3600).refresh()
        await database.close()

    asyncio.run(make())
    return made


def test_a_key_is_printed_and_a_database_brought_under_it(url: str) -> None:
    key = aauth("new-key").stdout.strip()
    result = aauth("encrypt", url, key=key)
    assert result.exit_code == Exit.OK, result.stderr
    assert "person_signing_keys: 1 values" in result.stderr
    assert "Everything is under the first key" in aauth("encrypt", url, key=key).stderr
    assert aauth("keys", url, key=key).exit_code == Exit.OK
    following = aauth("new-key").stdout.strip()
    assert aauth("encrypt", url, key=f"{following} {key}").exit_code == Exit.OK
    assert aauth("keys", url, key=following).exit_code == Exit.OK


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "is not set"),
        ("another", "does not have it"),
        ("nonsense", "Key 1 in AAUTHLIB_ENCRYPTION_KEY is not 32 bytes"),
    ],
)
def test_the_wrong_key_is_said_to_be_wrong(url: str, wrong: str, said: str) -> None:
    key, another = (aauth("new-key").stdout.strip() for _ in range(2))
    aauth("encrypt", url, key=key)
    result = aauth("keys", url, key=another if wrong == "another" else wrong)
    assert result.exit_code == Exit.USAGE
    assert said in " ".join(result.stderr.split())
    assert key not in result.stderr


def test_without_a_key_nothing_is_encrypted(url: str) -> None:
    result = aauth("encrypt", url)
    assert result.exit_code == Exit.USAGE
    assert "aauth db new-key" in result.stderr
