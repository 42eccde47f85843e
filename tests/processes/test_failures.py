"""What only processes can do: die by `kill -9`, stand still, come back with another clock or other keys.

The systematic matrix is in `tests/failures`; these few show that nothing of it depends on sharing a process.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from aauthlib.cli.exits import Exit
from aauthlib.cli.screen import Screen
from aauthlib.cli.server_keys import rotate_keys
from aauthlib.keys import SigningKey

from .conftest import World
from .running import restart


def issued(world: World) -> int:
    """Auth tokens the access server has issued."""
    with closing(sqlite3.connect(world.folder / "access.db")) as books:
        return int(books.execute("SELECT count(*) FROM access_issued_tokens").fetchone()[0])


@pytest.mark.spec("#ps-as-federation", "#deferred-responses")
def test_a_person_server_killed_while_the_person_decides_goes_on_from_its_database(world: World) -> None:
    home, before = world.enrolled("patient"), issued(world)
    with world.program(home, world.guarded.issuer + "/reports") as program:
        world.decide(program.says()["direct"])
        page = program.says()["direct"]
        restart(world.person, world.access)
        world.decide(page)
        said = program.says()
    assert said.get("status") == 200 or said.get("error") in ("TransportError", "gone"), said
    ended = world.command(home, "fetch", world.guarded.issuer + "/reports", "--dev")
    assert (ended.returncode, ended.stdout.strip()) == (0, "the reports"), "she has agreed, and is not asked again"
    assert issued(world) > before


@pytest.mark.spec("#auth-token-delivery")
def test_an_access_server_that_stands_still_is_unreachable_and_then_is_not(world: World) -> None:
    world.person.restart(settings={"aauthlib.person.federation.exchange:_REQUEST_S": 1.0})
    home = world.enrolled("waiting")
    # She agrees once, so that no page of hers has to wait for the access server.
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200
    before = issued(world)
    world.access.freeze()
    try:
        said = world.calls(home, world.guarded.issuer + "/reports")
    finally:
        world.access.thaw()
    assert said["error"] == "as_unreachable", said
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200
    assert issued(world) >= before + 1


@pytest.mark.spec("#auth-token-delivery", "#signature-parameters")
def test_an_access_server_with_a_wrong_clock_gives_nothing(world: World) -> None:
    home = world.enrolled("punctual")
    before = issued(world)
    world.access.restart(clock_offset_s=-600.0)
    try:
        said = world.calls(home, world.guarded.issuer + "/reports")
        assert said["error"] == "as_unreachable", said
        assert "clock" in said["detail"]
        assert issued(world) == before
    finally:
        world.access.restart()
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200


@pytest.mark.spec("#jwks-discovery")
def test_keys_that_rotate_between_two_calls_are_found(world: World) -> None:
    home = world.enrolled("steady")
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200
    rotate_keys(Screen(), f"sqlite:///{world.folder / 'person.db'}", at_once=True, role=None)
    path = world.folder / "guarded.json"
    path.write_text(json.dumps([SigningKey.generate().to_private_jwk(), *json.loads(path.read_text())]))
    restart(world.person, world.guarded, world.access)
    # The restarted know nobody, so the new keys are looked for where they are published.
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200


@pytest.mark.spec("#token-revocation", "#revocation-cascade", "#presenting-a-revoked-token")
def test_a_revocation_outlives_every_process(world: World) -> None:
    home = world.enrolled("dismissed")
    assert world.calls(home, world.guarded.issuer + "/reports")["status"] == 200
    world.disconnect_everything()
    restart(world.person, world.access, world.guarded)
    with closing(sqlite3.connect(world.folder / "access.db")) as books:
        rows = books.execute("SELECT revoked_at, revocation FROM access_issued_tokens").fetchall()
    assert rows
    assert all(revoked_at is not None and revocation == "recorded" for revoked_at, revocation in rows)
    with closing(sqlite3.connect(world.folder / "guarded.db")) as books:
        assert books.execute("SELECT count(*) FROM resource_revocations").fetchone()[0] >= len(rows)
    ended = world.command(home, "fetch", world.guarded.issuer + "/reports", "--dev", "--wait", "1")
    assert ended.returncode in (Exit.TIMED_OUT, Exit.REFUSED, Exit.DENIED), ended.stderr
