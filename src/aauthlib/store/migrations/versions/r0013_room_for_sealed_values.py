"""Room for values that are encrypted at rest, which are longer than the plain ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COLUMNS = (
    ("account", "display_name", 100, False),
    ("account", "email", 254, True),
    ("passkey", "name", 64, False),
    ("session", "browser", 100, False),
    ("session", "place", 64, False),
    ("person_approval_entries", "network", 64, False),
    ("person_approval_entries", "browser", 100, False),
    ("access_approval_entries", "name", 64, False),
    ("access_approval_entries", "network", 64, False),
    ("access_approval_entries", "browser", 100, False),
)


def upgrade() -> None:
    for table, column, length, nullable in _COLUMNS:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column(
                column, existing_type=sa.String(length=length), type_=sa.Text(), existing_nullable=nullable
            )
    with op.batch_alter_table("session", schema=None) as batch_op:
        # A default has a type, too.
        batch_op.alter_column("place", existing_type=sa.Text(), server_default="", existing_nullable=False)
