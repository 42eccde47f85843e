"""The person server's keys and identifiers (#ps-metadata, #jwks-discovery, #directed-identifiers)."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from aauthlib.discovery import StaticDirectory
from aauthlib.errors import InvalidIdentifier, UnknownKey
from aauthlib.messages.metadata import PersonServerMetadata, dump_metadata, read_metadata
from aauthlib.person.directed import DirectedIdentifiers
from aauthlib.person.server import PersonServer
from aauthlib.store.database import Database
from aauthlib.store.keyring import DEFAULT_LEAD_S, KEY_SET_MAX_AGE_S
from aauthlib.store.person import SQLPersonStore
from aauthlib.tokens import MAX_LIFETIME_S, PersonToken
from aauthlib.transport import AsyncWire

from .parties import ALICE, CALENDAR, PS, World, resource_token


async def reopened(world: World) -> PersonServer:
    return await PersonServer.open(issuer=PS, store=SQLPersonStore(world.database), wire=world.wire, clock=world.clock)


@pytest.mark.spec("#ps-metadata", "#metadata-documents")
async def test_the_metadata_is_what_another_party_can_use(world: World) -> None:
    document = dump_metadata(world.server.metadata())
    metadata = read_metadata(PersonServerMetadata, document, issuer=PS)
    assert metadata.person_token_endpoint == PS + "/person-token"
    assert metadata.auth_token_endpoint == PS + "/auth-token"
    assert metadata.revocation_endpoint == PS + "/revocation"
    assert metadata.name == "Alice's server"
    assert "email" in (metadata.scopes_supported or [])
    assert metadata.accept_signature_algs == ["Ed25519", "ES256"]


@pytest.mark.spec("#jwks-discovery", "#signature-algorithms")
async def test_every_published_key_is_public_and_carries_alg_and_kid(world: World) -> None:
    for key in world.server.jwks().to_document()["keys"]:
        assert key["alg"] == "Ed25519"
        assert key["kid"]
        assert "d" not in key


async def test_a_restart_keeps_keys_and_identifiers(world: World) -> None:
    again = await reopened(world)
    assert again.jwks() == world.server.jwks()
    assert again.keys.directed.sub(ALICE, CALENDAR) == world.server.keys.directed.sub(ALICE, CALENDAR)


@pytest.mark.spec("#jwks-discovery")
async def test_a_new_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_expired(world: World) -> None:
    agent = world.agent()
    before = await agent.person_token()
    await world.server.rotate_signing_key()
    assert len(world.server.jwks().members) == 2
    assert (await agent.person_token()).kid == before.kid

    world.clock.now += DEFAULT_LEAD_S
    agent.renew()
    after = await agent.person_token()
    assert after.kid != before.kid
    assert after.sub == before.sub, "the key of directed identifiers is another and does not rotate"
    assert (await world.verified(before.raw, PersonToken)).jti == before.jti
    assert (await agent.ask_auth_token(resource_token(world, before), before)).status == 202
    assert (await reopened(world)).keys.signing.kid == after.kid

    world.clock.now += MAX_LIFETIME_S + 400
    agent.renew()
    await agent.person_token()
    with pytest.raises(UnknownKey):
        world.server.jwks().find(before.kid)


@pytest.mark.spec("#jwks-discovery")
async def test_a_key_that_another_process_made_is_published_by_this_one_in_time(world: World) -> None:
    other = await reopened(world)
    await other.rotate_signing_key()
    new = other.jwks().members[-1]["kid"]
    world.clock.now += DEFAULT_LEAD_S - KEY_SET_MAX_AGE_S
    await world.server.refresh_keys()
    assert new in [member["kid"] for member in world.server.jwks().members]
    world.clock.now += KEY_SET_MAX_AGE_S
    assert world.server.keys.signing.kid == other.keys.signing.kid == new


async def test_the_key_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/keys.db")
    await database.close()
    assert (tmp_path / "keys.db").stat().st_mode & 0o077 == 0


@pytest.mark.spec("#server-identifiers")
@pytest.mark.parametrize("issuer", ["http://ps.example", "https://ps.example/", "http://ps.localhost:8000"])
async def test_a_server_needs_a_proper_name(world: World, issuer: str) -> None:
    with pytest.raises(InvalidIdentifier):
        await PersonServer.open(issuer=issuer, store=SQLPersonStore(world.database), wire=world.wire)


async def test_the_development_profile_is_for_localhost_only(world: World) -> None:
    wire = AsyncWire(world.network, StaticDirectory())
    store = SQLPersonStore(world.database)
    server = await PersonServer.open(issuer="http://ps.localhost:8000", store=store, wire=wire, dev=True)
    assert server.metadata().jwks_uri == "http://ps.localhost:8000/.well-known/aauth-person-jwks.json"
    with pytest.raises(InvalidIdentifier):
        await PersonServer.open(issuer="http://ps.example:8000", store=store, wire=wire, dev=True)


@pytest.mark.spec("#directed-identifiers")
def test_identifiers_differ_by_person_by_resource_and_by_server() -> None:
    ours, theirs = DirectedIdentifiers(b"a" * 32), DirectedIdentifiers(b"b" * 32)
    subs = {
        ours.sub("alice", "https://a.example"),
        ours.sub("alice", "https://b.example"),
        ours.sub("bob", "https://a.example"),
        theirs.sub("alice", "https://a.example"),
        ours.sub("alicehttps://", "a.example"),
    }
    assert len(subs) == 5
    assert all(len(sub) == 43 for sub in subs)
    assert ours.sub("alice", "https://a.example") in subs


def test_a_short_key_makes_no_identifiers() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        DirectedIdentifiers(secrets.token_bytes(16))
