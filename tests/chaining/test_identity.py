"""The agent token an intermediary issues to itself (#intermediary-agent-identity)."""

from __future__ import annotations

import pytest

from aauthlib.agent.credentials import Credential
from aauthlib.agent.provider_client import SelfIssued
from aauthlib.chaining.identity import ForOneCaller, OwnAgent
from aauthlib.effects import Flow
from aauthlib.keys import SigningKey

HERE = "https://middle.example"


def done(flow: Flow[Credential]) -> Credential:
    """What a flow that asks nobody returns."""
    try:
        next(flow)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("It asked somebody.")


@pytest.fixture
def own() -> OwnAgent:
    return OwnAgent(SelfIssued(HERE, "aauth:service@middle.example", SigningKey.generate(), lambda: 1_800_000_000.0))


@pytest.mark.spec("#intermediary-agent-identity")
def test_one_agent_token_serves_all_callers(own: OwnAgent) -> None:
    assert done(ForOneCaller(own).obtain()) is done(ForOneCaller(own).obtain())


@pytest.mark.spec("#intermediary-agent-identity", "#authentication-errors")
def test_an_agent_token_that_a_server_did_not_take_is_not_presented_again(own: OwnAgent) -> None:
    one, other = ForOneCaller(own), ForOneCaller(own)
    refused = done(one.obtain())
    assert done(other.obtain()) is refused
    fresh = done(one.obtain())
    assert fresh is not refused
    assert done(other.obtain()) is fresh, "whoever else drops it gets the one that is fresh already"
