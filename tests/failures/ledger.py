"""Everything the servers have written down of what they issued."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Table, select

from aauthlib.store import access_tables, person_tables
from aauthlib.store.database import schema

from .town import AP, AS, DIRECT, GUARDED, MIDDLE, PS, Town

Row = dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """Rows of the servers' tables."""

    vouched: list[Row]
    """Person tokens, and auth tokens, of the person server."""
    granted: list[Row]
    """Auth tokens of the access server."""
    handed: list[Row]
    """Those of them that the person server passed on."""
    agents: list[Row]
    """Agent tokens of the provider."""
    names: dict[str, str]
    """Hosts by issuer."""
    vouched_before: list[Row] = field(default_factory=list)

    @property
    def known(self) -> dict[str, Row]:
        """What the person server ever issued, by `jti`."""
        return {row["jti"]: row for row in self.vouched_before + self.vouched}

    @property
    def kinds(self) -> frozenset[str]:
        """What was issued for whom, as `auth guarded`."""
        return frozenset(
            f"{kind} {self.names[row['aud']]}"
            for rows, kinds in ((self.vouched, None), (self.granted, "auth"))
            for row in rows
            for kind in [kinds or row["kind"].partition("_")[0].partition("-")[0]]
        )

    def since(self, before: Ledger) -> Ledger:
        """What came after `before`."""

        def new(name: str) -> list[Row]:
            old = {row["jti"] for row in getattr(before, name)}
            return [row for row in getattr(self, name) if row["jti"] not in old]

        return replace(
            self,
            vouched=new("vouched"),
            granted=new("granted"),
            handed=new("handed"),
            agents=new("agents"),
            vouched_before=before.vouched,
        )


async def read_ledger(town: Town) -> Ledger:
    """What is written down now."""
    return Ledger(
        vouched=await rows(town, PS, person_tables.issued_tokens),
        granted=await rows(town, AS, access_tables.issued_tokens),
        handed=await rows(town, PS, person_tables.federated_tokens),
        agents=await rows(town, AP, schema.tables["provider_tokens"]),
        names={host.issuer: name for name, host in town.hosts.items()},
    )


async def rows(town: Town, name: str, table: Table) -> list[Row]:
    """All rows of a table of the host `name`."""
    async with town.hosts[name].database.transaction() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


@dataclass(frozen=True)
class Withdrawn:
    """Where tokens are known to be revoked."""

    known: frozenset[tuple[str, str]]
    """Resources and `jti`."""
    missing: frozenset[tuple[str, str]]
    """Living tokens of the agent, or of an intermediary for it, that their resource would still take."""


async def withdrawn(town: Town, ledger: Ledger) -> Withdrawn:
    """What the resources were told."""
    known = set()
    for name in (DIRECT, GUARDED, MIDDLE):
        known |= {(name, row["jti"]) for row in await rows(town, name, schema.tables["resource_revocations"])}
    own = [
        row
        for row in ledger.vouched
        if town.agent_name in (row["agent_sub"], row["root_sub"]) and row["exp"] > town.time()
    ]
    roots = {row["jti"] for row in own}
    granted = [row for row in ledger.granted if row["root_jti"] in roots and row["exp"] > town.time()]
    wanted = {(ledger.names[row["aud"]], row["jti"]) for row in own + granted}
    assert wanted
    return Withdrawn(frozenset(known), frozenset(wanted - known))


__all__ = ["Ledger", "Row", "Withdrawn", "read_ledger", "rows", "withdrawn"]
