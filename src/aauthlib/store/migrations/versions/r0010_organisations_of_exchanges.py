"""Which organisation a request at an access server is for, so that one of them leaves room for the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("access_exchanges", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tenant_key", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_access_exchanges_tenant_key"), ["tenant_key"], unique=False)
