"""notifications"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "person_notification_preferences",
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("quiet_from", sa.Integer(), nullable=True),
        sa.Column("quiet_until", sa.Integer(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("digest_minutes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person_notification_preferences")),
    )
    op.create_table(
        "person_notification_subscriptions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("target_key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("code_digest", sa.String(length=64), nullable=True),
        sa.Column("code_attempts", sa.Integer(), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("delivered_at", sa.Float(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_notification_subscriptions")),
        sa.UniqueConstraint("target_key", name=op.f("uq_person_notification_subscriptions_target_key")),
    )
    with op.batch_alter_table("person_notification_subscriptions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_person_notification_subscriptions_person_id"), ["person_id"], unique=False)

    op.create_table(
        "person_notification_outbox",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("subscription_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["person_notification_subscriptions.id"],
            name=op.f("fk_person_notification_outbox_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_notification_outbox")),
    )
    with op.batch_alter_table("person_notification_outbox", schema=None) as batch_op:
        batch_op.create_index("ix_person_notification_outbox_digest", ["digest"], unique=False)
        batch_op.create_index(batch_op.f("ix_person_notification_outbox_due_at"), ["due_at"], unique=False)
        batch_op.create_index("ix_person_notification_outbox_subscription", ["subscription_id"], unique=False)
