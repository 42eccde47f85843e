"""What one decision takes in each policy engine: one request, policies that say the same, beside a raw verification.

Two sizes: three rules, as a server begins with, and two hundred of which the last decides. What is measured is `decide`
alone: no token is verified and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from limits import verifications
from rounds import ROUNDS, Rates, Subject, measure

from aauthlib.access import Allow, CallablePolicy, Decision, Deny, Facts, Policy, RulesPolicy
from aauthlib.access.cedar import CedarPolicy

BATCH = 40
SIZES = (3, 200)
_FACTS = Facts(
    agent="aauth:helper@ap.example",
    provider="https://ap.example",
    person_server="https://ps.corp.example",
    resource="https://calendar.example",
    sub="alice-at-calendar",
    scope=("calendar.read", "calendar.write"),
    now=1_800_000_000.0,
    tenant="corp",
    agent_claims={"posture": {"enclave": True}},
    claims={"email": "alice@corp.example"},
    claims_asked=("email",),
    trusted=True,
)


_RULE = """
[[rule]]
name = "rule {0}"
decision = "allow"
[rule.when]
person_server = ["{1}"]
tenant = ["{2}"]
"""
_PERMIT = """
permit(principal in PersonServer::"{0}", action, resource) when {{ context has tenant && context.tenant == "{1}" }};
"""


def _tenants(size: int) -> list[tuple[str, str]]:
    """Person servers and tenants that are let in; the last is the one that asks."""
    others = [(f"https://ps{number}.example", f"team-{number}") for number in range(size - 1)]
    return [*others, ("https://ps.corp.example", "corp")]


def _toml(size: int) -> Policy:
    return RulesPolicy.read("".join(_RULE.format(number, *named) for number, named in enumerate(_tenants(size))))


def _cedar(size: int) -> Policy:
    return CedarPolicy.read("".join(_PERMIT.format(*named) for named in _tenants(size)))


def _callable(size: int) -> Policy:
    tenants = _tenants(size)

    def decide(facts: Facts) -> Decision:
        for person_server, tenant in tenants:
            if (facts.person_server, facts.tenant) == (person_server, tenant):
                return Allow()
        return Deny("No.")

    return CallablePolicy(decide)


ENGINES: dict[str, Callable[[int], Policy]] = {"toml": _toml, "cedar": _cedar, "callable": _callable}


def _subject(name: str, policy: Policy) -> Subject:
    def run() -> int:
        for _ in range(BATCH):
            decision = policy.decide(_FACTS)
            try:
                decision.send(None)  # type: ignore[attr-defined]
            except StopIteration as done:
                if not isinstance(done.value.decision, Allow):
                    raise AssertionError(f"{name} decided otherwise") from done
            else:
                raise AssertionError(f"{name} waited for something")
        return BATCH

    return Subject(name, lambda: run)


def figures(*, rounds: int = ROUNDS) -> dict[str, Any]:
    """Microseconds of one decision by engine and size, with the spread."""
    subjects = [_subject(f"{engine} {size}", make(size)) for engine, make in ENGINES.items() for size in SIZES]
    rates: Rates = measure([Subject("raw_verify", lambda: lambda: verifications(BATCH)), *subjects], rounds=rounds)
    found: dict[str, Any] = {
        engine: {
            str(size): {
                "us": round(1e6 / rates.median(f"{engine} {size}"), 1),
                "spread": round(rates.spread(f"{engine} {size}"), 3),
            }
            for size in SIZES
        }
        for engine in ENGINES
    }
    found["raw_verify_us"] = round(1e6 / rates.median("raw_verify"), 1)
    return {"policy_decision": found}


def describe(found: dict[str, Any]) -> str:
    rows = found["policy_decision"]
    parts = [
        f"{engine} {rows[engine]['3']['us']:.0f} µs with three rules and {rows[engine]['200']['us']:.0f} µs with 200"
        for engine in ENGINES
    ]
    return f"One decision: {', '.join(parts)} (raw Ed25519 verify {rows['raw_verify_us']:.0f} µs)."
