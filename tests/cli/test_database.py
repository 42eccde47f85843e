"""`aauth db`: looking after a server's database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.exits import Exit
from aauthlib.store.database import Database
from aauthlib.store.migrations import VERSION_TABLE, revisions


def aauth(*arguments: str):
    return CliRunner().invoke(app, ["db", *arguments])


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with the schema of this version."""

    async def make() -> None:
        await (await Database.open(made)).close()

    made = f"sqlite:///{tmp_path / 'person.db'}"
    asyncio.run(make())
    return made


def test_upgrade_makes_the_tables_and_says_so_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    made, again = aauth("upgrade", url), aauth("upgrade", url)

    assert (made.exit_code, again.exit_code) == (0, 0)
    assert "it was at none" in made.stderr
    assert f"at revision {revisions()[-1]} already" in again.stderr


def test_current_says_where_the_database_stands(url: str) -> None:
    result = aauth("current", url, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"revision": revisions()[-1], "newest": revisions()[-1], "current": True}


def test_check_finds_what_differs(url: str, tmp_path: Path) -> None:
    assert aauth("check", url).exit_code == 0
    with sqlite3.connect(tmp_path / "person.db") as connection:
        connection.execute("DROP TABLE person_bindings")
    connection.close()

    result = aauth("check", url)

    assert result.exit_code == Exit.INVALID
    assert "person_bindings" in result.stderr


def test_a_newer_database_is_refused_in_plain_words(url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "person.db") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()

    result = aauth("upgrade", url)

    assert result.exit_code == Exit.USAGE
    assert "upgraded by a newer version" in result.stderr
    assert aauth("current", url).exit_code == Exit.INVALID


@pytest.mark.parametrize("command", ["current", "check"])
def test_looking_makes_no_file(command: str, tmp_path: Path) -> None:
    result = aauth(command, f"sqlite:///{tmp_path / 'none.db'}")
    assert result.exit_code == Exit.USAGE
    assert "There is no database file" in result.stderr
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_cannot_be_reached_is_said_to_be() -> None:
    result = aauth("current", "postgresql://nobody@127.0.0.1:1/none")
    assert result.exit_code == Exit.USAGE
    assert "cannot be used" in result.stderr
