"""Tables of the person server, beside `pending`. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from .database import schema

__all__ = [
    "audit_log",
    "bindings",
    "consents",
    "directed_subs",
    "issued_tokens",
    "person_requests",
    "person_secrets",
    "profiles",
    "revocations",
    "seen_agent_tokens",
    "signing_keys",
]

# What another party chose the length of (a jti, a scope value, an account) is never part of an index: PostgreSQL
# refuses long ones, and the refusal would be theirs to cause. Such rows are found by a digest, `key`.

bindings = Table(
    "person_bindings",
    schema,
    Column("agent_iss", Text, primary_key=True),
    Column("agent_sub", Text, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("platform", Text),
    Column("device", Text),
    Column("connected_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
)

consents = Table(
    "person_consents",
    schema,
    Column("key", String(64), primary_key=True),
    Column("person_id", Text, nullable=False),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("account", Text),
    Column("scope", Text, nullable=False),
    Column("granted_at", Float, nullable=False),
    Index("ix_person_consents_person", "person_id", "resource"),
)

#: Beside each pending request: what it is searched by, and the person's side of it.
person_requests = Table(
    "person_requests",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("subagent_sub", Text),
    Column("resource", Text, nullable=False),
    Column("resource_token", String(64), index=True),
    Column("person_id", Text, index=True),
    Column("callback", Text),
    Column("flow", String(64), unique=True),
    Column("resource_done", Boolean, nullable=False, default=False),
    Index("ix_person_requests_agent", "agent_iss", "agent_sub"),
)

issued_tokens = Table(
    "person_issued_tokens",
    schema,
    Column("jti", String(128), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("aud", Text, nullable=False),
    Column("exp", Float, nullable=False, index=True),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("subagent_sub", Text),
    Column("person_id", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("scope", Text),
    Column("presented_jti", String(128)),
    Column("issued_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("revocation", String(32)),
    Index("ix_person_issued_tokens_agent", "agent_iss", "agent_sub"),
)

seen_agent_tokens = Table(
    "person_seen_agent_tokens",
    schema,
    Column("key", String(64), primary_key=True),
    Column("sub", Text, nullable=False),
    Column("parent", Text),
    Column("exp", Float, nullable=False, index=True),
)

revocations = Table(
    "person_revocations",
    schema,
    Column("key", String(64), primary_key=True),
    Column("iss", Text, nullable=False, index=True),
    Column("exp", Float, nullable=False, index=True),
    Column("received_at", Float, nullable=False),
)

directed_subs = Table(
    "person_directed_subs",
    schema,
    Column("resource", Text, primary_key=True),
    Column("sub", String(64), primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("created_at", Float, nullable=False),
)

signing_keys = Table(
    "person_signing_keys",
    schema,
    Column("kid", String(128), primary_key=True),
    Column("jwk", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("retired_at", Float),
)

person_secrets = Table(
    "person_secrets",
    schema,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

profiles = Table(
    "person_profiles",
    schema,
    Column("person_id", String(128), primary_key=True),
    Column("claims", Text, nullable=False),
)

audit_log = Table(
    "person_audit_log",
    schema,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False, index=True),
    Column("person_id", Text, index=True),
    Column("action", String(64), nullable=False),
    Column("agent_iss", Text),
    Column("agent_sub", Text),
    Column("resource", Text),
    Column("result", Text, nullable=False, default=""),
    Column("details", Text, nullable=False),
)
