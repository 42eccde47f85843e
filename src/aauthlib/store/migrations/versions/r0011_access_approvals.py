"""What approvers at an access server decide about, and which of it a request waits for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "access_approvals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("open_key", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("tenant_key", sa.String(length=64), nullable=True),
        sa.Column("person_key", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("approvers", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("step_since", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("decided_at", sa.Float(), nullable=True),
        sa.Column("valid_until", sa.Float(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_approvals")),
        sa.UniqueConstraint("open_key", name=op.f("uq_access_approvals_open_key")),
    )
    with op.batch_alter_table("access_approvals", schema=None) as batch_op:
        for name in ("key", "person_key", "ps", "tenant_key"):
            batch_op.create_index(batch_op.f(f"ix_access_approvals_{name}"), [name], unique=False)
        batch_op.create_index("ix_access_approvals_waiting", ["state", "due_at"], unique=False)

    op.create_table(
        "access_approval_entries",
        sa.Column("approval", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("voter_key", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["approval"],
            ["access_approvals.id"],
            name=op.f("fk_access_approval_entries_approval"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("approval", "number", name=op.f("pk_access_approval_entries")),
        sa.UniqueConstraint("voter_key", name=op.f("uq_access_approval_entries_voter_key")),
    )
    with op.batch_alter_table("access_approval_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_approval_entries_person_id"), ["person_id"], unique=False)

    with op.batch_alter_table("access_exchanges", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approval", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_access_exchanges_approval"), ["approval"], unique=False)
