"""Tables of a person server's organisations. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, String, Table, Text

from .database import schema

__all__ = ["identities", "invitations", "members", "tenants"]

tenants = Table(
    "tenant",
    schema,
    Column("tenant", String(64), primary_key=True),
    Column("name", String(100), nullable=False),
)

#: The key is the person alone: an account belongs to one organisation at most.
members = Table(
    "tenant_member",
    schema,
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), primary_key=True),
    Column("tenant", String(64), ForeignKey("tenant.tenant"), nullable=False, index=True),
    Column("role", String(16), nullable=False),
    Column("joined_at", Float, nullable=False),
)

invitations = Table(
    "tenant_invitation",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("tenant", String(64), ForeignKey("tenant.tenant"), nullable=False, index=True),
    Column("role", String(16), nullable=False),
    Column("note", String(100), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

#: Identities at organisations' providers. `sub` is theirs to choose, so a row is found by a digest of both.
identities = Table(
    "tenant_identity",
    schema,
    Column("key", String(64), primary_key=True),
    Column("iss", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("tenant", String(64), ForeignKey("tenant.tenant"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
)
