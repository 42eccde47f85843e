"""A person's own data: all of it in one document, and its end (#ps-approval-endpoint-auth)."""

from __future__ import annotations

from typing import Any

from ..base64url import b64url_encode
from .cascade import RevocationOutcome, tell_resources
from .core import PersonServerCore

__all__ = ["PersonalData"]


class PersonalData(PersonServerCore):
    """What the pages call about everything that is held on a person."""

    async def export(self, person_id: str) -> dict[str, Any]:
        """All that is held on the person, by table and in JSON types. No password, key, code or token is in it."""
        return {
            "server": self.issuer,
            "exported_at": int(self.clock()),
            "person_id": person_id,
            "held": await self.store.export_person(person_id),
        }

    async def delete_person(self, person_id: str) -> list[RevocationOutcome]:
        """Delete an account and everything that identifies the person; revoke their agents' tokens and tell resources.

        Raises `NotFound`, or `LastAdministrator` while an organisation would be left with people and no administrator.
        """
        pseudonym = "deleted-" + b64url_encode(self._random_bytes(16))
        due = await self.store.erase_person(person_id, pseudonym=pseudonym, now=self.clock())
        return await tell_resources(self, due)
