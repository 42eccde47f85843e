"""`aauth serve --replay URL`: where it is said, and that its password is said nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.screen import Screen
from aauthlib.cli.serve import say_stores
from tests.valkey_server import free_port

SECRET = "hunter2"


def arguments(role: str, folder: Path) -> list[str]:
    policy = folder / "policy.toml"
    policy.write_text('version = "1"\n')
    more = ["--policy", str(policy)] if role == "access" else []
    database = f"sqlite:///{folder / 'data.db'}"
    return ["serve", role, "--issuer", "https://server.example", "--database", database, *more]


@pytest.mark.parametrize("role", ["person", "access", "provider"])
def test_help_names_the_option_and_not_what_the_environment_holds(role: str) -> None:
    environment = {"AAUTHLIB_REPLAY": f"valkey://:{SECRET}@127.0.0.1", "COLUMNS": "200", "NO_COLOR": "1"}
    said = CliRunner().invoke(app, ["serve", role, "--help"], env=environment)
    assert said.exit_code == 0
    assert "--replay" in said.output
    assert "AAUTHLIB_REPLAY" in said.output
    assert SECRET not in said.output


@pytest.mark.parametrize("role", ["person", "access", "provider"])
def test_a_store_that_is_away_stops_the_server_with_what_to_do(role: str, tmp_path: Path) -> None:
    url = f"valkey://:{SECRET}@127.0.0.1:{free_port()}"
    said = CliRunner().invoke(app, [*arguments(role, tmp_path), "--replay", url])
    assert said.exit_code == 2
    assert "Start the Valkey or Redis server" in said.output.replace("\n", " ")
    assert SECRET not in said.output


def test_the_url_may_stand_in_the_environment(tmp_path: Path) -> None:
    environment = {"AAUTHLIB_REPLAY": f"nowhere://:{SECRET}@host"}
    said = CliRunner().invoke(app, arguments("provider", tmp_path), env=environment)
    assert said.exit_code == 2
    assert "no place to remember requests" in said.output
    assert SECRET not in said.output


def test_a_server_says_where_it_remembers_without_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    say_stores(Screen(), "sqlite:///data.db", f"rediss://user:{SECRET}@cache.example/2")
    said = capsys.readouterr().err
    assert "received requests: valkeys://cache.example:6379/2" in said
    assert SECRET not in said
