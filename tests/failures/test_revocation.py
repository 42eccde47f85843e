"""Access ends while whoever is to be told of it fails; then every server is killed and started again.

What was revoked stays revoked, everybody is told in the end, and nothing is issued meanwhile.
"""

from __future__ import annotations

import pytest

from aauthlib.errors import NotFound
from aauthlib.provider import Outcome as ToldOutcome

from .endings import Held, everywhere, held_by, nobody_is_untold, refused_as_revoked, restart_everybody, tell_everybody
from .flows import DISCONNECTED, ENROLMENT_REVOKED, GRANTS_WITHDRAWN, Flow, Strike
from .hosts import Fault
from .ledger import read_ledger, withdrawn
from .strikes import attempt, check_end
from .town import ALICE, AP, DIRECT, GUARDED, PS, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def end_access(town: Town, flow: Flow) -> bool:
    """Whether everybody concerned knows at once."""
    if flow is DISCONNECTED:
        agent = (town.hosts[AP].issuer, town.agent_name)
        return all(outcome.complete for outcome in await town.person_server.disconnect(ALICE, agent))
    if flow is ENROLMENT_REVOKED:
        told = await town.provider.revoke(town.agent_name)
        return {each.outcome for each in told} <= {ToldOutcome.REVOKED} and await nobody_is_untold(town)
    (grant, *_) = [row for row in (await read_ledger(town)).granted if row["revoked_at"] is None][-1:]
    told = await town.access_server.withdraw(ps=grant["ps"], resource=grant["aud"], sub=grant["sub"])
    return not any("error" in each for each in told)


@pytest.mark.spec("#token-revocation", "#revocation-cascade", "#revocation-response", "#presenting-a-revoked-token")
@pytest.mark.parametrize(
    ("flow", "strike", "fault"), [*DISCONNECTED.cells(), *ENROLMENT_REVOKED.cells(), *GRANTS_WITHDRAWN.cells()]
)
async def test_access_that_ended_stays_ended(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    await everywhere(town)
    held: list[Held] = held_by(town, GUARDED) if flow is GRANTS_WITHDRAWN else held_by(town)
    before = await read_ledger(town)
    host = town.hosts[strike.host]
    for each in town.hosts.values():
        each.steps.clear()
    host.fault, host.at = fault, strike
    at_once = await end_access(town, flow)
    assert host.struck, "the fault never happened"
    check_end("told at once" if at_once else "told later", flow, strike, fault)
    await restart_everybody(town)
    await town.heal()
    await tell_everybody(town)
    assert await nobody_is_untold(town)
    assert await refused_as_revoked(town, held) == [True] * len(held)
    after = await read_ledger(town)
    assert not after.since(before).kinds, "nothing was issued meanwhile"
    revoked = await withdrawn(town, after)
    if flow is not GRANTS_WITHDRAWN:
        assert not revoked.missing, "every token of the agent, and of whoever acted for it, is revoked where it counts"
        town.decision = "deny"
        for name in (GUARDED, DIRECT):
            assert not (await attempt(town.agent.get(town.url(name, "/reports")))).served
        assert not (await read_ledger(town)).since(before).kinds
    await _once_more(town, flow)
    assert await withdrawn(town, await read_ledger(town)) == revoked, "to say it again changes nothing"


async def _once_more(town: Town, flow: Flow) -> None:
    if flow is DISCONNECTED:
        with pytest.raises(NotFound):
            await end_access(town, flow)
    elif flow is ENROLMENT_REVOKED:
        assert await town.provider.revoke(town.agent_name) == []
    await tell_everybody(town)


@pytest.mark.spec("#revocation-cascade", "#token-revocation")
@pytest.mark.parametrize("dying", [AP, PS, "access"])
async def test_a_server_that_dies_before_it_tells_anybody_tells_when_it_is_back(town: Town, dying: str) -> None:
    """What is revoked and whom to tell is one transaction; nothing that comes after it can be lost."""
    await everywhere(town)
    held, now = held_by(town, GUARDED), town.time()
    if dying == AP:
        await town.provider_store.revoke_enrollment(town.agent_name, now=now)
    elif dying == PS:
        await town.person_server.store.disconnect(ALICE, (town.hosts[AP].issuer, town.agent_name), now=now)
    else:
        (grant,) = [row for row in (await read_ledger(town)).granted if row["revoked_at"] is None][-1:]
        await town.access_server.store.withdraw(ps=grant["ps"], resource=grant["aud"], sub=grant["sub"], now=now)
    await town.hosts[dying].replace_process(killed=True)
    assert await refused_as_revoked(town, held) == [False] * len(held), "nobody was told"
    await town.heal()
    await tell_everybody(town)
    assert await refused_as_revoked(town, held) == [True] * len(held)
    assert await nobody_is_untold(town)
