"""Requests of an identity that wait, on disk: `<home>/<name>.pending/<id>.json`, for its owner alone.

What stands there is a `PendingRequest`: what was asked and where the answer is to be had, and no token or key. The
request may hold what is nobody else's business, so a file that others can read is refused like a key.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from ..errors import ConfigurationError
from .keystore import aauth_home, checked_name, read_private, write_private
from .pending import PendingRequest

__all__ = ["KeptRequest", "PendingFiles", "new_id"]

_ID = re.compile(r"[0-9a-f]{8}\Z")
#: A file that is larger is not read again.
_MAX_FILE_CHARS = 60_000


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request, and what it is called on this machine."""

    id: str
    pending: PendingRequest


def new_id() -> str:
    """A name for a request. Not a secret."""
    return secrets.token_hex(4)


class PendingFiles:
    """The waiting requests of the identity `name` in `home`."""

    def __init__(self, name: str, *, home: Path | None = None) -> None:
        self.folder = (home if home is not None else aauth_home()) / f"{checked_name(name)}.pending"

    def keep(self, kept_id: str, pending: PendingRequest) -> Path:
        """Write one, replacing what was there. Raises `ConfigurationError` for one that is too large to keep."""
        text = pending.to_json()
        if len(text) > _MAX_FILE_CHARS:
            raise ConfigurationError("The request is too large to be kept: its header fields and body have 40 KiB.")
        path = self._path(kept_id)
        write_private(path, text + "\n")
        return path

    def all(self) -> list[KeptRequest]:
        """Every request kept, the oldest first. Raises `ConfigurationError` for a file that is damaged."""
        if not self.folder.is_dir():
            return []
        names = [path.name.removesuffix(".json") for path in self.folder.iterdir() if path.name.endswith(".json")]
        kept = [self._read(name) for name in names if _ID.match(name)]
        return sorted(kept, key=lambda each: each.pending.since)

    def find(self, prefix: str) -> KeptRequest:
        """The one request whose id begins like this. Raises `ConfigurationError`."""
        found = [each for each in self.all() if each.id.startswith(prefix)]
        if not prefix or len(found) != 1:
            raise ConfigurationError(
                f"{len(found)} waiting requests begin like this. `aauth pending list` shows those there are."
            )
        return found[0]

    def remove(self, kept_id: str) -> None:
        """Forget one; nothing happens when it is not there."""
        self._path(kept_id).unlink(missing_ok=True)

    def __contains__(self, kept_id: str) -> bool:
        return self._path(kept_id).exists()

    def _path(self, kept_id: str) -> Path:
        return self.folder / f"{kept_id}.json"

    def _read(self, kept_id: str) -> KeptRequest:
        path = self._path(kept_id)
        try:
            return KeptRequest(kept_id, PendingRequest.from_json(json.dumps(read_private(path, secret=True))))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path} cannot be used. {error.detail}") from error
