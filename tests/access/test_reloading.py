"""A policy file is taken over whole when it changes, and a broken one is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aauthlib.access import Allow, Deny, PolicyFile, RulesPolicy, load_policy
from aauthlib.access.cedar import CedarPolicy
from aauthlib.errors import ConfigurationError

from .parties import Clock
from .test_rules import FACTS

ALLOW = "[[rule]]\ndecision = 'allow'\n"
DENY = "[[rule]]\ndecision = 'deny'\nreason = 'closed for the day'\n"


async def test_a_changed_file_decides_from_then_on(tmp_path: Path) -> None:
    path, clock = tmp_path / "policy.toml", Clock()
    path.write_text(ALLOW)
    policy = PolicyFile(path, clock=clock)
    before = policy.version
    assert (await policy.decide(FACTS)).decision == Allow()
    path.write_text(DENY)
    assert (await policy.decide(FACTS)).decision == Allow()  # it was looked at this very second
    clock.now += 1
    assert (await policy.decide(FACTS)).decision == Deny("closed for the day")
    assert policy.version != before


async def test_a_file_that_is_no_policy_changes_nothing(tmp_path: Path) -> None:
    path, clock = tmp_path / "policy.toml", Clock()
    path.write_text(DENY)
    policy = PolicyFile(path, clock=clock)
    path.write_text(ALLOW + "nonsense")
    assert await policy.reload() is False
    assert (await policy.decide(FACTS)).decision == Deny("closed for the day")
    assert "not TOML" in (policy.problem or "")
    path.unlink()
    assert await policy.reload() is False
    assert isinstance((await policy.decide(FACTS)).decision, Deny)
    path.write_text(ALLOW)
    assert await policy.reload() is True
    assert policy.problem is None


def test_the_policies_in_the_documentation_are_policies() -> None:
    text = (Path(__file__).parents[2] / "docs" / "access-server.md").read_text()
    rules = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    cedar = re.search(r"```cedar\n(.*?)```", text, re.DOTALL)
    assert cedar is not None
    assert [len(RulesPolicy.read(each).rules) for each in rules] == [1, 5]
    pytest.importorskip("cedarpy")
    assert CedarPolicy.read(cedar[1]).version


def test_a_file_that_cannot_be_read_is_no_policy_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policy(tmp_path / "none.toml")
    (tmp_path / "policy.yaml").write_text("x")
    with pytest.raises(ConfigurationError, match="ends in"):
        load_policy(tmp_path / "policy.yaml")
    (tmp_path / "policy.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load_policy(tmp_path / "policy.toml")
