"""Tables of a person server's notifications. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from .database import schema
from .sealed import Sealed

__all__ = ["notification_outbox", "notification_preferences", "notification_subscriptions"]

notification_subscriptions = Table(
    "person_notification_subscriptions",
    schema,
    Column("id", String(64), primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("channel", String(64), nullable=False),
    Column("target", Sealed("person_notification_subscriptions.target"), nullable=False),
    # The same place twice would be told twice.
    Column("target_key", String(64), nullable=False, unique=True),
    Column("name", Sealed("person_notification_subscriptions.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    # Of one that is not confirmed yet: the digest of the code that was sent there, and how often it was mistyped.
    Column("code_digest", String(64)),
    Column("code_attempts", Integer, nullable=False, default=0),
    Column("confirmed", Boolean, nullable=False),
    Column("delivered_at", Float),
    Column("failures", Integer, nullable=False, default=0),
)

notification_preferences = Table(
    "person_notification_preferences",
    schema,
    Column("person_id", Text, primary_key=True),
    Column("quiet_from", Integer),
    Column("quiet_until", Integer),
    Column("zone", Sealed("person_notification_preferences.zone"), nullable=False),
    Column("digest_minutes", Integer, nullable=False),
)

#: What is still to be said, written in the transaction that makes the request. Whoever says it holds a lease.
notification_outbox = Table(
    "person_notification_outbox",
    schema,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column(
        "subscription_id",
        String(64),
        ForeignKey("person_notification_subscriptions.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("digest", String(64), nullable=False),
    Column("due_at", Float, nullable=False, index=True),
    Column("lease_until", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Index("ix_person_notification_outbox_subscription", "subscription_id"),
    Index("ix_person_notification_outbox_digest", "digest"),
)
