"""The surfaces of the interoperability demo profile, every role in a process of its own, over real HTTP.

What each surface says is to be verified is verified from what crossed the wire: tokens decoded and their signatures
checked by keys fetched from where their issuers publish them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.effects import FindMetadata, Flow
from aauthlib.jws import parse
from aauthlib.keys import PublicKey
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, ResourceToken, VerificationPolicy, verify
from aauthlib.transport import Wire

from .conftest import World

_KINDS = {kind.typ: kind for kind in (AgentToken, PersonToken, ResourceToken, AuthToken)}


class Seen:
    """What one call put on the wire, tokens verified by their issuers' published keys."""

    def __init__(self, said: dict[str, Any], now: float) -> None:
        self.said, self.now = said, now
        self.exchanges = said["exchanges"]

    def presented(self, kind: type[Any]) -> Any:
        """The last token of this type that signed a request to a resource."""
        return self._last(kind, [exchange["token"] for exchange in self.exchanges])

    def challenged(self) -> Any:
        return self._last(ResourceToken, [exchange["resource_token"] for exchange in self.exchanges])

    def _last(self, kind: type[Any], texts: list[str | None]) -> Any:
        found = [text for text in texts if text and parse(text).header["typ"] == kind.typ]
        assert found, f"no {kind.__name__} was seen"
        return verified(found[-1], self.now)


def verified(text: str, now: float) -> Any:
    kind = _KINDS[str(parse(text).header["typ"])]
    flow: Flow[Any] = verify(text, kind, now=now, policy=VerificationPolicy(dev=True, iat_window_s=None))
    with Wire.open(dev=True) as wire:
        return wire.run(flow)


def document(issuer: str, dwk: str) -> dict[str, Any]:
    def flow() -> Flow[dict[str, Any]]:
        return (yield FindMetadata(issuer, dwk))

    with Wire.open(dev=True) as wire:
        return wire.run(flow())


def call(world: World, home: Path, *arguments: str) -> Seen:
    return seen(world.calls(home, *arguments))


def seen(said: dict[str, Any]) -> Seen:
    assert said.get("status") == 200, said
    some = next(exchange["token"] for exchange in said["exchanges"] if exchange["token"])
    return Seen(said, float(parse(some).payload["iat"]) + 1)


@pytest.fixture(scope="module")
def agent(world: World) -> Path:
    return world.enrolled("agent")


@dataclass(frozen=True)
class InMission:
    """What crossed the wire when a mission was approved, and when a call was made in it."""

    blob: bytes
    answer: dict[str, Any]
    call: Seen


@pytest.fixture(scope="module")
def in_mission(world: World, agent: Path) -> InMission:
    approved, called = world.calls_in_a_mission(agent, world.direct.issuer + "/reports", "# Read the reports")
    (answer,) = [
        json.loads(exchange["body"])
        for exchange in approved["exchanges"]
        if exchange["status"] == 200 and exchange["url"].startswith(world.person.issuer) and "s256" in exchange["body"]
    ]
    return InMission(b64url_decode(answer["mission"]), answer, seen(called))


@pytest.mark.spec("#mission-approval", "#mission-identifier")
def test_surface_1_a_missions_bytes_are_json_and_its_s256_is_their_digest(in_mission: InMission) -> None:
    assert in_mission.answer["s256"] == b64url_encode(hashlib.sha256(in_mission.blob).digest())
    assert json.loads(in_mission.blob)["description"] == "# Read the reports"


@pytest.mark.spec("#mission-approval")
def test_surface_1_a_mission_names_its_agent_its_approval_and_what_was_approved(
    world: World, in_mission: InMission
) -> None:
    terms = json.loads(in_mission.blob)
    assert terms["agent"] == in_mission.call.presented(AgentToken).sub
    assert datetime.fromisoformat(terms["approved_at"]).tzinfo is not None
    assert [tool["name"] for tool in terms["approved_tools"]] == ["search"]
    assert terms["approved_resources"] == [world.direct.issuer]
    assert "approver" not in terms


@pytest.mark.spec("#mission-approval", "#person-token-structure")
def test_surface_1_the_answer_brings_a_person_token_of_the_mission_for_each_approved_resource(
    world: World, in_mission: InMission
) -> None:
    assert set(in_mission.answer["person_tokens"]) == {world.direct.issuer}
    token = verified(in_mission.answer["person_tokens"][world.direct.issuer], in_mission.call.now)
    assert (token.iss, token.aud) == (world.person.issuer, world.direct.issuer)
    assert token.mission_s256 == in_mission.answer["s256"]
    assert token.cnf.thumbprint == in_mission.call.presented(AgentToken).cnf.thumbprint


@pytest.mark.spec("#person-token-structure", "#resource-token-structure", "#auth-token-structure")
def test_surfaces_2_to_4_every_token_in_a_mission_names_it(in_mission: InMission) -> None:
    s256, call = in_mission.answer["s256"], in_mission.call
    person, resource, auth = call.presented(PersonToken), call.challenged(), call.presented(AuthToken)
    assert {person.mission_s256, resource.mission_s256, auth.mission_s256} == {s256}
    assert resource.presented_jti == person.jti
    assert (person.jti, person.aud) == (_jti(in_mission.answer["person_tokens"][person.aud]), person.aud)


def _jti(text: str) -> object:
    return parse(text).payload["jti"]


@pytest.mark.spec("#person-token-endpoint", "#person-token-structure", "#resource-token-structure")
def test_surface_2_a_person_token_is_issued_and_presented(world: World, agent: Path) -> None:
    seen = call(world, agent, world.direct.issuer + "/reports")
    agent_token, person = seen.presented(AgentToken), seen.presented(PersonToken)
    resource = seen.challenged()
    assert (person.iss, person.aud) == (world.person.issuer, world.direct.issuer)
    assert person.cnf.thumbprint == agent_token.cnf.thumbprint
    assert "mission_s256" not in parse(person.raw).payload
    assert (resource.ps, resource.sub) == (person.iss, person.sub)
    assert resource.presented_jti == person.jti
    assert resource.mission_s256 == person.mission_s256


@pytest.mark.spec("#resource-token-verification", "#resource-metadata")
def test_surface_3_a_resource_token_leads_to_its_issuer(world: World, agent: Path) -> None:
    resource = call(world, agent, world.direct.issuer + "/reports").challenged()
    metadata = document(resource.iss, "aauth-resource.json")
    assert metadata["issuer"] == resource.iss == world.direct.issuer
    header = parse(resource.raw).header
    assert (header["typ"], header["kid"]) == ("aa-resource+jwt", resource.kid)


@pytest.mark.spec("#auth-token-structure", "#auth-token-verification", "#ps-response")
def test_surface_4_three_parties_an_auth_token_of_the_person_server(world: World, agent: Path) -> None:
    seen = call(world, agent, world.direct.issuer + "/reports")
    auth, person = seen.presented(AuthToken), seen.presented(PersonToken)
    assert (auth.iss, auth.dwk, auth.ps) == (world.person.issuer, "aauth-person.json", world.person.issuer)
    assert (auth.aud, auth.sub, auth.scope) == (world.direct.issuer, person.sub, ("reports.read",))
    assert auth.cnf.thumbprint == person.cnf.thumbprint
    assert auth.mission_s256 == seen.challenged().mission_s256
    assert auth.exp <= person.exp
    assert seen.said["text"] == "the reports"


@pytest.mark.spec("#ps-as-federation", "#auth-token-delivery", "#auth-token-verification")
def test_surface_4_four_parties_an_auth_token_of_the_access_server(world: World, agent: Path) -> None:
    seen = call(world, agent, world.guarded.issuer + "/reports")
    auth, person = seen.presented(AuthToken), seen.presented(PersonToken)
    assert (auth.iss, auth.dwk, auth.ps) == (world.access.issuer, "aauth-access.json", world.person.issuer)
    assert (auth.aud, auth.sub, auth.scope) == (world.guarded.issuer, person.sub, ("reports.read",))
    assert auth.cnf.thumbprint == person.cnf.thumbprint
    assert seen.challenged().aud == world.access.issuer
    spoken_to = {exchange["url"].partition(".localhost")[0] for exchange in seen.exchanges if exchange["token"]}
    assert "http://access" not in spoken_to, "the agent never speaks to an access server"


@pytest.mark.spec("#auth-token-usage")
def test_no_token_a_resource_reads_names_the_agent(world: World, agent: Path) -> None:
    for role in (world.direct, world.guarded):
        seen = call(world, agent, role.issuer + "/reports")
        identifier = seen.presented(AgentToken).sub
        for token in (seen.presented(PersonToken), seen.challenged(), seen.presented(AuthToken)):
            assert identifier not in str(parse(token.raw).payload)


@pytest.mark.spec("#parent-mediated-authorization", "#sub-agent-identity")
@pytest.mark.parametrize("which", ["direct", "guarded"])
def test_surface_5_a_sub_agents_tokens_are_had_by_its_parent(world: World, agent: Path, which: str) -> None:
    role = getattr(world, which)
    seen = call(world, agent, role.issuer + "/reports", "--sub-agent", "search1")
    own = _agent_tokens(seen)
    parent = next(token for token in own if token.parent_agent is None)
    children = {token.cnf.thumbprint for token in own if token.parent_agent is not None} | {
        _key_of_child(seen).thumbprint
    }
    person, resource, auth = seen.presented(PersonToken), seen.challenged(), seen.presented(AuthToken)
    assert {person.cnf.thumbprint, resource.agent_jkt, auth.cnf.thumbprint} == children
    assert parent.cnf.thumbprint not in children
    asked = [e for e in seen.exchanges if e["url"].startswith(world.person.issuer) and e["token"]]
    assert {parse(exchange["token"]).payload["sub"] for exchange in asked} == {parent.sub}
    assert "parent_agent" not in parse(auth.raw).payload
    with closing(sqlite3.connect(world.folder / "person.db")) as books:
        rows = books.execute("SELECT agent_sub, subagent_sub FROM person_issued_tokens WHERE jti = ?", (person.jti,))
        ((recorded, child),) = rows.fetchall()
    assert recorded == parent.sub
    assert child.startswith(parent.sub.partition("@")[0] + "+search1@")


def _agent_tokens(seen: Seen) -> list[AgentToken]:
    texts = {e["token"] for e in seen.exchanges if e["token"] and parse(e["token"]).header["typ"] == AgentToken.typ}
    return [verified(text, seen.now) for text in texts]


def _key_of_child(seen: Seen) -> PublicKey:
    return PublicKey.from_jwk(parse(seen.presented(PersonToken).raw).payload["cnf"]["jwk"])


@pytest.mark.spec("#consuming-a-resource")
def test_the_command_meets_every_challenge_by_itself(world: World, agent: Path) -> None:
    for role in (world.direct, world.guarded):
        ended = world.command(agent, "fetch", role.issuer + "/reports", "--dev")
        assert (ended.returncode, ended.stdout.strip()) == (0, "the reports"), ended.stderr
