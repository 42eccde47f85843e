"""`aauth serve`: one command, one server, real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aauthlib.cli.serving import free_port
from aauthlib.effects import FindMetadata, Flow
from aauthlib.messages.metadata import PersonServerMetadata, read_metadata
from aauthlib.transport import Wire
from tests.cli.conftest import AAUTH

SOURCE = str(Path(__file__).parents[2] / "src")


@contextmanager
def _serving(role: str, issuer: str, port: int, folder: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The server, from its first line on the terminal that says it listens until it is stopped."""
    command = [*AAUTH, "serve", role, "--issuer", issuer, "--port", str(port)]
    command += ["--database", f"sqlite:///{folder / 'data.db'}", *more]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def _until(process: subprocess.Popen[str], text: str) -> list[str]:
    lines = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError("".join(lines))


def _metadata(issuer: str, dwk: str) -> dict[str, object]:
    def flow() -> Flow[dict[str, object]]:
        document = yield FindMetadata(issuer, dwk)
        return document

    with Wire.open(dev=True) as wire:
        return wire.run(flow())


@pytest.mark.spec("#ps-metadata")
def test_a_person_server_says_where_it_is_and_publishes_its_metadata(tmp_path: Path):
    port = free_port()
    issuer = f"http://person.localhost:{port}"
    with _serving("person", issuer, port, tmp_path, "--dev", "--name", "Home") as process:
        lines = _until(process, "Listening")
        assert any(issuer in line for line in lines)
        assert any("First run" in line for line in lines)
        metadata = read_metadata(PersonServerMetadata, _metadata(issuer, "aauth-person.json"), issuer=issuer, dev=True)
        assert metadata.name == "Home"
        assert (tmp_path / "data.db").stat().st_mode & 0o777 == 0o600


def test_outside_development_the_first_account_needs_the_code_that_is_printed(tmp_path: Path):
    port = free_port()
    with _serving("person", "https://person.example", port, tmp_path) as process:
        lines = _until(process, "Listening")
        assert any("set-up code" in line for line in lines)
        assert any("TLS proxy" in line for line in lines)


def test_an_organisation_without_an_administrator_is_offered_one(tmp_path: Path):
    port = free_port()
    issuer = f"http://person.localhost:{port}"
    settings = tmp_path / "organisations.toml"
    settings.write_text('[organisations.corp]\nname = "Corp Ltd"\n')
    with _serving("person", issuer, port, tmp_path, "--dev", "--organisations", str(settings)) as process:
        lines = _until(process, "Listening")
    assert any("corp has no administrator yet" in line for line in lines)
    assert any(f"{issuer}/join/" in line.replace("\n", "") for line in lines)


@pytest.mark.spec("#approval-pending")
def test_a_person_server_says_which_policy_decides_and_one_with_a_mistake_starts_nothing(tmp_path: Path):
    port, policy = free_port(), tmp_path / "policy.toml"
    issuer = f"http://person.localhost:{port}"
    policy.write_text('version = "2026-11"\n[[rule]]\ndecision = "allow"\n')
    with _serving("person", issuer, port, tmp_path, "--dev", "--policy", str(policy)) as process:
        assert "version 2026-11+" in "".join(_until(process, "Listening"))
    policy.write_text('[[rule]]\ndecision = "approvers"\n')
    with _serving("person", issuer, port, tmp_path, "--dev", "--policy", str(policy)) as process:
        assert process.wait(timeout=20) != 0


def test_an_access_servers_first_administrator_needs_the_code_that_is_printed(tmp_path: Path):
    policy, port = tmp_path / "policy.toml", free_port()
    policy.write_text('[[rule]]\ndecision = "interaction"\n')
    with _serving("access", "https://access.example", port, tmp_path, "--policy", str(policy)) as process:
        lines = _until(process, "Listening")
    assert any("make the administrator's account at https://access.example/ with this set-up code" in x for x in lines)
    assert re.search(r"^ +[0-9A-Z]{4}(-[0-9A-Z]{4}){6}$", "".join(lines), re.MULTILINE)


@pytest.mark.spec("#agent-provider-metadata")
def test_an_agent_provider_publishes_its_endpoints(tmp_path: Path):
    port = free_port()
    issuer = f"http://agents.localhost:{port}"
    with _serving("provider", issuer, port, tmp_path, "--dev") as process:
        lines = _until(process, "Listening")
        assert any("Anybody may enrol" in line for line in lines)
        assert _metadata(issuer, "aauth-agent.json")["enrollment_endpoint"] == f"{issuer}/enroll"


def test_an_issuer_that_is_none_is_refused_before_anything_starts(tmp_path: Path):
    port = free_port()
    with _serving("person", "http://person.example", port, tmp_path) as process:
        _, complaint = process.communicate(timeout=20)
        assert process.returncode == 2
        assert "https" in complaint
        assert not (tmp_path / "data.db").exists()
