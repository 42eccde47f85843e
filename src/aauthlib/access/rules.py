"""Declarative rules in TOML: the first that matches decides, and nothing matching is a denial.

A rule that demands something and whose demand is met is passed over, so that rules read from top to bottom like the
steps of an exchange. What a person server says of its people (`tenant`, `claims`) may only be looked at together with
which person server says it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigurationError
from ..policies.documents import Entry, read_document, string, strings
from .approvers import APPROVAL_MEMBERS, approvers_of_table
from .conditions import Condition, Pattern, read_conditions
from .decisions import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    Verdict,
)
from .facts import Facts

__all__ = ["Rule", "RulesPolicy"]

_MEMBERS: Mapping[str, Collection[str]] = {
    "allow": set[str](),
    "narrow": {"scope"},
    "deny": {"reason"},
    "claims": {"claims"},
    "question": {"question", "options"},
    "interaction": set[str](),
    "approval": APPROVAL_MEMBERS,
    "payment": {"amount", "currency", "description"},
}
_NO_RULE = "No rule of this access server allows the request."


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it applies, and what it decides."""

    name: str
    kind: str
    values: Mapping[str, Any]
    conditions: tuple[Condition, ...]

    def decide(self, facts: Facts) -> Decision | None:
        """The decision when the rule applies; `None` when it does not, or when what it demands was done."""
        if not all(condition(facts) for condition in self.conditions):
            return None
        values = self.values
        match self.kind:
            case "allow":
                return Allow()
            case "narrow":
                granted = tuple(v for v in facts.scope if any(pattern.matches(v) for pattern in values["scope"]))
                return Narrow(granted) if granted else None
            case "deny":
                return Deny(values.get("reason", "The policy of this access server refuses the request."))
            case "claims":
                missing = tuple(name for name in values["claims"] if name not in facts.claims_asked)
                return AskClaims(missing) if missing else None
            case "question":
                asked = values["question"] in facts.answers
                return None if asked else AskQuestion(values["question"], tuple(values.get("options", ())))
            case "interaction":
                return None if facts.bound_user is not None else NeedInteraction()
            case "approval":
                return None if facts.approved_by is not None else NeedApproval(approvers=values["approvers"])
            case _:
                return None if facts.paid else NeedPayment(**values)


class RulesPolicy:
    """Rules, the first of which that matches decides."""

    def __init__(self, rules: tuple[Rule, ...], *, version: str) -> None:
        self.rules, self._version = rules, version

    @property
    def version(self) -> str:
        return self._version

    async def decide(self, facts: Facts) -> Verdict:
        for rule in self.rules:
            decision = rule.decide(facts)
            if decision is not None:
                return Verdict(decision, rule=rule.name, version=self._version)
        return Verdict(Deny(_NO_RULE), rule="(no rule)", version=self._version)

    @classmethod
    def read(cls, text: str) -> RulesPolicy:
        """Read rules from TOML. Raises `ConfigurationError`, naming the rule and what is wrong with it."""
        decisions = {kind: {"any_person_server", *members} for kind, members in _MEMBERS.items()}
        document = read_document(text, decisions=decisions)
        return cls(tuple(map(_rule, document.entries)), version=document.version)


def _rule(entry: Entry) -> Rule:
    kind, table, where = entry.kind, entry.table, entry.where
    values: dict[str, Any] = {}
    if kind == "approval":
        values["approvers"] = approvers_of_table(table, where)
    else:
        values = {member: _value(member, table[member], where) for member in _MEMBERS[kind] if member in table}
    required = {"narrow": "scope", "claims": "claims", "question": "question", "payment": "amount"}.get(kind)
    if required is not None and required not in values:
        raise ConfigurationError(f"{where} needs {required}.")
    if kind == "payment" and "currency" not in values:
        raise ConfigurationError(f"{where} needs currency.")
    conditions = read_conditions(table.get("when", {}), where, any_person_server=table.get("any_person_server") is True)
    rule = Rule(entry.name, kind, values, conditions)
    # What the decision itself refuses (asking for sub, an amount that is none) is found now, not at the first request.
    try:
        _sample(rule)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error.detail}") from error
    return rule


def _sample(rule: Rule) -> None:
    values = rule.values
    match rule.kind:
        case "claims":
            AskClaims(values["claims"])
        case "question":
            AskQuestion(values["question"], tuple(values.get("options", ())))
        case "payment":
            NeedPayment(**values)


def _value(member: str, value: object, where: str) -> Any:
    if member in ("scope", "claims", "options"):
        found = strings(value, f"{where}: {member}")
        return tuple(map(Pattern, found)) if member == "scope" else found
    return string(value, f"{where}: {member}")
