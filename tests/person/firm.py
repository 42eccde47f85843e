"""An organisation at the person server of the tests: Alice's agent asks; Bo, Cem and Dee of finance decide.

Eve is in a group of that name too, in another organisation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from aauthlib.http import Response
from aauthlib.person.policy_rules import PersonRules
from aauthlib.store.accounts import account_table
from aauthlib.store.approval_records import Approval, Origin
from aauthlib.store.approval_tables import group_members
from aauthlib.store.database import Database
from aauthlib.store.organisation_tables import members, tenants

from .parties import ALICE, Agent, World, open_world

BO, CEM, DEE, EVE = "bo-id", "cem-id", "dee-id", "eve-id"
FROM = Origin(network="203.0.113.0/24", browser="Firefox on Linux", method="passkey")
PEOPLE = {"alice": (ALICE, "corp"), "bo": (BO, "corp"), "cem": (CEM, "corp"), "dee": (DEE, "corp"), "eve": (EVE, "lab")}


def approvers(when: str = "", more: str = "", step: str = 'groups = ["finance"]\nneeded = 2') -> str:
    """A rule that asks approvers."""
    return f'[[rule]]\nname = "finance"\ndecision = "approvers"\n{more}\n[rule.when]\n{when}\n[[rule.step]]\n{step}\n'


@asynccontextmanager
async def open_firm(folder: Path, rules: str, *, database: Database | None = None) -> AsyncIterator[World]:
    """The world with this organisation, under a policy in TOML."""
    async with open_world(folder, database=database, rules=PersonRules.read(rules)) as world:
        now = world.clock()
        async with world.database.transaction() as connection:
            for tenant in ("corp", "lab"):
                await connection.execute(insert(tenants).values(tenant=tenant, name=tenant))
            for number, (name, (person_id, tenant)) in enumerate(PEOPLE.items()):
                account = {"username": name, "display_name": name.title(), "user_handle": name.encode()}
                await connection.execute(
                    insert(account_table).values(person_id=person_id, number=number, created_at=now, **account)
                )
                role = "administrator" if name == "alice" else "member"
                await connection.execute(
                    insert(members).values(person_id=person_id, tenant=tenant, role=role, joined_at=now)
                )
                if name != "alice":
                    await connection.execute(
                        insert(group_members).values(person_id=person_id, name="finance", added_at=now)
                    )
        yield world


def follow(world: World, rules: str) -> None:
    """Another policy decides from now on."""
    world.server.rules = PersonRules.read(rules)


async def only_approval(world: World) -> Approval:
    """The one that waits."""
    (approval,) = await world.server.store.waiting_approvals()
    return approval


async def vote(world: World, who: str, *, yes: bool = True, comment: str = "", **changes: Any) -> Approval:
    """Somebody decides about the one that waits."""
    approval = changes.pop("approval", None) or await only_approval(world)
    return await world.server.decide_approval(
        approval.id, person_id=who, yes=yes, comment=comment, round_=changes.pop("round_", approval.round), origin=FROM
    )


async def connected(world: World, rules: str) -> Agent:
    """Alice's agent, that she has let name her at the calendar, before `rules` decide."""
    now = world.server.rules
    follow(world, "")
    agent = world.agent()
    await agent.person_token()
    world.server.rules = now
    follow(world, rules)
    return agent


def requirement(response: Response) -> str:
    return response.headers.get("aauth-requirement") or ""
