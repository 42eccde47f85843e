"""Policies in files, of all three kinds: taken over whole, explained in the log, tried out on what was recorded."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from aauthlib.access import Allow, Deny, Facts, NeedApproval, PolicyFile, Verdict, load_policy
from aauthlib.access.guarding import guarded
from aauthlib.cli.app import app
from aauthlib.cli.serve_access import _recorder
from aauthlib.errors import ConfigurationError, Denied, Revoked
from aauthlib.http import Response
from aauthlib.store.access_approval_records import ApprovalChanged

from .parties import PS, Clock, World, open_world
from .test_rules import FACTS

pytest.importorskip("cedarpy")

#: By kind: a policy that allows, one that denies, and what is none.
KINDS = {
    "toml": (
        '[[rule]]\nname = "open"\ndecision = "allow"\n',
        '[[rule]]\nname = "closed"\ndecision = "deny"\nreason = "no"\n',
        '[[rule]]\nname = "open"\ndecision = "allways"\n',
    ),
    "cedar": (
        '@id("open")\npermit(principal, action, resource);\n',
        '@id("closed")\nforbid(principal, action, resource);\n',
        "permit(principal, action, resource)\n",
    ),
    "py": (
        "from aauthlib.access import Allow\n\n\nasync def open(facts):\n    return Allow()\n\n\ndecide = open\n",
        "from aauthlib.access import Deny\n\n\ndef closed(facts):\n    return Deny('no')\n\n\ndecide = closed\n",
        "import nothing_of_this_name\n",
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_decisions_under_way_see_one_version_each_while_the_file_changes(kind: str, tmp_path: Path) -> None:
    path, clock = tmp_path / f"policy.{kind}", Clock()
    path.write_text(KINDS[kind][0])
    whole = {load_policy(path).version: Allow}
    path.write_text(KINDS[kind][1])
    whole[load_policy(path).version] = Deny
    path.write_text(KINDS[kind][0])
    policy, verdicts, done = PolicyFile(path, clock=clock), list[Verdict](), list[bool]()

    async def decide_often() -> None:
        while not done:
            verdicts.append(await policy.decide(FACTS))
            clock.now += 0.1
            await asyncio.sleep(0.001)

    async def change_often() -> None:
        for number in (1, 2, 0, 1, 0):
            (tmp_path / "next").write_text(KINDS[kind][number])
            (tmp_path / "next").rename(path)
            await policy.reload()
        done.append(True)

    await asyncio.gather(change_often(), *(decide_often() for _ in range(8)))
    assert {type(verdict.decision) for verdict in verdicts} == {Allow, Deny}, "the file changed under way"
    for verdict in verdicts:
        assert type(verdict.decision) is whole[verdict.version]


async def test_a_file_that_is_no_policy_leaves_the_one_before_in_force(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / f"policy.{kind}", Clock()
    path.write_text(KINDS[kind][1])
    policy = PolicyFile(path, clock=clock)
    version = policy.version
    path.write_text(KINDS[kind][2])
    clock.now += 1
    with caplog.at_level(logging.ERROR):
        verdict = await policy.decide(FACTS)
    assert isinstance(verdict.decision, Deny)
    assert verdict.version == version
    assert policy.problem is not None
    assert policy.problem in caplog.text
    path.write_text(KINDS[kind][0])
    clock.now += 1
    assert (await policy.decide(FACTS)).decision == Allow()


async def test_a_file_that_is_still_being_written_is_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(KINDS["toml"][1])
    policy = PolicyFile(path, clock=Clock())
    load = policy._load

    def written_meanwhile(source: Path) -> Any:
        found = load(source)
        source.write_text(KINDS["toml"][0] + KINDS["toml"][1])
        monkeypatch.setattr(policy, "_load", load)
        return found

    monkeypatch.setattr(policy, "_load", written_meanwhile)
    path.write_text(KINDS["toml"][0])
    assert await policy.reload() is False
    assert isinstance((await policy.decide(FACTS)).decision, Deny)
    assert await policy.reload() is True


async def test_what_was_read_first_never_takes_the_place_of_what_was_read_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("")
    policy = PolicyFile(path, clock=Clock())
    load, read, slow = policy._load, asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slowly(source: Path) -> Any:
        found = load(source)
        monkeypatch.setattr(policy, "_load", load)
        loop.call_soon_threadsafe(read.set)
        asyncio.run_coroutine_threadsafe(slow.wait(), loop).result()
        return found

    monkeypatch.setattr(policy, "_load", slowly)
    path.write_text(KINDS["toml"][0])
    first = asyncio.create_task(policy.reload())
    await read.wait()
    path.write_text(KINDS["toml"][1])
    assert await policy.reload() is True
    slow.set()
    assert await first is False
    assert isinstance((await policy.decide(FACTS)).decision, Deny)


@pytest.mark.parametrize(
    "text",
    ["def decide(", "raise SystemExit(3)", "x = 1\n", "decide = 3\n", "version = 7\ndef decide(facts): ...\n"],
)
def test_a_python_file_without_a_decision_in_it_is_no_policy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "policy.py"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        load_policy(path)


async def test_a_python_policy_names_its_rules_and_its_version(tmp_path: Path) -> None:
    path = tmp_path / "policy.py"
    path.write_text(
        "from aauthlib.access import Allow, Verdict\n\nversion = '2026-11'\n\n\n"
        "def decide(facts):\n    return Verdict(Allow(), rule='everybody') if facts.trusted else 'yes'\n"
    )
    verdict = await load_policy(path).decide(msgspec.structs.replace(FACTS, trusted=True))
    assert verdict.rule == "everybody"
    assert verdict.version.startswith("2026-11+")
    with pytest.raises(TypeError, match="str, which is no decision"):
        await load_policy(path).decide(msgspec.structs.replace(FACTS, trusted=False))


# ---------------------------------------------------------------------- whole exchanges

STEPS = {
    "toml": """
[[rule]]
name = "who is it"
decision = "claims"
claims = ["email"]

[[rule]]
name = "the boss agrees"
decision = "approval"
by = "boss"

[[rule]]
name = "staff"
decision = "allow"
any_person_server = true
[rule.when]
claims.email = "*@corp.example"
""",
    "cedar": """
@id("who is it") @demand("claims") @claims("email")
permit(principal, action == Action::"demand:claims", resource);
@id("the boss agrees") @demand("approval") @by("boss")
permit(principal, action == Action::"demand:approval", resource)
when { context.claims has email };
@id("staff")
permit(principal, action == Action::"calendar.read", resource)
when { context.approved && context.claims has email && context.claims.email like "*@corp.example" };
""",
    "py": """
from aauthlib.access import Allow, AskClaims, Deny, NeedApproval, Verdict


def decide(facts):
    if not facts.claims_asked:
        return Verdict(AskClaims(("email",)), rule="who is it")
    if facts.approved_by is None:
        return Verdict(NeedApproval("boss"), rule="the boss agrees")
    if facts.claims.get("email", "").endswith("@corp.example"):
        return Verdict(Allow(), rule="staff")
    return Deny("Staff only.")
""",
}


@pytest.fixture
async def served(kind: str, tmp_path: Path) -> AsyncIterator[tuple[World, Path, Path]]:
    """An access server with a policy in a file that records what it decides."""
    path, recorded = tmp_path / f"policy.{kind}", tmp_path / "recorded.jsonl"
    path.write_text(STEPS[kind])
    async with open_world(f"sqlite:///{tmp_path}/as.db", on_decision=_recorder(recorded)) as world:
        world.server.decider = PolicyFile(path, clock=world.clock)
        yield world, path, recorded


async def asked(world: World, email: str) -> Response:
    """Ask, give the claims, and have the boss approve."""
    waiting = await world.post(await world.ask(), {"email": email})
    (view,) = await world.server.approvals()
    await world.server.decide_approval(view.id, by="boss", approved=True)
    return waiting


@pytest.mark.spec("#as-decision-logic")
async def test_every_decision_is_in_the_log_with_its_rule_and_version(served: tuple[World, Path, Path]) -> None:
    world, path, _ = served
    version = world.server.decider.version
    assert (await world.poll(await asked(world, "ada@corp.example"))).status == 200
    with pytest.raises(Denied):
        await world.poll(await asked(world, "eve@evil.example"))
    history = list(reversed(await world.server.store.history()))
    assert [(record.decision, record.rule) for record in history[:4]] == [
        ("claims", "who is it"),
        ("approval", "the boss agrees"),
        ("approved", "the boss agrees"),
        ("allow", "staff"),
    ]
    assert history[2].decided_by == "boss"
    assert [record.decision for record in history[4:]] == ["claims", "approval", "approved", "deny"]
    assert history[-1].reason
    assert history[-1].rule
    assert {record.version for record in history} == {version}
    path.write_text(KINDS[path.suffix[1:]][1])
    with pytest.raises(Denied):
        await world.ask()
    (latest,) = await world.server.store.history(limit=1)
    assert latest.version == world.server.decider.version != version


def policy_test(path: Path, recorded: Path) -> tuple[int, list[dict[str, Any]]]:
    result = CliRunner().invoke(app, ["policy", "test", str(path), str(recorded), "--json"])
    return result.exit_code, [json.loads(line) for line in result.output.splitlines()]


async def test_a_changed_policy_is_tried_out_on_everything_that_was_recorded(served: tuple[World, Path, Path]) -> None:
    world, path, recorded = served
    assert (await world.poll(await asked(world, "ada@corp.example"))).status == 200
    await world.ask(world.bundle(scope="calendar.read email"))
    code, documents = await asyncio.to_thread(policy_test, path, recorded)
    assert [document["decision"] for document in documents] == ["claims", "approval", "allow", "claims"]
    assert code == 0
    path.write_text(KINDS[path.suffix[1:]][1])
    code, documents = await asyncio.to_thread(policy_test, path, recorded)
    assert {document["decision"] for document in documents} == {"deny"}
    assert code == 8


def test_a_policy_that_fails_on_a_recorded_request_is_said_to(tmp_path: Path) -> None:
    path, recorded = tmp_path / "policy.py", tmp_path / "recorded.json"
    path.write_text("def decide(facts):\n    return facts.claims['email']\n")
    recorded.write_bytes(msgspec.json.encode([FACTS.document()]))
    code, (document,) = policy_test(path, recorded)
    assert code == 8
    assert document == {"request": 1, "failed": "KeyError: 'email'"}


async def test_an_approval_counts_for_the_version_of_the_policy_that_asked_for_it(
    served: tuple[World, Path, Path],
) -> None:
    world, path, _ = served
    waiting = await world.post(await world.ask(), {"email": "ada@corp.example"})
    (view,) = await world.server.approvals()
    path.write_text(STEPS[path.suffix[1:]].replace("boss", "board"))
    world.clock.now += 1
    with pytest.raises(ApprovalChanged):
        await world.server.decide_approval(view.id, by="boss", approved=True)
    (again,) = await world.server.approvals()
    assert again.by == "board"
    assert (await world.poll(waiting)).status == 202
    await world.server.decide_approval(again.id, by="board", approved=True)
    assert (await world.poll(waiting)).status == 200


async def test_a_grant_and_its_explanation_are_written_together(world: World) -> None:
    world.policy.decide = lambda facts: Allow()
    body = world.bundle()
    seen = world.server.store.record_issued

    async def revoked_meanwhile(token: Any, **also: Any) -> bool:
        await world.server.store.revoke(iss=PS, jti=token.grounds[0].jti, exp=token.exp, detail="", now=world.clock())
        return await seen(token, **also)

    world.server.store.record_issued = revoked_meanwhile  # type: ignore[method-assign]
    with pytest.raises(Revoked):
        await world.ask(body)
    assert await world.server.store.history() == [], "nothing was granted"


def test_what_was_given_already_is_not_demanded_again_when_tried_out() -> None:
    facts = msgspec.structs.replace(FACTS, approved_by="boss")
    assert isinstance(guarded(facts, Verdict(NeedApproval("boss"))).decision, Deny)
    assert isinstance(facts, Facts)
