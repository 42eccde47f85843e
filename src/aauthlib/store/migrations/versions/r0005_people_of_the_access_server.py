"""The people of an access server, their invitations, and who decided what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "access_invitations",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("approves", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_invitations")),
    )
    with op.batch_alter_table("access_invitations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_invitations_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "access_people",
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("approves", sa.Text(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_access_people_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_access_people")),
    )
    with op.batch_alter_table("access_decisions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("decided_by", sa.String(length=64), server_default="", nullable=False))
