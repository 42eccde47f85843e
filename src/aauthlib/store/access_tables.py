"""Tables of the access server, beside `pending`. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from .database import schema
from .sealed import Sealed
from .signing_keys import signing_key_table
from .untold import untold_table

__all__ = [
    "billing",
    "bindings",
    "decisions",
    "exchanges",
    "grounds",
    "invitations",
    "issued_tokens",
    "people",
    "settlements",
    "signing_keys",
    "untold",
]

# What another party chose the length of (a jti, an account) is never part of an index: such rows are found by a digest.

#: Beside each pending token request: what it waits for and what it hangs on.
exchanges = Table(
    "access_exchanges",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("ps", Text, nullable=False, index=True),
    # Of person server and organisation, where the request is for somebody of one.
    Column("tenant_key", String(64), index=True),
    Column("presented", String(64), index=True),
    Column("root", String(64), index=True),
    Column("resource_token", String(64), index=True),
    Column("upstream", String(64), index=True),
    Column("learned", Sealed("access_exchanges.learned"), nullable=False),
    Column("terms", Sealed("access_exchanges.terms"), nullable=False),
    Column("step", Integer, nullable=False, default=0),
    # What it waits for, where that is for approvers to decide.
    Column("approval", String(64), index=True),
)

#: Tokens of other parties that something here hangs on, and those that were revoked here.
grounds = Table(
    "access_grounds",
    schema,
    Column("key", String(64), primary_key=True),
    Column("iss", Text, nullable=False, index=True),
    Column("exp", Float, nullable=False, index=True),
    Column("revoked_at", Float),
)

issued_tokens = Table(
    "access_issued_tokens",
    schema,
    Column("jti", String(128), primary_key=True),
    Column("ps", Text, nullable=False, index=True),
    Column("aud", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("exp", Float, nullable=False, index=True),
    Column("presented", String(64), nullable=False, index=True),
    Column("root", String(64), nullable=False, index=True),
    Column("root_iss", Text, nullable=False),
    Column("root_jti", Text, nullable=False),
    Column("root_exp", Float, nullable=False),
    Column("scope", Text),
    Column("issued_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("revocation", String(32)),
)

#: Resources that are still to be told that a token was revoked.
untold = untold_table("access_untold")

bindings = Table(
    "access_bindings",
    schema,
    Column("key", String(64), primary_key=True),
    Column("ps", Text, nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("bound_at", Float, nullable=False),
)

#: Person servers that a billing relationship exists with.
billing = Table(
    "access_billing",
    schema,
    Column("ps", Text, primary_key=True),
    Column("settled_at", Float, nullable=False),
)

#: Payments that were used, so that none is used twice.
settlements = Table(
    "access_settlements",
    schema,
    Column("key", String(64), primary_key=True),
    Column("at", Float, nullable=False, index=True),
)

signing_keys = signing_key_table("access_signing_keys")

#: Accounts with a role at the access server.
people = Table(
    "access_people",
    schema,
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("approves", Text, nullable=False),
    Column("since", Float, nullable=False),
)

invitations = Table(
    "access_invitations",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("approves", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

decisions = Table(
    "access_decisions",
    schema,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False, index=True),
    Column("ps", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("decision", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("decided_by", String(64), nullable=False, server_default=""),
    Index("ix_access_decisions_ps", "ps", "at"),
)
