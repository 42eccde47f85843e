"""Where an agent's private keys rest: files only their owner can read, or the operating system's keychain.

`FileKeystore` writes atomically with mode 0600 into a directory of mode 0700 and refuses to read a key that others can
read. `KeyringKeystore` needs the optional `keyring` package. Neither knows what a key is used for.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Any, Protocol

from ..errors import AAuthError, ConfigurationError
from ..keys import SigningKey

__all__ = ["FileKeystore", "KeyringKeystore", "Keystore", "aauth_home", "checked_name", "write_private"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_MAX_FILE_BYTES = 65_536
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SERVICE = "aauthlib"


class Keystore(Protocol):
    """Keeps one private key per name."""

    def read(self, name: str) -> SigningKey:
        """The key; raises `ConfigurationError` saying what to do when there is none or it cannot be used."""
        ...

    def write(self, name: str, key: SigningKey) -> None:
        """Keep `key`, replacing what was there."""
        ...

    def delete(self, name: str) -> None:
        """Forget the key; nothing happens when there is none."""
        ...


def aauth_home(environ: dict[str, str] | os._Environ[str] | None = None) -> Path:
    """The directory of this user's identities: `AAUTH_HOME`, else `aauth` in the XDG configuration directory."""
    env = os.environ if environ is None else environ
    if env.get("AAUTH_HOME"):
        return Path(env["AAUTH_HOME"])
    base = env.get("XDG_CONFIG_HOME")
    # A relative XDG directory is to be ignored, says its specification.
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".config"
    return root / "aauth"


def checked_name(name: str) -> str:
    """A name that can be a file's: raises `ConfigurationError` for one that could lead elsewhere."""
    if not _NAME.match(name):
        raise ConfigurationError(
            "An identity's name has 1 to 64 letters, digits and the characters . _ - and starts with a letter or digit."
        )
    return name


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(path.parent, 0o700)
    # mkstemp makes the file with mode 0600, so it is never readable by others, not even while it is written.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_private(path: Path, *, secret: bool) -> dict[str, Any]:
    """Read a JSON object; with `secret`, only from a file that nobody else can read.

    Raises `FileNotFoundError` when it is not there, `ConfigurationError` when it cannot be used.
    """
    with path.open("rb") as file:
        # Judged on the open file, so that it cannot be exchanged in between.
        found = os.fstat(file.fileno())
        if secret and os.name == "posix" and found.st_mode & _OTHERS:
            raise ConfigurationError(
                f"{path} can be read by others, so the key in it is not used. Make it yours alone with "
                f"`chmod 600 {path}`, or make a new identity if somebody may have read it."
            )
        content = file.read(_MAX_FILE_BYTES + 1)
    try:
        document = json.loads(content) if len(content) <= _MAX_FILE_BYTES else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} is damaged: a small JSON object was expected. Restore it or make a new one.")
    return document


class FileKeystore:
    """Keys as `<directory>/<name>.key.json`."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory if directory is not None else aauth_home()

    def _path(self, name: str) -> Path:
        return self.directory / f"{checked_name(name)}.key.json"

    def read(self, name: str) -> SigningKey:
        """As `Keystore.read`; a file that others can read is refused."""
        path = self._path(name)
        try:
            return _key(read_private(path, secret=True), str(path))
        except FileNotFoundError:
            raise ConfigurationError(
                f"There is no key for the identity {name} at {path}. Make one with `aauth init`."
            ) from None

    def write(self, name: str, key: SigningKey) -> None:
        """As `Keystore.write`: mode 0600, whole or not at all."""
        write_private(self._path(name), json.dumps(key.to_private_jwk()) + "\n")

    def delete(self, name: str) -> None:
        """As `Keystore.delete`."""
        self._path(name).unlink(missing_ok=True)


class KeyringKeystore:
    """Keys in the operating system's keychain, through the optional `keyring` package (`aauthlib[keyring]`)."""

    def __init__(self, *, backend: Any = None) -> None:
        if backend is None:
            try:
                import keyring
            except ImportError:
                raise ConfigurationError(
                    "Keys in the keychain need the keyring package: pip install 'aauthlib[keyring]'."
                ) from None
            backend = keyring
        self._keyring = backend

    def read(self, name: str) -> SigningKey:
        """As `Keystore.read`."""
        text = self._keyring.get_password(_SERVICE, checked_name(name))
        if text is None:
            raise ConfigurationError(f"The keychain has no key for the identity {name}. Make one with `aauth init`.")
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise ConfigurationError(f"The keychain entry for the identity {name} is damaged.")
        return _key(document, "the keychain")

    def write(self, name: str, key: SigningKey) -> None:
        """As `Keystore.write`."""
        self._keyring.set_password(_SERVICE, checked_name(name), json.dumps(key.to_private_jwk()))

    def delete(self, name: str) -> None:
        """As `Keystore.delete`."""
        if self._keyring.get_password(_SERVICE, checked_name(name)) is not None:
            self._keyring.delete_password(_SERVICE, name)


def _key(document: dict[str, Any], where: str) -> SigningKey:
    try:
        return SigningKey.from_jwk(document)
    except AAuthError as error:
        raise ConfigurationError(f"The key in {where} cannot be used. {error.detail}") from error
