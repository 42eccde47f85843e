"""The turns of a conversation, and whom to tell of a revocation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "access_untold",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("to_access_server", sa.Boolean(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_access_untold")),
    )
    with op.batch_alter_table("access_untold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_untold_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_access_untold_exp"), ["exp"], unique=False)
        batch_op.create_index(batch_op.f("ix_access_untold_jti"), ["jti"], unique=False)

    op.create_table(
        "person_turns",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "number", name=op.f("pk_person_turns")),
    )
    op.create_table(
        "person_untold",
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("to_access_server", sa.Boolean(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_untold")),
    )
    with op.batch_alter_table("person_untold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_untold_due_at"), ["due_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_untold_exp"), ["exp"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_untold_jti"), ["jti"], unique=False)
