"""Policies in Cedar (extra `cedar`): each scope value is an action on the resource, and each demand is one too.

    permit(principal in PersonServer::"https://ps.corp.example", action == Action::"calendar.read", resource);

    @demand("claims") @claims("email")
    permit(principal, action == Action::"demand:claims", resource);

Granted are the scope values that are permitted. When not all are, the first demand that is permitted and not met yet is
made; with none, what is permitted is granted, or the request is denied. A policy that fails while it is evaluated (an
attribute that is not there and was not asked for with `has`) denies the request: Cedar would pass over it, and a
`forbid` that is passed over forbids nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..policies.approvers import Approvers
from .approvers import approvers_of_notes
from .decisions import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Demanded,
    Deny,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    Verdict,
)
from .facts import Facts

__all__ = ["CedarPolicy"]

_DEMANDS = ("payment", "interaction", "approval", "claims", "question")
_PREFIX = "demand:"
_MAX_INTEGER = 2**63 - 1


class CedarPolicy:
    """A Cedar policy set. Make one with `CedarPolicy.read`."""

    def __init__(self, policies: Any, annotations: Mapping[str, Mapping[str, str]], *, version: str) -> None:
        self._policies, self._annotations, self._version = policies, annotations, version

    @property
    def version(self) -> str:
        return self._version

    @classmethod
    def read(cls, text: str) -> CedarPolicy:
        """Parse a policy set. Raises `ConfigurationError` when it is not one, or `cedarpy` is not installed."""
        try:
            import cedarpy
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                "Cedar policies need the package cedarpy: pip install 'aauthlib[cedar]'."
            ) from error
        try:
            policies = cedarpy.PolicySet.from_str(text)
            document = msgspec.json.decode(cedarpy.policies_to_json_str(text))
        except ValueError as error:
            raise ConfigurationError(f"The policy is not Cedar: {error}.") from error
        annotations = {name: dict(p.get("annotations") or {}) for name, p in document["staticPolicies"].items()}
        policy = cls(policies, annotations, version=hashlib.sha256(text.encode()).hexdigest()[:12])
        for name, found in annotations.items():
            if "demand" in found:
                policy._check(name, found)
        return policy

    async def decide(self, facts: Facts) -> Verdict:
        import cedarpy

        # Read once: every value of the scope and every demand is a question about the same.
        entities = cedarpy.Entities.from_json_str(msgspec.json.encode(_entities(facts)).decode())
        context = _context(facts)
        granted, reasons = [], list[str]()
        for value in facts.scope:
            if value.startswith(_PREFIX):
                continue  # No resource can ask for what only this server's policies are about.
            permitted, names = self._ask(facts, value, entities, context)
            if permitted is None:
                return self._verdict(Deny("The policy of this access server failed on the request."), names)
            if permitted:
                granted.append(value)
            reasons += names
        if facts.scope and len(granted) == len(facts.scope):
            return self._verdict(Allow(), reasons)
        for kind in _DEMANDS:
            permitted, names = self._ask(facts, _PREFIX + kind, entities, context)
            if permitted is None:
                return self._verdict(Deny("The policy of this access server failed on the request."), names)
            demand = self._demand(kind, names, facts) if permitted else None
            if demand is not None:
                return self._verdict(demand, names)
        if granted:
            return self._verdict(Narrow(tuple(granted)), reasons)
        return self._verdict(Deny("The policy of this access server does not permit the request."), reasons)

    # ------------------------------------------------------------------ inside

    def _ask(self, facts: Facts, action: str, entities: Any, context: dict[str, Any]) -> tuple[bool | None, list[str]]:
        """Whether `action` is permitted (`None` when a policy failed), and the policies that say so."""
        import cedarpy

        request = {
            "principal": {"type": "Agent", "id": facts.agent},
            "action": {"type": "Action", "id": action},
            "resource": {"type": "Resource", "id": facts.resource},
            "context": {**context, "scope": action},
        }
        result = cedarpy.is_authorized(request, self._policies, entities)
        if result.diagnostics.errors:
            return None, [str(error)[:200] for error in result.diagnostics.errors][:3]
        return bool(result.allowed), list(result.diagnostics.reasons)

    def _demand(self, kind: str, names: list[str], facts: Facts) -> Demanded | None:
        """The demand that the determining policies are annotated with, unless it was met."""
        noted = [(name, self._annotations[name]) for name in sorted(names)]
        found = [notes for _, notes in noted if notes.get("demand") == kind]
        if not found:
            return None
        if kind == "claims":
            wanted = dict.fromkeys(name for notes in found for name in notes["claims"].split())
            missing = tuple(name for name in wanted if name not in facts.claims_asked)
            return AskClaims(missing) if missing else None
        met = {
            "payment": facts.paid,
            "interaction": facts.bound_user is not None,
            "approval": facts.approved_by is not None,
            "question": found[0].get("question") in facts.answers,
        }
        if met[kind]:
            return None
        # What is permitted on the approval of some and on that of others needs that of both.
        return _together(found) if kind == "approval" else _made(kind, found[0])

    def _check(self, name: str, notes: Mapping[str, str]) -> None:
        try:
            if notes["demand"] == "claims":
                AskClaims(tuple(notes["claims"].split()))
            elif notes["demand"] in _DEMANDS:
                _made(notes["demand"], notes)
            else:
                raise ConfigurationError(f"there is no demand {notes['demand']}.")
        except KeyError as error:
            raise ConfigurationError(f"Cedar policy {name} needs the annotation @{error.args[0]}.") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"Cedar policy {name}: {error.detail}") from error

    def _verdict(self, decision: Decision, names: list[str]) -> Verdict:
        labels = [self._annotations.get(name, {}).get("id", name) for name in dict.fromkeys(names)]
        return Verdict(decision, rule=", ".join(labels)[:500] or "(no policy)", version=self._version)


def _made(kind: str, notes: Mapping[str, str]) -> Demanded:
    match kind:
        case "payment":
            return NeedPayment(notes["amount"], notes["currency"], notes.get("description", ""))
        case "interaction":
            return NeedInteraction()
        case "approval":
            return NeedApproval(approvers=approvers_of_notes(notes, "An approval"))
        case _:
            options = tuple(filter(None, notes.get("options", "").split("|")))
            return AskQuestion(notes["question"], options)


def _together(found: Sequence[Mapping[str, str]]) -> NeedApproval:
    """The steps that each of several policies wants, once, and the stricter of everything else."""
    each = [approvers_of_notes(notes, "An approval") for notes in found]
    steps = dict.fromkeys(step for approvers in each for step in approvers.steps)
    return NeedApproval(
        approvers=Approvers(
            steps=tuple(steps),
            four_eyes=any(approvers.four_eyes for approvers in each),
            valid_for_s=min(approvers.valid_for_s for approvers in each),
        )
    )


def _entities(facts: Facts) -> list[dict[str, Any]]:
    """The agent, below its provider, its person server and, within that server, its tenant."""
    parents = [{"type": "Provider", "id": facts.provider}, {"type": "PersonServer", "id": facts.person_server}]
    attributes: dict[str, Any] = {
        "provider": {"__entity": parents[0]},
        "person_server": {"__entity": parents[1]},
        "claims": _cedar(facts.agent_claims),
    }
    if facts.sub_agent is not None:
        attributes["sub_agent"] = facts.sub_agent
    if facts.tenant is not None:
        # An organisation is known by its person server and its name there, never by the name alone.
        parents.append({"type": "Tenant", "id": f"{facts.person_server} {facts.tenant}"})
    return [
        {"uid": {"type": "Agent", "id": facts.agent}, "attrs": attributes, "parents": parents},
        {"uid": {"type": "Resource", "id": facts.resource}, "attrs": {}, "parents": []},
    ]


def _context(facts: Facts) -> dict[str, Any]:
    moment = datetime.fromtimestamp(facts.now, UTC)
    context: dict[str, Any] = {
        "scopes": list(facts.scope),
        "claims": _cedar(facts.claims),
        "answers": dict(facts.answers),
        "trusted": facts.trusted,
        "bound": facts.bound_user is not None,
        "paid": facts.paid,
        "approved": facts.approved_by is not None,
        "chained": facts.chained,
        "step_up": facts.step_up,
        "time": {
            "epoch": int(facts.now),
            "hour": moment.hour,
            "minute": moment.minute,
            "weekday": moment.isoweekday(),
        },
    }
    for name in ("account", "tenant", "mission_s256"):
        value = getattr(facts, name)
        if value is not None:
            context[name] = value
    return context


def _cedar(value: Any) -> Any:
    """JSON as Cedar knows it: no null, no fraction, and no member that Cedar would take for an entity."""
    if isinstance(value, Mapping):
        pairs = {str(name): _cedar(v) for name, v in value.items() if not str(name).startswith("__")}
        return {name: v for name, v in pairs.items() if v is not None}
    if isinstance(value, list | tuple):
        return [item for item in map(_cedar, value) if item is not None]
    if isinstance(value, float):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _MAX_INTEGER:
        return str(value)
    return value
