"""`aauth missions` and `aauth fetch --mission` against the real person server over HTTP; the command runs in here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from aauthlib.agent import Identity, save_identity
from aauthlib.cli.app import app
from aauthlib.cli.exits import Exit
from aauthlib.cli.waiting import Waiting
from tests.agent.real import ADA, Real, agreeing, no, real_parties

PLAN = "# Plan a trip\n\nFind a week in May."

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with real_parties(tmp_path_factory.mktemp("parties")) as real:
        yield real


@pytest.fixture
def real(parties: Real, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Real:
    """The parties, an identity in an empty home, and Ada, who decides where the command would show her page."""
    parties.begin()
    source = parties.source
    monkeypatch.setenv("AAUTH_HOME", str(tmp_path))
    identity = Identity(agent=source.agent, issuer=source.issuer, mode="self-issued", ps=source.ps, kid="a1", dev=True)
    save_identity(identity, source.key, home=tmp_path)
    monkeypatch.setattr(Waiting, "direct", lambda self, direct: parties.decide(direct))
    return parties


@pytest.fixture
def run(real: Real) -> Run:
    return lambda *arguments: CliRunner().invoke(app, arguments)


def documents(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def proposed(run: Run, *arguments: str) -> str:
    result = run("missions", "propose", PLAN, "--json", *arguments)
    assert result.exit_code == 0, result.output
    s256: str = documents(result)[-1]["s256"]
    return s256


@pytest.mark.spec("#mission-creation", "#mission-approval")
def test_propose_says_what_the_person_made_of_it(real: Real, run: Run) -> None:
    real.decisions = [agreeing(description="Only look.", tools=["WebSearch"])]
    result = run("missions", "propose", PLAN, "--tool", "WebSearch=Search the web", "--tool", "Book")
    assert result.exit_code == 0, result.output
    assert "The person changed: description, tools." in result.stderr
    assert result.stdout == "Only look.\n"


@pytest.mark.spec("#polling-error-codes")
def test_a_proposal_that_is_refused_has_the_exit_code_of_a_no(real: Real, run: Run) -> None:
    real.decisions = [no]
    assert run("missions", "propose", PLAN).exit_code == Exit.DENIED
    assert "No mission yet" in run("missions", "list").stderr


@pytest.mark.spec("#mission-identifier")
def test_a_mission_is_kept_listed_and_shown_by_the_beginning_of_its_name(real: Real, run: Run) -> None:
    s256 = proposed(run, "--resource", real.calendar)
    (listed,) = documents(run("missions", "list", "--json"))
    assert (listed["s256"], listed["state"], listed["ps"]) == (s256, "active", real.source.ps)
    (shown,) = documents(run("missions", "show", "--json", "--", s256[:8]))
    assert (shown["description"], shown["approved_resources"]) == (PLAN, [real.calendar])
    assert run("missions", "show", "--", s256[:3]).exit_code == Exit.USAGE


@pytest.mark.spec("#missions")
def test_fetch_calls_in_a_mission(real: Real, run: Run) -> None:
    s256 = proposed(run)
    result = run("fetch", f"{real.calendar}/me", "--mission", s256)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["mission"] == s256


@pytest.mark.spec("#mission-update", "#mission-completion", "#mission-status-errors")
def test_a_mission_is_changed_completed_and_then_over(real: Real, run: Run) -> None:
    s256 = proposed(run)
    assert run("missions", "update", "--", s256, "Another week.").exit_code == 0
    assert run("missions", "complete", "--", s256, "Booked.").exit_code == 0
    (shown,) = documents(run("missions", "show", "--json", "--", s256))
    assert (shown["state"], [each["description"] for each in shown["updates"]]) == ("completed", ["Another week."])
    real.begin()
    assert run("fetch", f"{real.calendar}/me", "--mission", s256).exit_code == Exit.REFUSED
    assert real.seen == []


@pytest.mark.spec("#mission-status-errors")
def test_that_the_person_ended_a_mission_is_kept_when_it_is_heard(real: Real, run: Run) -> None:
    s256 = proposed(run)
    real.run(real.server.end_mission(s256, person_id=ADA))
    assert documents(run("missions", "list", "--json"))[0]["state"] == "active"
    result = run("missions", "permission", "Book", "--mission", s256)
    assert result.exit_code == Exit.REFUSED
    assert documents(run("missions", "list", "--json"))[0]["state"] == "revoked"


@pytest.mark.spec("#permission-response")
def test_a_permission_is_told_by_the_exit_code(real: Real, run: Run) -> None:
    async def refuse(server: Any, digest: str) -> None:
        await server.answer_request(digest, person_id=ADA, yes=False, reason="Too dear.")

    s256 = proposed(run, "--tool", "WebSearch")
    real.decisions = [agreeing(), refuse]
    assert run("missions", "permission", "SendEmail", "--parameters", '{"to": "user@example.com"}').exit_code == 0
    denied = run("missions", "permission", "Book", "--mission", s256, "--json")
    assert denied.exit_code == Exit.DENIED
    assert documents(denied)[-1]["reason"] == "Too dear."
    assert run("missions", "permission", "WebSearch", "--mission", s256).exit_code == 0
    assert run("missions", "permission", "Book", "--parameters", "[]").exit_code == Exit.USAGE


@pytest.mark.spec("#audit-response")
def test_a_report_is_in_the_log_when_the_command_ends(real: Real, run: Run) -> None:
    s256 = proposed(run)
    result = run("missions", "audit", "--result", '{"found": 12}', "--", s256, "WebSearch")
    assert result.exit_code == 0, result.output
    assert ("audit", "agent") in real.log(s256)


def test_a_file_that_was_changed_is_no_mission(real: Real, run: Run, tmp_path: Path) -> None:
    s256 = proposed(run)
    path = tmp_path / "default.missions" / f"{s256}.json"
    path.rename(path.with_name(f"{'A' * 43}.json"))
    result = run("missions", "list")
    assert result.exit_code == Exit.USAGE and "was changed" in result.stderr
