"""What approvers decide about, who is in which group of an organisation, and who is away."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "person_approvals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("open_key", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=True),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("root_iss", sa.Text(), nullable=True),
        sa.Column("root_sub", sa.Text(), nullable=True),
        sa.Column("mission", sa.String(length=64), nullable=True),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("step_since", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("agreed", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("decided_at", sa.Float(), nullable=True),
        sa.Column("valid_until", sa.Float(), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_approvals")),
        sa.UniqueConstraint("open_key", name=op.f("uq_person_approvals_open_key")),
    )
    with op.batch_alter_table("person_approvals", schema=None) as batch_op:
        batch_op.create_index("ix_person_approvals_agent", ["agent_iss", "agent_sub"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_approvals_key"), ["key"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_approvals_mission"), ["mission"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_approvals_person_id"), ["person_id"], unique=False)
        batch_op.create_index("ix_person_approvals_waiting", ["state", "tenant", "due_at"], unique=False)

    op.create_table(
        "person_absences",
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("delegate", sa.String(length=32), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delegate"], ["account.person_id"], name=op.f("fk_person_absences_delegate"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_person_absences_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person_absences")),
    )
    with op.batch_alter_table("person_absences", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_absences_delegate"), ["delegate"], unique=False)

    op.create_table(
        "person_approval_entries",
        sa.Column("approval", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("seat", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("voter_key", sa.String(length=64), nullable=True),
        sa.Column("seat_key", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["approval"], ["person_approvals.id"], name=op.f("fk_person_approval_entries_approval"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("approval", "number", name=op.f("pk_person_approval_entries")),
        sa.UniqueConstraint("seat_key", name=op.f("uq_person_approval_entries_seat_key")),
        sa.UniqueConstraint("voter_key", name=op.f("uq_person_approval_entries_voter_key")),
    )
    with op.batch_alter_table("person_approval_entries", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_approval_entries_person_id"), ["person_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_approval_entries_seat"), ["seat"], unique=False)

    op.create_table(
        "tenant_group_member",
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("added_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["tenant_member.person_id"],
            name=op.f("fk_tenant_group_member_person_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("person_id", "name", name=op.f("pk_tenant_group_member")),
    )
    with op.batch_alter_table("person_requests", schema=None) as batch_op:
        batch_op.add_column(sa.Column("approval", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_person_requests_approval"), ["approval"], unique=False)
