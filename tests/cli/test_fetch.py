"""`aauth init` and `aauth fetch` as a person uses them: real processes, real servers, real consent pages."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import time

import pytest

from aauthlib.cli.exchanges import Exchange
from aauthlib.cli.exits import Exit


@pytest.fixture(scope="module")
def enrolled(world):
    result = world.aauth("init", "--provider", world.parties.provider, "--ps", world.parties.person, "--dev", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_init_enrols_and_keeps_the_key_where_only_its_owner_reads_it(world, enrolled):
    assert enrolled["agent"].startswith("aauth:")
    folder = world.home / "aauth"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = list(folder.glob("*.key.json"))
    assert keys and all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)


def test_init_twice_says_what_to_do_and_keeps_the_first_key(world, enrolled):
    before = (world.home / "aauth" / "default.key.json").read_bytes()
    result = world.aauth("init", "--provider", world.parties.provider, "--dev")
    assert result.returncode == Exit.USAGE
    assert "exists already" in result.stderr
    assert (world.home / "aauth" / "default.key.json").read_bytes() == before


def test_init_without_saying_where_from_names_both_ways(world):
    result = world.aauth("init", "--name", "other")
    assert result.returncode == Exit.USAGE
    assert "--issuer" in result.stderr and "--provider" in result.stderr


def test_init_self_published_writes_two_files_that_anybody_may_read_and_no_secret(world, tmp_path):
    result = world.aauth("init", "--issuer", "https://agent.example", "--name", "own", "--out", str(tmp_path), "--json")
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / ".well-known" / "aauth-agent.json").read_text())
    keys = json.loads((tmp_path / ".well-known" / "jwks.json").read_text())
    assert document["issuer"] == "https://agent.example"
    assert document["jwks_uri"] == "https://agent.example/.well-known/jwks.json"
    assert all("d" not in key and key["alg"] == "Ed25519" for key in keys["keys"])


@pytest.mark.spec("#agent-token-usage")
def test_fetch_prints_the_body_and_nothing_else_on_standard_output(world, enrolled):
    result = world.aauth("fetch", f"{world.parties.calendar}/agent")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["agent"] == enrolled["agent"]


def test_fetch_verbose_tells_each_challenge_and_what_was_done(world, enrolled):
    result = world.aauth("fetch", f"{world.parties.calendar}/agent", "-v", "-i")
    assert result.returncode == 0
    assert result.stdout.startswith("HTTP/1.1 200")
    assert "issued an agent token" in result.stderr
    assert "signed with an agent token" in result.stderr


def _events(process, count):
    return [json.loads(process.stdout.readline()) for _ in range(count)]


@pytest.mark.spec("#interaction-required")
def test_fetch_asks_the_person_and_goes_on_when_they_allow_it(world, enrolled):
    process = world.start("fetch", f"{world.parties.calendar}/events", "--json", "--why", "To show you your day.")
    (naming,) = _events(process, 1)
    assert naming["event"] == "interaction" and naming["code"] in naming["url"]
    world.decide(naming["url"], "approve")
    (consent,) = _events(process, 1)
    world.decide(consent["url"], "approve")
    (answer,) = _events(process, 1)
    assert answer["status"] == 200 and [event["title"] for event in answer["body"]] == ["Dentist", "Lunch with Ada"]
    assert process.wait(20) == 0
    process.communicate()


@pytest.mark.spec("#polling-error-codes")
def test_fetch_ends_with_its_own_exit_code_when_the_person_says_no(world, enrolled):
    process = world.start("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/1", "--json")
    (consent,) = _events(process, 1)
    world.decide(consent["url"], "deny")
    (answer,) = _events(process, 1)
    assert answer["error"] == "denied"
    assert process.wait(20) == Exit.DENIED
    process.communicate()


@pytest.mark.spec("#polling-with-get")
def test_fetch_gives_up_when_it_was_told_to(world, enrolled):
    began = time.monotonic()
    result = world.aauth("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/1", "--json", "--wait", "1")
    assert result.returncode == Exit.TIMED_OUT, result.stdout
    assert time.monotonic() - began < 40  # and not the 45 seconds of a long poll
    kept = json.loads(result.stdout.splitlines()[-1])
    assert kept["event"] == "pending"
    assert world.aauth("pending", "cancel", kept["id"]).returncode == 0


@pytest.mark.spec("#clarification-chat")
def test_fetch_shows_a_question_of_the_persons_and_takes_the_answer_from_standard_input(world, enrolled):
    process = world.start("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/1", "--json", "--questions", "-v")
    (consent,) = _events(process, 1)
    world.ask(consent["url"], "Which one?", "The dentist\nLunch")
    (asked,) = _events(process, 1)
    assert (asked["event"], asked["question"]) == ("clarification", "Which one?")
    assert asked["options"] == ["The dentist", "Lunch"]
    process.stdin.write("The one before noon.\n")
    process.stdin.flush()
    world.visit_until("The one before noon.")
    world.decide(world.person.url, "deny")
    (answer,) = _events(process, 1)
    assert answer["error"] == "denied"
    process.communicate()


@pytest.mark.spec("#cancel-request")
def test_ctrl_c_leaves_the_request_open_and_says_how_to_go_on_and_how_to_withdraw_it(world, enrolled):
    process = world.start("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/2", "--json")
    (consent,) = _events(process, 1)
    process.send_signal(signal.SIGINT)
    try:
        told, complaint = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # It says where it is.
        told, complaint = process.communicate()
    assert process.returncode == Exit.INTERRUPTED, complaint
    kept = json.loads(told)
    assert (kept["event"], kept["method"]) == ("pending", "DELETE")
    assert kept["waits_for"] in (["person-token"], ["auth-token"]), "by how well the person knows the agent"
    assert kept["id"] in world.aauth("pending", "list").stdout
    result = world.aauth("pending", "cancel", kept["id"])
    assert result.returncode == 0, result.stderr
    assert "was withdrawn" in result.stderr
    assert kept["id"] not in world.aauth("pending", "list").stdout
    # The person now finds nothing to decide.
    with pytest.raises(Exception, match="No form with decision"):
        world.decide(consent["url"], "approve")


@pytest.mark.spec("#polling-error-codes")
def test_a_no_is_heard_by_pending_resume_and_ends_it(world, enrolled):
    world.aauth("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/3", "--json", "--wait", "0")
    (kept,) = (json.loads(line) for line in world.aauth("pending", "list", "--json").stdout.splitlines())
    process = world.start("pending", "resume", kept["id"], "--json")
    (shown,) = _events(process, 1)
    assert shown["event"] == "interaction", "nobody has been there yet"
    world.decide(shown["url"], "deny")
    (answer,) = _events(process, 1)
    assert answer["error"] == "denied"
    assert process.wait(20) == Exit.DENIED
    process.communicate()
    assert world.aauth("pending", "list", "--json").stdout == ""


@pytest.mark.spec("#deferred-responses", "#interaction-required")
def test_a_fetch_that_was_killed_is_gone_on_with(world, enrolled):
    process = world.start("fetch", "-X", "DELETE", f"{world.parties.calendar}/events/1", "--json")
    (consent,) = _events(process, 1)  # what it waits for is on disk before anybody is sent anywhere
    process.kill()
    process.communicate()
    kept = [json.loads(line) for line in world.aauth("pending", "list", "--json").stdout.splitlines()]
    assert [each["method"] for each in kept] == ["DELETE"]
    (file,) = (world.home / "aauth" / "default.pending").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "ey" + "J" not in file.read_text(), "no token begins here"
    world.decide(consent["url"], "approve")
    result = world.aauth("fetch", "--resume", kept[0]["id"][:4], "-i")
    assert result.returncode in (0, Exit.HTTP_ERROR), result.stderr
    assert result.stdout.startswith("HTTP/1.1")
    assert not list((world.home / "aauth" / "default.pending").iterdir()), "answered, so forgotten"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("fetch",), "Say what to fetch"),
        (("fetch", "https://api.example/", "--resume", "abc"), "leave out the URL"),
        (("fetch", "--resume", "abc"), "0 waiting requests begin like this"),
        (("pending", "cancel", "abc"), "0 waiting requests begin like this"),
    ],
    ids=["nothing", "both", "unknown to fetch", "unknown to cancel"],
)
def test_what_cannot_be_gone_on_with_is_said(world, enrolled, arguments, says):
    result = world.aauth(*arguments)
    assert result.returncode == Exit.USAGE
    assert says in result.stderr


def test_fetch_of_an_address_that_is_not_allowed_says_so(world, enrolled):
    result = world.aauth("fetch", "https://127.0.0.1/")
    assert result.returncode == Exit.USAGE
    assert "domain name" in result.stderr


def test_fetch_without_an_identity_says_how_to_make_one(world):
    result = world.aauth("fetch", "https://api.example/", "--name", "nobody")
    assert result.returncode == Exit.USAGE
    assert "aauth init" in result.stderr


def test_an_error_of_the_resource_has_its_own_exit_code(world, enrolled):
    result = world.aauth("fetch", f"{world.parties.calendar}/nothing-here")
    assert result.returncode in (Exit.HTTP_ERROR, Exit.REFUSED)


def test_inspect_of_a_running_server_checks_metadata_and_keys(world):
    result = world.aauth("inspect", world.parties.person, "--dev", "--json")
    document = json.loads(result.stdout)
    assert result.returncode == 0 and document["valid"]
    assert "aauth-person.json" in document["content"]


def test_the_recorded_exchanges_of_the_parties_hold_no_unsigned_call_to_the_person_server(world, enrolled):
    calls = [
        entry
        for entry in world.parties.exchanges.entries
        if isinstance(entry, Exchange) and entry.receiver == "person server" and not entry.discovery
    ]
    assert all("signature" in call.request.headers for call in calls)
