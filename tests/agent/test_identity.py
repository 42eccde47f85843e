"""Identity documents: who an agent is, kept apart from its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aauthlib.agent import Agent, Enrolled, Identity, SelfIssued, identities, load_identity, save_identity, source_of
from aauthlib.errors import ConfigurationError
from aauthlib.keys import SigningKey

ME = Identity(agent="aauth:me@me.example", issuer="https://me.example", mode="self-issued", ps="https://ps.example")


def test_an_identity_is_read_back_with_its_key(tmp_path: Path) -> None:
    key = SigningKey.generate(kid="k1")
    path = save_identity(ME, key, home=tmp_path)
    assert load_identity(home=tmp_path) == (ME, key)
    assert identities(tmp_path) == ["default"]
    assert key.to_private_jwk()["d"] not in path.read_text()


def test_several_identities_live_side_by_side(tmp_path: Path) -> None:
    keys = {name: SigningKey.generate() for name in ("home", "work")}
    for name, key in keys.items():
        save_identity(ME, key, name=name, home=tmp_path)
    assert identities(tmp_path) == ["home", "work"]
    assert load_identity("work", home=tmp_path)[1] == keys["work"]
    assert identities(tmp_path / "nothing") == []


def test_a_missing_identity_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no identity default.*aauth init"):
        Agent.load(home=tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"agent": "me@me.example"},
        {"agent": "aauth:me@other.example"},
        {"issuer": "http://me.example"},
        {"issuer": "https://me.example/"},
        {"issuer": "http://me.localhost:8080", "agent": "aauth:me@me.localhost"},
        {"ps": "https://ps.example:8443"},
        {"mode": "stolen"},
        {"agent": 7},
    ],
)
def test_an_identity_whose_parts_do_not_fit_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save_identity(ME, SigningKey.generate(), home=tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConfigurationError):
        load_identity(home=tmp_path)


def test_the_source_of_tokens_follows_the_mode() -> None:
    key = SigningKey.generate()
    own = source_of(ME, key, clock=lambda: 0.0)
    assert isinstance(own, SelfIssued) and own.ps == ME.ps
    for mode in ("two-key", "single-key"):
        identity = Identity(agent="aauth:i@ap.example", issuer="https://ap.example", mode=mode)
        source = source_of(identity, key, clock=lambda: 0.0)
        assert isinstance(source, Enrolled) and source.mode == mode


def test_an_identity_of_the_development_profile_makes_an_agent_of_it(tmp_path: Path) -> None:
    identity = Identity(agent="aauth:me@me.localhost", issuer="http://me.localhost:8080", mode="self-issued", dev=True)
    save_identity(identity, SigningKey.generate(), home=tmp_path)
    with Agent.load(home=tmp_path) as agent:
        assert agent.context.dev
