"""`aauth whoami`, `aauth keys`, `aauth publish`: an agent that publishes itself, on a real web host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from aauthlib.agent import identities, load_identity
from aauthlib.agent.key_rotation import LONGEST_TOKEN_S, key_history, key_set, prepare_key, replace_key, use_next_key
from aauthlib.cli.init import init_identity
from aauthlib.cli.screen import Screen
from aauthlib.errors import ConfigurationError
from aauthlib.keys import JWKS


class Quiet(SimpleHTTPRequestHandler):
    extensions_map: ClassVar[dict[str, str]] = {".json": "application/json"}

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass
class Place:
    """An agent's machine, and the web host it publishes on."""

    home: Path
    site: Path
    """What the web host serves."""
    out: Path
    """What is written on the agent's machine."""
    issuer: str

    def aauth(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "AAUTH_HOME": str(self.home),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "aauthlib", *arguments], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == code, done.stderr
        return done

    def said(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.aauth(*arguments, "--json", code=code).stdout)

    def upload(self) -> None:
        for path in self.out.rglob("*"):
            if path.is_file():
                there = self.site / path.relative_to(self.out)
                there.parent.mkdir(parents=True, exist_ok=True)
                there.write_bytes(path.read_bytes())

    def published(self) -> list[str]:
        """The thumbprints in the key set as written, in order."""
        document = json.loads((self.out / ".well-known/jwks.json").read_text())
        parsed = JWKS.parse(document)
        return [parsed.find(member["kid"]).thumbprint for member in parsed.members]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    site, out, home = tmp_path / "site", tmp_path / "out", tmp_path / "home"
    site.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Quiet(*given, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = Place(home, site, out, f"http://agent.localhost:{server.server_port}")
    try:
        monkeypatch.setenv("AAUTH_HOME", str(home))
        init_identity(
            Screen(quiet=True),
            issuer=made.issuer,
            provider=None,
            ps=None,
            name="default",
            local="agent",
            alg="Ed25519",
            out=out,
            invitation=None,
            keychain=False,
            dev=True,
        )
        yield made
    finally:
        server.shutdown()
        server.server_close()


class TestWhoami:
    def test_says_who_for_whom_and_where_the_key_is(self, place: Place) -> None:
        said = place.said("whoami")
        _, key = load_identity(home=place.home)
        assert said["agent"] == f"aauth:agent@{place.issuer.partition('://')[2]}"
        assert (said["issuer"], said["mode"], said["person_server"]) == (place.issuer, "self-issued", None)
        assert said["key"] == {"alg": "Ed25519", "thumbprint": key.thumbprint, "kept_in": "file"}

    def test_shows_no_private_key(self, place: Place) -> None:
        _, key = load_identity(home=place.home)
        secret = key.to_private_jwk()["d"]
        for arguments in (["whoami"], ["whoami", "--json"], ["keys", "list"], ["keys", "list", "--json"]):
            done = place.aauth(*arguments)
            assert secret not in done.stdout + done.stderr

    def test_check_finds_that_nothing_is_published_and_then_that_it_is(self, place: Place) -> None:
        said = place.said("whoami", "--check", code=8)
        assert "404" in said["problems"][0]
        place.upload()
        said = place.said("whoami", "--check")
        assert said["problems"] == []
        assert said["agent_token_expires"] > time.time()

    def test_an_unknown_name_says_what_to_do(self, place: Place) -> None:
        done = place.aauth("whoami", "--name", "nobody", code=2)
        assert "aauth init" in done.stderr


class TestPublish:
    def test_writes_the_files_and_finds_them_right_once_they_are_up(self, place: Place) -> None:
        said = place.said("publish", "--out", str(place.out))
        assert [Path(file).name for file in said["files"]] == ["aauth-agent.json", "jwks.json"]
        assert "404" in said["published"]["problems"][0]
        place.upload()
        assert place.said("publish", "--out", str(place.out))["published"] == {"problems": [], "notes": []}

    def test_keeps_what_people_see_until_it_is_said_anew(self, place: Place) -> None:
        arguments = ["publish", "--out", str(place.out), "--offline"]
        place.aauth(*arguments, "--shown-name", "Trip planner", "--description", "Plans trips.")
        place.aauth(*arguments, "--description", "Plans holidays.")
        document = json.loads((place.out / ".well-known/aauth-agent.json").read_text())
        assert (document["name"], document["description"]) == ("Trip planner", "Plans holidays.")

    def test_writes_over_nobody_elses_metadata(self, place: Place) -> None:
        there = place.out / ".well-known/aauth-agent.json"
        for content in ('{"issuer": "https://other.example"}', "not JSON", "[" * 100_000):
            there.write_text(content)
            done = place.aauth("publish", "--out", str(place.out), "--offline", code=2)
            assert "is not the metadata of" in done.stderr
            assert there.read_text() == content

    def test_github_pages_are_told_to_serve_names_with_a_dot(self, place: Place) -> None:
        said = place.said("publish", "--out", str(place.out), "--offline", "--for", "github-pages")
        assert (place.out / ".nojekyll").read_bytes() == b""
        assert (place.out / "CNAME").read_text() == "agent.localhost\n"
        assert "custom domain agent.localhost" in said["steps"][0]

    def test_s3_is_told_the_type_of_the_documents(self, place: Place) -> None:
        said = place.said("publish", "--out", str(place.out), "--offline", "--for", "s3")
        assert "--content-type application/json" in said["steps"][0]

    def test_nginx_gets_a_location_for_the_two_documents(self, place: Place) -> None:
        place.aauth("publish", "--out", str(place.out), "--offline", "--for", "nginx")
        snippet = (place.out / "nginx.conf").read_text()
        assert f'root "{place.out}";' in snippet
        assert "try_files $uri =404;" in snippet

    def test_a_directory_that_nginx_would_read_otherwise_is_refused(self, place: Place, tmp_path: Path) -> None:
        done = place.aauth("publish", "--out", str(tmp_path / 'a"; b'), "--offline", "--for", "nginx", code=2)
        assert "Choose another --out" in done.stderr

    def test_another_kind_of_host_is_named_among_those_there_are(self, place: Place) -> None:
        done = place.aauth("publish", "--out", str(place.out), "--for", "floppy", code=2)
        assert "github-pages, s3, nginx" in done.stderr


class TestRotate:
    @pytest.mark.spec("#self-hosted-agents", "#jwks-discovery")
    def test_a_key_is_published_before_it_signs_and_the_old_one_stays(self, place: Place) -> None:
        place.upload()
        old = place.said("whoami")["key"]["thumbprint"]
        first = place.said("keys", "rotate", "--out", str(place.out))
        assert first["state"] == "prepared"
        assert place.published() == [old, first["thumbprint"]]
        # Not uploaded, so the old one signs, however often it is asked.
        again = place.said("keys", "rotate", "--out", str(place.out))
        assert (again["state"], again["thumbprint"]) == ("prepared", first["thumbprint"])
        assert place.said("whoami", "--check")["key"]["thumbprint"] == old
        place.upload()
        second = place.said("keys", "rotate", "--out", str(place.out))
        assert (second["state"], second["thumbprint"]) == ("signs", first["thumbprint"])
        assert place.published() == [first["thumbprint"], old]
        # What is up already will do for the new one.
        assert place.said("whoami", "--check")["key"]["thumbprint"] == first["thumbprint"]
        [row] = place.said("keys", "list")
        assert row["thumbprint"] == first["thumbprint"]
        assert row["published_until"][0] == pytest.approx(time.time() + LONGEST_TOKEN_S, abs=60)

    def test_a_leaked_key_is_replaced_at_once_and_stays_nowhere(self, place: Place) -> None:
        place.upload()
        old = place.said("whoami")["key"]["thumbprint"]
        place.said("keys", "rotate", "--out", str(place.out))
        new = place.said("keys", "rotate", "--leaked", "--out", str(place.out))
        assert new["state"] == "replaced"
        assert place.published() == [new["thumbprint"]]
        assert place.said("whoami", "--check", code=8)["problems"]
        assert old not in (place.home / "default.keys.json").read_text()
        assert not (place.home / "default.next.key.json").exists()
        place.upload()
        assert place.said("whoami", "--check")["problems"] == []

    def test_no_identity_is_no_error_of_the_list(self, place: Place, tmp_path: Path) -> None:
        place.home = tmp_path / "empty"
        done = place.aauth("keys", "list")
        assert "aauth init" in done.stderr

    def test_a_damaged_identity_is_said_in_its_row_and_hides_no_other(self, place: Place) -> None:
        (place.home / "broken.identity.json").write_text("{")
        rows = place.said("keys", "list")
        assert [row["name"] for row in rows] == ["broken", "default"]
        assert "problem" in rows[0]
        assert "problem" not in rows[1]


class TestKeyHistory:
    """`agent.key_rotation`, and what is on disk if the machine stops between two steps."""

    @pytest.mark.parametrize("stops_at", range(1, 6))
    def test_a_crash_leaves_a_signing_key_that_is_in_the_key_set(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, stops_at: int
    ) -> None:
        from aauthlib.agent import identity, key_rotation, keystore

        old = load_identity(home=place.home)[1]
        following = prepare_key("default", home=place.home)
        written = [0]
        write_private = keystore.write_private

        class Stopped(Exception):
            pass

        def write(path: Path, content: str) -> None:
            written[0] += 1
            if written[0] == stops_at:
                raise Stopped
            write_private(path, content)

        for module in (identity, key_rotation, keystore):
            monkeypatch.setattr(module, "write_private", write)
        try:
            use_next_key("default", now=1000.0, home=place.home)
            finished = True
        except Stopped:
            finished = False
        monkeypatch.undo()
        assert finished == (stops_at == 5)
        signing = load_identity(home=place.home)[1].thumbprint
        published = [key.thumbprint for key in key_set("default", now=1001.0, home=place.home)]
        assert published[0] == signing
        assert set(published) == {old.thumbprint, following.thumbprint}
        if not finished:
            use_next_key("default", now=1002.0, home=place.home)
        assert load_identity(home=place.home)[1].thumbprint == following.thumbprint
        published = [key.thumbprint for key in key_set("default", now=1003.0, home=place.home)]
        assert published == [following.thumbprint, old.thumbprint]
        assert key_history("default", home=place.home).next_kid is None

    def test_an_old_key_goes_when_its_last_token_is_over(self, place: Place) -> None:
        prepare_key("default", home=place.home)
        following, until = use_next_key("default", now=1000.0, home=place.home)
        assert until == 1000.0 + LONGEST_TOKEN_S
        assert len(key_set("default", now=until - 1, home=place.home)) == 2
        assert [key.thumbprint for key in key_set("default", now=until, home=place.home)] == [following.thumbprint]

    def test_without_a_next_key_nothing_changes(self, place: Place) -> None:
        before = load_identity(home=place.home)[1].thumbprint
        with pytest.raises(ConfigurationError, match="no next key"):
            use_next_key("default", now=1000.0, home=place.home)
        assert load_identity(home=place.home)[1].thumbprint == before

    def test_a_damaged_history_is_said(self, place: Place) -> None:
        (place.home / "default.keys.json").write_text('{"retired": 1}')
        with pytest.raises(ConfigurationError, match="is damaged"):
            key_history("default", home=place.home)

    def test_an_enrolled_agents_key_is_its_providers_business(self, place: Place) -> None:
        path = place.home / "default.identity.json"
        path.write_text(path.read_text().replace("self-issued", "two-key"))
        for change in (prepare_key, replace_key):
            with pytest.raises(ConfigurationError, match="a new key is a new agent"):
                change("default", home=place.home)
        done = place.aauth("publish", code=2)
        assert "publishes for it" in done.stderr

    def test_the_next_keys_file_is_no_identity(self, place: Place) -> None:
        prepare_key("default", home=place.home)
        assert identities(place.home) == ["default"]
        done = place.aauth("init", "--issuer", place.issuer, "--name", "default.next", "--dev", code=2)
        assert "ends in .next" in done.stderr
