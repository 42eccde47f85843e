"""What Alembic runs for each command: on the connection it is given, inside the transaction that is open on it."""

from __future__ import annotations

from alembic import context

from aauthlib.store.migrations import VERSION_TABLE
from aauthlib.store.upgrading import whole_schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=whole_schema(),
    version_table=VERSION_TABLE,
    # SQLite changes a table by making it anew.
    render_as_batch=context.config.attributes.get("batch", True),
    compare_type=True,
)
context.run_migrations()
