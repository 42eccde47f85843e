"""What a person answers whenever an access server asks the same in a mission."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "person_mission_answers",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("mission", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_mission_answers")),
    )
    with op.batch_alter_table("person_mission_answers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_mission_answers_mission"), ["mission"], unique=False)
