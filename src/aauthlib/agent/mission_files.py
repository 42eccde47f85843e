"""The missions of an identity, on disk: `<home>/<name>.missions/<s256>.json`.

A person server tells an agent about a mission once, and has nothing that lists them, so an agent that goes on later
keeps their bytes. What is read is checked against its digest; the file says nothing that the person server would
not correct.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ..base64url import b64url_decode, b64url_encode
from ..errors import ConfigurationError, InvalidRequest
from .keystore import aauth_home, checked_name, read_private, write_private
from .missions import ApprovedMission, MissionUpdate

__all__ = ["KeptMission", "MissionFiles"]

_LEAST_PREFIX = 6


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    mission: str
    ps: str
    updates: list[dict[str, str]] = []
    ended: str | None = None
    capabilities: list[str] = []


@dataclass(frozen=True, slots=True)
class KeptMission:
    """A mission, and what became of it as far as this agent was told."""

    mission: ApprovedMission
    ps: str
    updates: tuple[MissionUpdate, ...] = ()
    ended: str | None = None
    """Why it ended; `None` as long as nothing was heard."""

    def state(self, now: float) -> str:
        """`active`, or why it is over."""
        if self.ended is not None:
            return self.ended
        expires_at = self.mission.terms.expires_at
        return "expired" if expires_at is not None and expires_at.timestamp() <= now else "active"


class MissionFiles:
    """The missions of the identity `name` in `home`."""

    def __init__(self, name: str, *, home: Path | None = None) -> None:
        self.folder = (home if home is not None else aauth_home()) / f"{checked_name(name)}.missions"

    def keep(self, kept: KeptMission) -> Path:
        """Write one, replacing what was there."""
        document = _Document(
            mission=b64url_encode(kept.mission.blob),
            ps=kept.ps,
            updates=[{"description": update.description, "s256": update.s256} for update in kept.updates],
            ended=kept.ended,
            capabilities=list(kept.mission.capabilities),
        )
        path = self.folder / f"{kept.mission.s256}.json"
        write_private(path, json.dumps(msgspec.to_builtins(document), indent=2) + "\n")
        return path

    def all(self) -> list[KeptMission]:
        """Every mission kept, the newest first. Raises `ConfigurationError` for a file that is damaged."""
        if not self.folder.is_dir():
            return []
        kept = [self._read(path) for path in self.folder.iterdir() if path.name.endswith(".json")]
        return sorted(kept, key=lambda each: each.mission.terms.approved_at, reverse=True)

    def find(self, prefix: str) -> KeptMission:
        """The one mission whose `s256` begins like this. Raises `ConfigurationError`."""
        found = [each for each in self.all() if each.mission.s256.startswith(prefix)]
        if len(prefix) < _LEAST_PREFIX or len(found) != 1:
            raise ConfigurationError(
                f"{len(found)} missions begin like this. One is named by its s256 or the beginning of it, at least "
                f"{_LEAST_PREFIX} characters; `aauth missions list` shows them."
            )
        return found[0]

    def updated(self, kept: KeptMission, update: MissionUpdate) -> None:
        """Keep an update that was accepted."""
        self.keep(replace(kept, updates=(*kept.updates, update)))

    def ended(self, kept: KeptMission, reason: str) -> None:
        """Keep that it is over."""
        self.keep(replace(kept, ended=reason))

    def _read(self, path: Path) -> KeptMission:
        try:
            document = msgspec.convert(read_private(path, secret=False), _Document)
            mission = ApprovedMission.of(b64url_decode(document.mission), capabilities=document.capabilities)
            updates = tuple(MissionUpdate(each["description"], each["s256"]) for each in document.updates)
        except (msgspec.ValidationError, InvalidRequest, ValueError, KeyError) as error:
            raise ConfigurationError(f"{path} is no mission. Remove it, or restore it.") from error
        if path.name != f"{mission.s256}.json":
            raise ConfigurationError(f"{path} was changed: its mission has another s256. Remove it, or restore it.")
        return KeptMission(mission, document.ps, updates, document.ended)
