"""Missions with their logs, and which mission a request, a consent or a token belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "person_mission_log",
        sa.Column("mission", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=16), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("s256", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("mission", "number", name=op.f("pk_person_mission_log")),
    )
    op.create_table(
        "person_missions",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("s256", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("approved_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("terminated_at", sa.Float(), nullable=True),
        sa.Column("termination_reason", sa.String(length=64), nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_missions")),
        sa.UniqueConstraint("s256", name=op.f("uq_person_missions_s256")),
    )
    with op.batch_alter_table("person_missions", schema=None) as batch_op:
        batch_op.create_index("ix_person_missions_agent", ["agent_iss", "agent_sub"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_missions_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_missions_person_id"), ["person_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_missions_terminated_at"), ["terminated_at"], unique=False)

    with op.batch_alter_table("person_consents", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mission", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_person_consents_mission"), ["mission"], unique=False)

    with op.batch_alter_table("person_federated_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mission", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_person_federated_tokens_mission"), ["mission"], unique=False)

    with op.batch_alter_table("person_issued_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mission", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_person_issued_tokens_mission"), ["mission"], unique=False)

    with op.batch_alter_table("person_requests", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mission", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_person_requests_mission"), ["mission"], unique=False)
