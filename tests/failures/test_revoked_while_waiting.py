"""Access ends while a request waits for somebody, and the server it waits at is stopped or killed right after.

The waiting request ends; nothing is issued for it, by whichever process looks next, and a new request is a new one.
"""

from __future__ import annotations

import pytest

from aauthlib.access import Decision, Facts, NeedApproval

from .endings import nobody_is_untold, tell_everybody
from .ledger import read_ledger
from .strikes import attempt
from .town import ALICE, AP, AS, DIRECT, GUARDED, MIDDLE, PS, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Where a request waits; whom the agent calls, and what it called there before.
WAITS = {
    PS: (GUARDED, "/reports", ()),
    AS: (GUARDED, "/reports", ("/me",)),
    MIDDLE: (MIDDLE, "/for-person/guarded", ("/me",)),
}


def _approved(facts: Facts, demand: Decision) -> bool:
    return facts.approved_by is not None


@pytest.mark.spec("#revocation-cascade", "#polling-error-codes", "#token-revocation")
@pytest.mark.parametrize("after", ["goes-on", "is-stopped", "is-killed"])
@pytest.mark.parametrize("waits_at", WAITS)
async def test_a_request_that_waits_ends_with_the_access(town: Town, waits_at: str, after: str) -> None:
    called, path, before_it = WAITS[waits_at]
    assert (await attempt(town.agent.get(town.url(DIRECT, "/reports")))).served
    for earlier in before_it:
        assert (await attempt(town.agent.get(town.url(called, earlier)))).status is not None
    if waits_at == AS:
        town.policy.demands, town.policy.met = [NeedApproval("the owner")], _approved
    before = await read_ledger(town)

    async def end() -> None:
        await town.person_server.disconnect(ALICE, (town.hosts[AP].issuer, town.agent_name))
        if after != "goes-on":
            await town.hosts[waits_at].replace_process(killed=after == "is-killed")

    town.interrupt = (waits_at, end)
    outcome = await attempt(town.agent.get(town.url(called, path)))
    assert town.interrupt is None, "it never waited"
    assert "revoked" in (outcome.end, outcome.said), outcome
    issued = (await read_ledger(town)).since(before)
    assert f"auth {GUARDED}" not in issued.kinds
    await town.heal()
    await tell_everybody(town)
    assert await nobody_is_untold(town)
    again = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert again.served, f"{again}, although the person lets it in again, as they may"
