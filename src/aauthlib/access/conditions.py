"""The conditions of an access server's TOML rules, compiled when they are read. All of a rule's must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import ConfigurationError
from ..policies import conditions as shared
from ..policies.conditions import Pattern
from .facts import Facts

__all__ = ["Condition", "Pattern", "read_conditions"]

Condition = Callable[[Facts], bool]

_TEXTS = ("agent", "provider", "person_server", "resource", "account", "tenant", "sub_agent", "mission_s256", "sub")
_FLAGS = ("trusted", "chained", "step_up")


def read_conditions(table: object, where: str, *, any_person_server: bool) -> tuple[Condition, ...]:
    """Compile a rule's `when`. `where` names the rule in errors. Raises `ConfigurationError`."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(f"{where}: when is a table.")
    says_who = "person_server" in table or table.get("trusted") is True or table.get("bound") is True
    if ("tenant" in table or "claims" in table) and not says_who and not any_person_server:
        raise ConfigurationError(
            f"{where} believes a tenant or claims whichever person server states them. Add person_server, "
            "trusted = true or bound = true to it; or any_person_server = true, if that is what you want."
        )
    conditions: list[Condition] = []
    for name, value in table.items():
        if name in _TEXTS:
            conditions.append(shared.text_matches(name, value, where))
        elif name in _FLAGS:
            conditions.append(shared.flag_is(name, value, where))
        elif name == "bound":
            conditions.append(_bound(shared.boolean(value, f"{where}: bound")))
        elif name == "scope":
            conditions.append(shared.scope_within(value, where))
        elif name in ("claims", "agent_claims"):
            conditions.extend(shared.claims_hold(name, value, where))
        elif name == "answers":
            if not isinstance(value, Mapping):
                raise ConfigurationError(f"{where}: answers is a table from questions to answers.")
            conditions.extend(_answer(question, wanted, where) for question, wanted in value.items())
        elif name == "time":
            conditions.append(shared.time_within(value, where))
        else:
            raise ConfigurationError(f"{where} has no condition {name}.")
    return tuple(conditions)


def _bound(wanted: bool) -> Condition:
    return lambda facts: (facts.bound_user is not None) is wanted


def _answer(question: str, wanted: object, where: str) -> Condition:
    options = shared.patterns(wanted, f"{where}: answers")
    return lambda facts: question in facts.answers and shared.any_matches(options, facts.answers[question])
