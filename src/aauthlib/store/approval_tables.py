"""Tables of what approvers decide about at a person server. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from .database import schema
from .sealed import Sealed

__all__ = ["absences", "approval_entries", "approvals", "group_members"]

approvals = Table(
    "person_approvals",
    schema,
    Column("id", String(64), primary_key=True),
    Column("key", String(64), nullable=False, index=True),
    # The key while it waits: of two requests for the same that come at once, one opens it.
    Column("open_key", String(64), unique=True),
    Column("state", String(16), nullable=False),
    Column("person_id", Text, nullable=False, index=True),
    Column("tenant", String(64)),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("root_iss", Text),
    Column("root_sub", Text),
    Column("mission", String(64), index=True),
    Column("request", Sealed("person_approvals.request"), nullable=False),
    Column("course", Sealed("person_approvals.course"), nullable=False),
    Column("version", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("step_since", Float, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("agreed", Sealed("person_approvals.agreed")),
    Column("created_at", Float, nullable=False),
    Column("decided_at", Float),
    Column("valid_until", Float),
    Column("entries", Integer, nullable=False),
    Index("ix_person_approvals_waiting", "state", "tenant", "due_at"),
    Index("ix_person_approvals_agent", "agent_iss", "agent_sub"),
)

#: What happened to each, in order. A decision has both keys: nobody decides twice, and nobody's place is taken twice.
approval_entries = Table(
    "person_approval_entries",
    schema,
    Column("approval", String(64), ForeignKey("person_approvals.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("person_id", Text, index=True),
    Column("seat", Text, index=True),
    Column("text", Sealed("person_approval_entries.text"), nullable=False),
    Column("network", Sealed("person_approval_entries.network"), nullable=False),
    Column("browser", Sealed("person_approval_entries.browser"), nullable=False),
    Column("method", String(16), nullable=False),
    Column("version", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("voter_key", String(64), unique=True),
    Column("seat_key", String(64), unique=True),
)

#: Who of an organisation is in which of its groups. Who leaves the organisation is in none.
group_members = Table(
    "tenant_group_member",
    schema,
    Column("person_id", String(32), ForeignKey("tenant_member.person_id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("added_at", Float, nullable=False),
)

#: Approvers who are away, and who decides in their place.
absences = Table(
    "person_absences",
    schema,
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), primary_key=True),
    Column("delegate", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
)
