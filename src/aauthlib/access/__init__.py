"""The access server role (#access-server-federation): an organisation's policy decides about its resources.

`AccessServer` is the role; a `Policy` decides: `RulesPolicy` (TOML), `CedarPolicy` (extra `cedar`) or `CallablePolicy`.
"""

from ..policies.approvers import Approvers, Step
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
from .payment import Demand, Settlement, TestSettlement, X402Settlement
from .policy import CallablePolicy, Policy
from .reloading import PolicyFile, load_policy
from .rules import RulesPolicy
from .server import AccessServer
from .trust import Trust

__all__ = [
    "AccessServer",
    "Allow",
    "Approvers",
    "AskClaims",
    "AskQuestion",
    "CallablePolicy",
    "Decision",
    "Demand",
    "Deny",
    "Facts",
    "Narrow",
    "NeedApproval",
    "NeedInteraction",
    "NeedPayment",
    "Policy",
    "PolicyFile",
    "RulesPolicy",
    "Settlement",
    "Step",
    "TestSettlement",
    "Trust",
    "Verdict",
    "X402Settlement",
    "load_policy",
]
