"""Tables of the person server, beside `pending`. One schema for SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, String, Table, Text

from .database import schema
from .sealed import BY_ROW, Sealed
from .signing_keys import signing_key_table
from .untold import untold_table

__all__ = [
    "audit_log",
    "bindings",
    "consents",
    "directed_subs",
    "federated_tokens",
    "federations",
    "issued_tokens",
    "person_requests",
    "person_secrets",
    "presentations",
    "profiles",
    "revocations",
    "seen_agent_tokens",
    "signing_keys",
    "untold",
]

# What another party chose the length of (a jti, a scope value, an account) is never part of an index: PostgreSQL
# refuses long ones, and the refusal would be theirs to cause. Such rows are found by a digest, `key`.

bindings = Table(
    "person_bindings",
    schema,
    Column("agent_iss", Text, primary_key=True),
    Column("agent_sub", Text, primary_key=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("platform", Sealed("person_bindings.platform")),
    Column("device", Sealed("person_bindings.device")),
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
    Column("mission", String(64), index=True),
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
    Column("callback", Sealed("person_requests.callback")),
    Column("flow", String(64), unique=True),
    Column("resource_done", Boolean, nullable=False, default=False),
    # Of a request down a chain: the person the upstream token stands for, and the key of that token.
    Column("acting_for", Text, index=True),
    Column("upstream_key", String(64), index=True),
    Column("mission", String(64), index=True),
    # What others than the person decide about, where the request needs them.
    Column("approval", String(64), index=True),
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
    Column("presented_jti", String(128), index=True),
    Column("upstream_key", String(64), index=True),
    Column("root_iss", Text),
    Column("root_sub", Text),
    Column("issued_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("revocation", String(32)),
    Column("mission", String(64), index=True),
    Index("ix_person_issued_tokens_agent", "agent_iss", "agent_sub"),
)

#: Which access server each token of this server was presented to: whom to tell when it is revoked.
presentations = Table(
    "person_presentations",
    schema,
    Column("key", String(64), primary_key=True),
    Column("jti", String(128), nullable=False, index=True),
    Column("access_server", Text, nullable=False),
    Column("aud", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("exp", Float, nullable=False, index=True),
    Column("revocation", String(32)),
    Column("downstream", Text),
)

#: Auth tokens that access servers issued and this server handed out. Found by `(iss, jti)`, of which `key` is made.
federated_tokens = Table(
    "person_federated_tokens",
    schema,
    Column("key", String(64), primary_key=True),
    Column("iss", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("aud", Text, nullable=False),
    Column("exp", Float, nullable=False, index=True),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("subagent_sub", Text),
    Column("person_id", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("scope", Text),
    Column("presented_key", String(64), index=True),
    Column("upstream_key", String(64), index=True),
    Column("root_iss", Text),
    Column("root_sub", Text),
    Column("issued_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("mission", String(64), index=True),
    Index("ix_person_federated_tokens_agent", "agent_iss", "agent_sub"),
)

#: Where a request stands with the access server that decides about it. `tokens` is what must be presented there; it is
#: dropped as soon as the access server has taken the request, or the resource token in it has expired.
federations = Table(
    "person_federations",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("access_server", Text, nullable=False),
    Column("tokens", Sealed("person_federations.tokens")),
    Column("tokens_exp", Float, nullable=False, index=True),
    Column("location", Text),
    Column("waits_for", Sealed("person_federations.waits_for")),
    Column("due_at", Float, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("failures", Integer, nullable=False, default=0),
    Column("questions", Integer, nullable=False, default=0),
)

#: Who is still to be told that a token was revoked. A token presented to an access server is found as there.
untold = untold_table("person_untold")

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

signing_keys = signing_key_table("person_signing_keys")

person_secrets = Table(
    "person_secrets",
    schema,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False, info={BY_ROW: "name"}),
)

profiles = Table(
    "person_profiles",
    schema,
    Column("person_id", String(128), primary_key=True),
    Column("claims", Sealed("person_profiles.claims"), nullable=False),
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
    Column("details", Sealed("person_audit_log.details"), nullable=False),
)
