"""`aauth policy test --person`: what a person server's policy would decide on recorded requests, and by which rule."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ..person.policy import Facts, Refuse, Verdict, guarded, name_of
from ..person.policy_rules import PersonRules, load_person_policy
from ..policies.approvers import Step
from ..store.approval_records import Course
from .exits import Exit
from .policy import read_recorded
from .screen import Screen, safe

__all__ = ["test_person_policy"]


def test_person_policy(screen: Screen, policy_file: Path, requests_file: Path) -> int:
    """Decide each recorded request; `Exit.INVALID` when one is not decided as its `expect` says.

    Raises `ConfigurationError` when a file cannot be read as what it should be.
    """
    policy = load_person_policy(policy_file)
    recorded = read_recorded(requests_file, Facts.read)
    verdicts = asyncio.run(_decide(policy, [facts for facts, _ in recorded]))
    wrong = 0
    for number, ((facts, expected), verdict) in enumerate(zip(recorded, verdicts, strict=True), start=1):
        found = name_of(verdict.decision)
        as_expected = expected is None or expected == found
        wrong += not as_expected
        if screen.json_output:
            screen.document(_document(number, verdict, found, expected))
            continue
        mark = "[red]✗[/]" if not as_expected else "[green]✓[/]" if expected is not None else "·"
        note = "" if as_expected else f" [red](expected {safe(expected or '')})[/]"
        asked = " ".join((*facts.scope, facts.action or "")).strip() or facts.kind
        where = f" at {facts.resource}" if facts.resource else ""
        screen.say(f"{mark} {number}. [bold]{found}[/]{note} by {safe(verdict.because.rule)}")
        screen.say(f"     {safe(f'{asked}{where} for {facts.agent}')}")
        if details := "; then ".join(_details(verdict.decision)):
            screen.say(f"     {safe(details)}")
    if not screen.json_output:
        screen.say(f"{len(recorded)} decided by policy version {safe(policy.version)}, {wrong} not as expected.")
    return Exit.INVALID if wrong else Exit.OK


async def _decide(policy: PersonRules, recorded: list[Facts]) -> list[Verdict]:
    """What a server makes of what the policy says."""
    return [guarded(facts, await policy.decide(facts)) for facts in recorded]


def _details(decision: Course | Refuse) -> list[str]:
    """Who is asked, one after the other; or why it is refused."""
    if isinstance(decision, Refuse):
        return [decision.reason]
    if not decision.steps:
        return []
    return [*(["the person"] if decision.ask_person else []), *map(_step, decision.steps)]


def _step(step: Step) -> str:
    asked = f"{step.needed} of {', '.join((*step.groups, *step.people))} within {_time(step.deadline_s)}"
    return asked if step.escalate is None else f"{asked}, or else {_step(step.escalate)}"


def _time(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{int(seconds)}s"


def _document(number: int, verdict: Verdict, found: str, expected: str | None) -> dict[str, object]:
    document: dict[str, object] = {
        "request": number,
        "decision": found,
        "details": _details(verdict.decision),
        "rule": verdict.because.rule,
        "version": verdict.because.version,
    }
    if expected is not None:
        document["expected"] = expected
    return document
