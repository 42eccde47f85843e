"""`aauth policy test` and the options of `aauth serve access`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from aauthlib.access import Allow, Facts, Verdict
from aauthlib.cli.app import app
from aauthlib.cli.serve_access import _recorder, parse_trust, read_access_role
from aauthlib.errors import ConfigurationError, InvalidIdentifier

POLICY = '[[rule]]\nname = "readers"\ndecision = "allow"\n[rule.when]\nscope = "*.read"\n'
REQUEST = {
    "agent": "aauth:helper@ap.example",
    "provider": "https://ap.example",
    "person_server": "https://ps.example",
    "resource": "https://calendar.example",
    "scope": ["calendar.read"],
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def run(policy: Path, requests: object, *options: str) -> tuple[int, str]:
    path = policy.parent / "request.json"
    path.write_text(requests if isinstance(requests, str) else json.dumps(requests))
    result = CliRunner().invoke(app, ["policy", "test", str(policy), str(path), *options])
    return result.exit_code, result.output


def test_a_recorded_request_is_decided_and_explained(policy: Path) -> None:
    code, output = run(policy, REQUEST)
    assert code == 0
    assert "allow by readers" in output


def test_an_expectation_that_is_not_met_is_an_exit_code(policy: Path) -> None:
    assert run(policy, [{**REQUEST, "expect": "allow"}])[0] == 0
    code, output = run(policy, [{**REQUEST, "expect": "allow"}, {**REQUEST, "expect": "deny"}])
    assert code == 8
    assert "expected deny" in output


def test_scripts_get_one_document_a_request(policy: Path) -> None:
    code, output = run(policy, "\n".join([json.dumps(REQUEST), json.dumps({**REQUEST, "scope": ["x"]})]), "--json")
    assert code == 0
    first, second = (json.loads(line) for line in output.splitlines())
    assert (first["decision"], first["rule"]) == ("allow", "readers")
    assert (second["decision"], second["rule"]) == ("deny", "(no rule)")
    assert second["details"]["reason"]


@pytest.mark.parametrize("request_text", ["nonsense", "[1]", '{"agent": 3}', json.dumps({**REQUEST, "agnet": "x"})])
def test_what_is_no_recorded_request_is_said_and_not_guessed(policy: Path, request_text: str) -> None:
    code, output = run(policy, request_text)
    assert code == 2
    assert "aauth:" in output


def test_a_policy_with_a_mistake_is_named(policy: Path) -> None:
    policy.write_text(POLICY.replace("scope", "scoop"))
    code, output = run(policy, REQUEST)
    assert code == 2
    assert "no condition scoop" in output


def test_what_a_server_records_can_be_tried_again(policy: Path) -> None:
    path = policy.parent / "recorded.jsonl"
    write = _recorder(path)
    facts = msgspec.convert(REQUEST, Facts)
    write(facts, Verdict(Allow()))
    write(facts, Verdict(Allow()))
    assert path.stat().st_mode & 0o777 == 0o600
    code, output = run(policy, path.read_text())
    assert code == 0
    assert "2 decided" in output


def test_a_person_server_is_an_access_server_too_with_a_policy_and_its_resources(policy: Path) -> None:
    assert read_access_role(None, (), (), dev=False) is None
    role = read_access_role(policy, ["https://wiki.example"], ["https://ps.example=corp"], dev=False)
    assert role is not None
    assert (list(role.resources), role.settings["trust"].covers("https://ps.example", "corp")) == (
        ["https://wiki.example"],
        True,
    )
    for missing in ((None, ["https://wiki.example"]), (policy, [])):
        with pytest.raises(ConfigurationError):
            read_access_role(*missing, (), dev=False)


def test_trust_is_for_everybody_or_for_tenants() -> None:
    trust = parse_trust(["https://ps.example", "https://corp.example=corp, lab"])
    assert trust.covers("https://ps.example", None)
    assert trust.covers("https://corp.example", "lab")
    assert not trust.covers("https://corp.example", None)
    with pytest.raises(ConfigurationError):
        parse_trust(["https://ps.example="])
    with pytest.raises(InvalidIdentifier):
        parse_trust(["ps.example"])


PERSON_POLICY = """
[[rule]]
name = "money"
decision = "approvers"
[rule.when]
scope = "payments.*"
[[rule.step]]
groups = ["finance"]
needed = 2
deadline = "4h"
escalate = { groups = ["administrators"], deadline = "1d" }
"""
PERSON_REQUEST = {
    "kind": "auth_token",
    "agent": "aauth:helper@ap.example",
    "provider": "https://ap.example",
    "resource": "https://bank.example",
    "scope": ["payments.write"],
}


@pytest.mark.spec("#approval-pending")
def test_a_person_servers_policy_is_tried_too_and_says_who_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(PERSON_POLICY)
    code, output = run(path, [{**PERSON_REQUEST, "expect": "approvers"}, {**PERSON_REQUEST, "scope": []}], "--person")
    assert code == 0
    assert "approvers by money" in output
    told = "the person; then 2 of finance within 4h, or else 1 of administrators within 1d"
    assert told in " ".join(output.split())
    assert "ask by (no rule)" in output
    assert run(path, {**PERSON_REQUEST, "expect": "allow"}, "--person")[0] == 8


@pytest.mark.parametrize("changes", [{"scop": ["x"]}, {"scope": "x"}, {"kind": None}], ids=str)
def test_what_is_no_request_to_a_person_server_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(PERSON_POLICY)
    code, output = run(path, {**PERSON_REQUEST, **changes}, "--person")
    assert code not in (0, 8), output


@pytest.mark.parametrize("kind", ["mission"])
def test_what_no_policy_may_get_wrong_is_what_the_test_says(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[[rule]]\ndecision = "allow"\n')
    requests = [{**PERSON_REQUEST, "kind": kind, "scope": [], "expect": "ask"}]
    requests.append({**PERSON_REQUEST, "scope": ["email"], "expect": "ask"})
    assert run(path, requests, "--person")[0] == 0
