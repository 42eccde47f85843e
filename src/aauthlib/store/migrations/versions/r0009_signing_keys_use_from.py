"""From when each signing key signs: it is published before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("access_signing_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("use_from", sa.Float(), nullable=True))

    with op.batch_alter_table("person_signing_keys", schema=None) as batch_op:
        batch_op.add_column(sa.Column("use_from", sa.Float(), nullable=True))
