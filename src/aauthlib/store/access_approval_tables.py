"""Tables of what approvers decide about at an access server. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from .database import schema
from .sealed import Sealed

__all__ = ["access_approval_entries", "access_approvals"]

access_approvals = Table(
    "access_approvals",
    schema,
    Column("id", String(64), primary_key=True),
    Column("key", String(64), nullable=False, index=True),
    # The key while it waits: of two requests for the same that come at once, one opens it.
    Column("open_key", String(64), unique=True),
    Column("state", String(16), nullable=False),
    Column("ps", Text, nullable=False, index=True),
    Column("tenant_key", String(64), index=True),
    # Of person server, resource and person: by this it is withdrawn with what was issued for them.
    Column("person_key", String(64), nullable=False, index=True),
    Column("resource", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("subject", Text),
    Column("shown", Sealed("access_approvals.shown"), nullable=False),
    Column("approvers", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("step_since", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("decided_at", Float),
    Column("valid_until", Float),
    Column("decided_by", Sealed("access_approvals.decided_by"), nullable=False),
    Column("reason", Sealed("access_approvals.reason"), nullable=False),
    Column("entries", Integer, nullable=False),
    Index("ix_access_approvals_waiting", "state", "due_at"),
)

#: What happened to each, in order. A decision has a voter key: nobody decides twice in one round.
access_approval_entries = Table(
    "access_approval_entries",
    schema,
    Column("approval", String(64), ForeignKey("access_approvals.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("person_id", Text, index=True),
    Column("name", Sealed("access_approval_entries.name"), nullable=False),
    Column("text", Sealed("access_approval_entries.text"), nullable=False),
    Column("network", Sealed("access_approval_entries.network"), nullable=False),
    Column("browser", Sealed("access_approval_entries.browser"), nullable=False),
    Column("method", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("voter_key", String(64), unique=True),
)
