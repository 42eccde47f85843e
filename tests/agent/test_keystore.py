"""Keys on disk and in the keychain: nobody else reads them, nothing half-written is left."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from aauthlib.agent import FileKeystore, KeyringKeystore, aauth_home
from aauthlib.errors import ConfigurationError
from aauthlib.keys import SigningKey


@pytest.fixture
def store(tmp_path: Path) -> FileKeystore:
    return FileKeystore(tmp_path / "aauth")


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_a_key_is_read_back_as_it_was_written(store: FileKeystore, alg: str) -> None:
    key = SigningKey.generate(alg, kid="k1")
    store.write("default", key)
    found = store.read("default")
    assert found == key and found.kid == "k1"
    assert key.public.verify(found.sign(b"data"), b"data")


def test_file_and_directory_are_for_their_owner_alone(store: FileKeystore) -> None:
    previous = os.umask(0)
    try:
        store.write("default", SigningKey.generate())
    finally:
        os.umask(previous)
    (path,) = store.directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_can_read_is_refused_with_what_to_do(store: FileKeystore, mode: int) -> None:
    store.write("default", SigningKey.generate())
    (path,) = store.directory.iterdir()
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        store.read("default")


def test_a_missing_key_is_named_with_what_to_do(store: FileKeystore) -> None:
    with pytest.raises(ConfigurationError, match="aauth init"):
        store.read("default")


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"kty":"OKP"}', "x" * 100_000, "[" * 50_000])
def test_a_damaged_key_file_is_an_error_and_not_a_crash(store: FileKeystore, content: str) -> None:
    store.write("default", SigningKey.generate())
    (path,) = store.directory.iterdir()
    path.write_text(content)
    with pytest.raises(ConfigurationError):
        store.read("default")


def test_a_public_half_that_does_not_belong_to_the_private_one_is_refused(store: FileKeystore) -> None:
    store.write("default", SigningKey.generate())
    (path,) = store.directory.iterdir()
    document = json.loads(path.read_text())
    document["x"] = SigningKey.generate().to_private_jwk()["x"]
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match="does not belong"):
        store.read("default")


def test_a_write_that_fails_leaves_the_old_key_and_no_rest(
    store: FileKeystore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = SigningKey.generate()
    store.write("default", old)

    def full(descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        store.write("default", SigningKey.generate())
    assert store.read("default") == old
    assert len(list(store.directory.iterdir())) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\\b", "a\x00", ".hidden", "x" * 65, "näme", "a\n"])
def test_a_name_cannot_lead_out_of_the_directory(store: FileKeystore, name: str) -> None:
    for use in (store.read, store.delete, lambda name: store.write(name, SigningKey.generate())):
        with pytest.raises(ConfigurationError, match="name"):
            use(name)


def test_a_deleted_key_is_gone_and_deleting_it_again_is_no_error(store: FileKeystore) -> None:
    store.write("default", SigningKey.generate())
    store.delete("default")
    store.delete("default")
    with pytest.raises(ConfigurationError):
        store.read("default")


def test_home_is_where_the_environment_says() -> None:
    assert aauth_home({"AAUTH_HOME": "/srv/aauth"}) == Path("/srv/aauth")
    assert aauth_home({"XDG_CONFIG_HOME": "/home/ada/.cfg"}) == Path("/home/ada/.cfg/aauth")
    for environ in ({}, {"XDG_CONFIG_HOME": "relative"}, {"AAUTH_HOME": ""}):
        assert aauth_home(environ) == Path.home() / ".config" / "aauth"


class Keychain:
    """What the `keyring` package offers, in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.entries.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        self.entries[service, name] = secret

    def delete_password(self, service: str, name: str) -> None:
        del self.entries[service, name]


def test_the_keychain_keeps_a_key_per_name() -> None:
    chain = Keychain()
    store = KeyringKeystore(backend=chain)
    key = SigningKey.generate(kid="k1")
    store.write("work", key)
    assert store.read("work") == key
    store.delete("work")
    store.delete("work")
    with pytest.raises(ConfigurationError, match="no key for the identity work"):
        store.read("work")
    chain.set_password("aauthlib", "work", "not json")
    with pytest.raises(ConfigurationError, match="damaged"):
        store.read("work")
