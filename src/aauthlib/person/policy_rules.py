"""A person server's policy in TOML: the first rule that matches decides; where none does, the person is asked.

[[rule]]
name = "money leaves with two of finance"
decision = "approvers"
[rule.when]
tenant = "corp"
resource = "https://bank.example"
scope = "payments.*"
[[rule.step]]
groups = ["finance"]
needed = 2
deadline = "4h"
escalate = { groups = ["administrators"], deadline = "1d" }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ..effects import Clock
from ..errors import ConfigurationError
from ..policies import conditions as shared
from ..policies.approver_rules import APPROVER_MEMBERS, groups_of, read_approvers
from ..policies.conditions import Condition
from ..policies.documents import Entry, read_document, string
from ..policies.reloading import Reloading, read_text
from ..store.approval_records import BecauseOf, Course
from .asked import AUTH_TOKEN, MISSION, PERMISSION, PERSON_TOKEN
from .policy import ASK_PERSON, Facts, Refuse, Verdict

__all__ = ["PersonPolicyFile", "PersonRules", "load_person_policy"]

_MEMBERS = {
    "allow": set[str](),
    "deny": {"reason"},
    "ask": set[str](),
    "approvers": {"ask_person", *APPROVER_MEMBERS},
}
_KINDS = (PERSON_TOKEN, AUTH_TOKEN, PERMISSION, MISSION)
_TEXTS = (
    "agent",
    "provider",
    "resource",
    "tenant",
    "username",
    "account",
    "sub_agent",
    "access_server",
    "mission_s256",
    "action",
    "currency",
)
_FLAGS = ("chained", "step_up")
_MAX_REASON, _MAX_RULE_TEXT = 500, 500
_REFUSED = "The policy of this server refuses the request."
_NO_RULE = "(no rule)"


@dataclass(frozen=True, slots=True)
class _Rule:
    name: str
    decision: Course | Refuse
    conditions: tuple[Condition, ...]


class PersonRules:
    """Rules, the first of which that matches decides."""

    def __init__(self, rules: tuple[_Rule, ...], *, version: str) -> None:
        self._rules, self._version = rules, version

    @property
    def version(self) -> str:
        return self._version

    @property
    def groups(self) -> frozenset[str]:
        """Every group that a rule names, to be filled by administrators."""
        courses = [rule.decision for rule in self._rules if isinstance(rule.decision, Course)]
        return groups_of(step for course in courses for step in course.steps)

    async def look(self) -> str:
        return self._version

    async def decide(self, facts: Facts) -> Verdict:
        """Decide each scope value for itself: what is asked together needs what each part of it needs.

        A rule about one value can thus not be got round by asking for another beside it.
        """
        parts = [replace(facts, scope=(value,)) for value in dict.fromkeys(facts.scope)] or [facts]
        found = [self._first(part) for part in parts]
        rules = "; ".join(dict.fromkeys(name for _, name in found))
        because = BecauseOf(version=self._version, rule=rules[:_MAX_RULE_TEXT])
        for decision, name in found:
            if isinstance(decision, Refuse):
                return Verdict(decision, BecauseOf(version=self._version, rule=name))
        return Verdict(_together([course for course, _ in found if isinstance(course, Course)]), because)

    def _first(self, facts: Facts) -> tuple[Course | Refuse, str]:
        for rule in self._rules:
            if all(condition(facts) for condition in rule.conditions):
                return rule.decision, rule.name
        return ASK_PERSON, _NO_RULE

    @classmethod
    def read(cls, text: str) -> PersonRules:
        """Read rules from TOML. Raises `ConfigurationError`, naming the rule and what is wrong with it."""
        document = read_document(text, decisions=_MEMBERS)
        return cls(tuple(map(_rule, document.entries)), version=document.version)


def load_person_policy(path: Path) -> PersonRules:
    """The policy in a `.toml` file. Raises `ConfigurationError`."""
    if path.suffix != ".toml":
        raise ConfigurationError(f"{path.name} is no policy of a person server: its name ends in .toml.")
    return PersonRules.read(read_text(path))


class PersonPolicyFile(Reloading[PersonRules]):
    """The policy in a file, whatever it says now. Raises `ConfigurationError` when there is none to begin with."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        super().__init__(path, load_person_policy, clock=clock)

    async def look(self) -> str:
        return (await self.current()).version

    async def decide(self, facts: Facts) -> Verdict:
        return await (await self.current()).decide(facts)

    @property
    def groups(self) -> frozenset[str]:
        """Every group that a rule names."""
        return self.policy.groups


def _together(courses: Sequence[Course]) -> Course:
    """What all of them demand: the steps of each, once, and the stricter of everything else."""
    steps = dict.fromkeys(step for course in courses for step in course.steps)
    with_steps = [course for course in courses if course.steps]
    return Course(
        ask_person=any(course.ask_person for course in courses),
        steps=tuple(steps),
        four_eyes=not with_steps or any(course.four_eyes for course in with_steps),
        valid_for_s=min((course.valid_for_s for course in with_steps), default=ASK_PERSON.valid_for_s),
    )


def _rule(entry: Entry) -> _Rule:
    when = entry.table.get("when", {})
    conditions = _conditions(when, entry.where)
    if entry.kind in ("allow", "approvers") and isinstance(when, Mapping) and when.get("kind") in (MISSION, [MISSION]):
        raise ConfigurationError(
            f"{entry.where}: a mission is its person's to approve. Deny it, or rule on what is asked in it."
        )
    return _Rule(entry.name, _decision(entry), conditions)


def _decision(entry: Entry) -> Course | Refuse:
    table, where = entry.table, entry.where
    match entry.kind:
        case "allow":
            return Course(ask_person=False)
        case "ask":
            return ASK_PERSON
        case "deny":
            reason = string(table.get("reason", _REFUSED), f"{where}: reason")
            if not 0 < len(reason) <= _MAX_REASON:
                raise ConfigurationError(f"{where}: reason has 1 to {_MAX_REASON} characters.")
            return Refuse(reason)
        case _:
            asked = read_approvers(table, where)
            return Course(
                ask_person=shared.boolean(table.get("ask_person", True), f"{where}: ask_person"),
                four_eyes=asked.four_eyes,
                valid_for_s=asked.valid_for_s,
                steps=asked.steps,
            )


def _conditions(table: object, where: str) -> tuple[Condition, ...]:
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where}: when is a table.")
    found: list[Condition] = []
    for name, value in table.items():
        if name == "kind":
            found.append(_kind(value, where))
        elif name in _TEXTS:
            found.append(shared.text_matches(name, value, where))
        elif name in _FLAGS:
            found.append(shared.flag_is(name, value, where))
        elif name == "scope":
            found.append(_scope(value, where))
        elif name == "amount":
            found.append(_amount(value, table, where))
        elif name == "time":
            found.append(shared.time_within(value, where))
        else:
            raise ConfigurationError(f"{where} has no condition {name}.")
    return tuple(found)


def _kind(value: object, where: str) -> Condition:
    wanted = value if isinstance(value, list) else [value]
    if not wanted or not all(kind in _KINDS for kind in wanted):
        raise ConfigurationError(f"{where}: kind is {', '.join(_KINDS)}, or a list of them.")
    return lambda facts: facts.kind in wanted


def _scope(value: object, where: str) -> Condition:
    """The scope value is one of these. A request without any is about something else."""
    within = shared.scope_within(value, where)
    return lambda facts: bool(facts.scope) and within(facts)


def _amount(value: object, table: Mapping[str, Any], where: str) -> Condition:
    """An amount is above, or at most, a whole number. Numbers of different currencies do not compare."""
    if not isinstance(value, Mapping) or not value or not set(value) <= {"above", "at_most"}:
        raise ConfigurationError(f"{where}: amount is a table of above and at_most.")
    if not all(type(bound) is int and bound >= 0 for bound in value.values()):
        raise ConfigurationError(f"{where}: amount.above and amount.at_most are whole numbers, in the smallest unit.")
    if "currency" not in table:
        raise ConfigurationError(f"{where} compares amounts and must name their currency.")
    above, at_most = value.get("above"), value.get("at_most")

    def holds(facts: Facts) -> bool:
        amount = facts.amount
        return amount is not None and (above is None or amount > above) and (at_most is None or amount <= at_most)

    return holds
