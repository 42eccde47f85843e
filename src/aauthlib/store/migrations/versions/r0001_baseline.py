"""The schema as it was when it began to be numbered.

A database from before that holds some of these tables already, depending on which roles ran on it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "access_billing",
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("settled_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("ps", name=op.f("pk_access_billing")),
        if_not_exists=True,
    )
    op.create_table(
        "access_bindings",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("bound_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_access_bindings")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_access_bindings_ps"), "access_bindings", ["ps"], unique=False, if_not_exists=True)
    op.create_table(
        "access_decisions",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("decision", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_decisions")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_access_decisions_at"), "access_decisions", ["at"], unique=False, if_not_exists=True)
    op.create_index("ix_access_decisions_ps", "access_decisions", ["ps", "at"], unique=False, if_not_exists=True)
    op.create_table(
        "access_exchanges",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("presented", sa.String(length=64), nullable=True),
        sa.Column("root", sa.String(length=64), nullable=True),
        sa.Column("resource_token", sa.String(length=64), nullable=True),
        sa.Column("upstream", sa.String(length=64), nullable=True),
        sa.Column("learned", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_access_exchanges")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_access_exchanges_presented"), "access_exchanges", ["presented"], unique=False, if_not_exists=True
    )
    op.create_index(op.f("ix_access_exchanges_ps"), "access_exchanges", ["ps"], unique=False, if_not_exists=True)
    op.create_index(
        op.f("ix_access_exchanges_resource_token"),
        "access_exchanges",
        ["resource_token"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(op.f("ix_access_exchanges_root"), "access_exchanges", ["root"], unique=False, if_not_exists=True)
    op.create_index(
        op.f("ix_access_exchanges_upstream"), "access_exchanges", ["upstream"], unique=False, if_not_exists=True
    )
    op.create_table(
        "access_grounds",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("iss", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_access_grounds")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_access_grounds_exp"), "access_grounds", ["exp"], unique=False, if_not_exists=True)
    op.create_index(op.f("ix_access_grounds_iss"), "access_grounds", ["iss"], unique=False, if_not_exists=True)
    op.create_table(
        "access_issued_tokens",
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("ps", sa.Text(), nullable=False),
        sa.Column("aud", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("presented", sa.String(length=64), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("root_iss", sa.Text(), nullable=False),
        sa.Column("root_jti", sa.Text(), nullable=False),
        sa.Column("root_exp", sa.Float(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.Column("revocation", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_access_issued_tokens")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_access_issued_tokens_exp"), "access_issued_tokens", ["exp"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_access_issued_tokens_presented"),
        "access_issued_tokens",
        ["presented"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_access_issued_tokens_ps"), "access_issued_tokens", ["ps"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_access_issued_tokens_root"), "access_issued_tokens", ["root"], unique=False, if_not_exists=True
    )
    op.create_table(
        "access_settlements",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_access_settlements")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_access_settlements_at"), "access_settlements", ["at"], unique=False, if_not_exists=True)
    op.create_table(
        "access_signing_keys",
        sa.Column("kid", sa.String(length=128), nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("retired_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_access_signing_keys")),
        if_not_exists=True,
    )
    op.create_table(
        "account",
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=100), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("password_hash", sa.String(length=256), nullable=True),
        sa.Column("user_handle", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_account")),
        sa.UniqueConstraint("number", name=op.f("uq_account_number")),
        sa.UniqueConstraint("user_handle", name=op.f("uq_account_user_handle")),
        sa.UniqueConstraint("username", name=op.f("uq_account_username")),
        if_not_exists=True,
    )
    op.create_table(
        "account_secret",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_account_secret")),
        if_not_exists=True,
    )
    op.create_table(
        "pending",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("requirement", sa.String(length=32), nullable=True),
        sa.Column("handle", sa.String(length=32), nullable=True),
        sa.Column("code_digest", sa.String(length=64), nullable=True),
        sa.Column("code_attempts", sa.Integer(), nullable=False),
        sa.Column("code_consumed", sa.Boolean(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pending")),
        sa.UniqueConstraint("handle", name=op.f("uq_pending_handle")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_pending_expires_at"), "pending", ["expires_at"], unique=False, if_not_exists=True)
    op.create_index(op.f("ix_pending_state"), "pending", ["state"], unique=False, if_not_exists=True)
    op.create_table(
        "person_audit_log",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=True),
        sa.Column("agent_sub", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_audit_log")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_person_audit_log_at"), "person_audit_log", ["at"], unique=False, if_not_exists=True)
    op.create_index(
        op.f("ix_person_audit_log_person_id"), "person_audit_log", ["person_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_bindings",
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("connected_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("agent_iss", "agent_sub", name=op.f("pk_person_bindings")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_bindings_person_id"), "person_bindings", ["person_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_consents",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("granted_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_consents")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_person_consents_person", "person_consents", ["person_id", "resource"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_directed_subs",
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("sub", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("resource", "sub", name=op.f("pk_person_directed_subs")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_directed_subs_person_id"),
        "person_directed_subs",
        ["person_id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_table(
        "person_federated_tokens",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("iss", sa.Text(), nullable=False),
        sa.Column("jti", sa.Text(), nullable=False),
        sa.Column("aud", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("subagent_sub", sa.Text(), nullable=True),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("presented_key", sa.String(length=64), nullable=True),
        sa.Column("upstream_key", sa.String(length=64), nullable=True),
        sa.Column("root_iss", sa.Text(), nullable=True),
        sa.Column("root_sub", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_federated_tokens")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_person_federated_tokens_agent",
        "person_federated_tokens",
        ["agent_iss", "agent_sub"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_federated_tokens_exp"), "person_federated_tokens", ["exp"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_person_federated_tokens_presented_key"),
        "person_federated_tokens",
        ["presented_key"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_federated_tokens_upstream_key"),
        "person_federated_tokens",
        ["upstream_key"],
        unique=False,
        if_not_exists=True,
    )
    op.create_table(
        "person_federations",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("access_server", sa.Text(), nullable=False),
        sa.Column("tokens", sa.Text(), nullable=True),
        sa.Column("tokens_exp", sa.Float(), nullable=False),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_person_federations")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_federations_tokens_exp"), "person_federations", ["tokens_exp"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_issued_tokens",
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("aud", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("subagent_sub", sa.Text(), nullable=True),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("presented_jti", sa.String(length=128), nullable=True),
        sa.Column("upstream_key", sa.String(length=64), nullable=True),
        sa.Column("root_iss", sa.Text(), nullable=True),
        sa.Column("root_sub", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.Column("revocation", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_person_issued_tokens")),
        if_not_exists=True,
    )
    op.create_index(
        "ix_person_issued_tokens_agent",
        "person_issued_tokens",
        ["agent_iss", "agent_sub"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_issued_tokens_exp"), "person_issued_tokens", ["exp"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_person_issued_tokens_presented_jti"),
        "person_issued_tokens",
        ["presented_jti"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_issued_tokens_upstream_key"),
        "person_issued_tokens",
        ["upstream_key"],
        unique=False,
        if_not_exists=True,
    )
    op.create_table(
        "person_presentations",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("jti", sa.String(length=128), nullable=False),
        sa.Column("access_server", sa.Text(), nullable=False),
        sa.Column("aud", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("revocation", sa.String(length=32), nullable=True),
        sa.Column("downstream", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_presentations")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_presentations_exp"), "person_presentations", ["exp"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_person_presentations_jti"), "person_presentations", ["jti"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_profiles",
        sa.Column("person_id", sa.String(length=128), nullable=False),
        sa.Column("claims", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person_profiles")),
        if_not_exists=True,
    )
    op.create_table(
        "person_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("subagent_sub", sa.Text(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("resource_token", sa.String(length=64), nullable=True),
        sa.Column("person_id", sa.Text(), nullable=True),
        sa.Column("callback", sa.Text(), nullable=True),
        sa.Column("flow", sa.String(length=64), nullable=True),
        sa.Column("resource_done", sa.Boolean(), nullable=False),
        sa.Column("acting_for", sa.Text(), nullable=True),
        sa.Column("upstream_key", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_person_requests")),
        sa.UniqueConstraint("flow", name=op.f("uq_person_requests_flow")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_requests_acting_for"), "person_requests", ["acting_for"], unique=False, if_not_exists=True
    )
    op.create_index(
        "ix_person_requests_agent", "person_requests", ["agent_iss", "agent_sub"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_person_requests_person_id"), "person_requests", ["person_id"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_person_requests_resource_token"),
        "person_requests",
        ["resource_token"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_requests_upstream_key"), "person_requests", ["upstream_key"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_revocations",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("iss", sa.Text(), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("received_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_revocations")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_person_revocations_exp"), "person_revocations", ["exp"], unique=False, if_not_exists=True)
    op.create_index(op.f("ix_person_revocations_iss"), "person_revocations", ["iss"], unique=False, if_not_exists=True)
    op.create_table(
        "person_secrets",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_person_secrets")),
        if_not_exists=True,
    )
    op.create_table(
        "person_seen_agent_tokens",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_person_seen_agent_tokens")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_person_seen_agent_tokens_exp"), "person_seen_agent_tokens", ["exp"], unique=False, if_not_exists=True
    )
    op.create_table(
        "person_signing_keys",
        sa.Column("kid", sa.String(length=128), nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("retired_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_person_signing_keys")),
        if_not_exists=True,
    )
    op.create_table(
        "provider_delegations",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_provider_delegations")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_provider_delegations_exp"), "provider_delegations", ["exp"], unique=False, if_not_exists=True
    )
    op.create_table(
        "provider_enrollments",
        sa.Column("thumbprint", sa.String(length=43), nullable=False),
        sa.Column("agent", sa.String(length=520), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=True),
        sa.Column("ps", sa.Text(), nullable=True),
        sa.Column("enrolled_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("thumbprint", name=op.f("pk_provider_enrollments")),
        sa.UniqueConstraint("agent", name=op.f("uq_provider_enrollments_agent")),
        if_not_exists=True,
    )
    op.create_table(
        "provider_keys",
        sa.Column("kid", sa.String(length=255), nullable=False),
        sa.Column("jwk", sa.Text(), nullable=False),
        sa.Column("published_at", sa.Float(), nullable=False),
        sa.Column("use_from", sa.Float(), nullable=False),
        sa.Column("follows", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_provider_keys")),
        sa.UniqueConstraint("follows", name=op.f("uq_provider_keys_follows")),
        if_not_exists=True,
    )
    op.create_table(
        "received_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_received_requests")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_received_requests_until"), "received_requests", ["until"], unique=False, if_not_exists=True
    )
    op.create_table(
        "resource_held",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("agent_jkt", sa.String(length=64), nullable=False),
        sa.Column("method", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("token_expires_at", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("jti", sa.Text(), nullable=True),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("retain_until", sa.Float(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("result_headers", sa.Text(), nullable=False),
        sa.Column("result_body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_resource_held")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_held_agent_jkt"), "resource_held", ["agent_jkt"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_resource_held_expires_at"), "resource_held", ["expires_at"], unique=False, if_not_exists=True
    )
    op.create_table(
        "resource_persons",
        sa.Column("iss", sa.String(length=2048), nullable=False),
        sa.Column("sub", sa.String(length=4096), nullable=False),
        sa.Column("tenant", sa.Text(), nullable=True),
        sa.Column("first_seen", sa.Float(), nullable=False),
        sa.Column("last_seen", sa.Float(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("iss", "sub", name=op.f("pk_resource_persons")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_persons_user_id"), "resource_persons", ["user_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "resource_revocations",
        sa.Column("iss", sa.String(length=2048), nullable=False),
        sa.Column("jti", sa.String(length=4096), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("iss", "jti", name=op.f("pk_resource_revocations")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_revocations_until"), "resource_revocations", ["until"], unique=False, if_not_exists=True
    )
    op.create_table(
        "resource_sessions",
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("agent_iss", sa.Text(), nullable=False),
        sa.Column("agent_sub", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_resource_sessions")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_sessions_expires_at"), "resource_sessions", ["expires_at"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_resource_sessions_user_id"), "resource_sessions", ["user_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "sign_in_attempt",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sign_in_attempt")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_sign_in_attempt_started_at"), "sign_in_attempt", ["started_at"], unique=False, if_not_exists=True
    )
    op.create_table(
        "tenant",
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_tenant")),
        if_not_exists=True,
    )
    op.create_table(
        "used_challenge",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_used_challenge")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_used_challenge_expires_at"), "used_challenge", ["expires_at"], unique=False, if_not_exists=True
    )
    op.create_table(
        "passkey",
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_passkey_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_passkey")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_passkey_person_id"), "passkey", ["person_id"], unique=False, if_not_exists=True)
    op.create_table(
        "provider_tokens",
        sa.Column("jti", sa.String(length=64), nullable=False),
        sa.Column("thumbprint", sa.String(length=43), nullable=False),
        sa.Column("agent", sa.String(length=520), nullable=False),
        sa.Column("ps", sa.Text(), nullable=True),
        sa.Column("exp", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["thumbprint"], ["provider_enrollments.thumbprint"], name=op.f("fk_provider_tokens_thumbprint")
        ),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_provider_tokens")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_provider_tokens_exp"), "provider_tokens", ["exp"], unique=False, if_not_exists=True)
    op.create_index(
        op.f("ix_provider_tokens_thumbprint"), "provider_tokens", ["thumbprint"], unique=False, if_not_exists=True
    )
    op.create_table(
        "recovery_code",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_recovery_code_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_recovery_code")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_recovery_code_person_id"), "recovery_code", ["person_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "resource_session_tokens",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("issued_at", sa.Float(), nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.Column("valid_until", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["resource_sessions.session_id"],
            name=op.f("fk_resource_session_tokens_session_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_resource_session_tokens")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_session_tokens_session_id"),
        "resource_session_tokens",
        ["session_id"],
        unique=False,
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_resource_session_tokens_valid_until"),
        "resource_session_tokens",
        ["valid_until"],
        unique=False,
        if_not_exists=True,
    )
    op.create_table(
        "session",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("browser", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("place", sa.String(length=64), server_default="", nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("authenticated_at", sa.Float(), server_default="0", nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_session_person_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_session")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_session_expires_at"), "session", ["expires_at"], unique=False, if_not_exists=True)
    op.create_index(op.f("ix_session_person_id"), "session", ["person_id"], unique=False, if_not_exists=True)
    op.create_table(
        "tenant_identity",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("iss", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_tenant_identity_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenant.tenant"], name=op.f("fk_tenant_identity_tenant")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tenant_identity")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_tenant_identity_person_id"), "tenant_identity", ["person_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "tenant_invitation",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenant.tenant"], name=op.f("fk_tenant_invitation_tenant")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_tenant_invitation")),
        if_not_exists=True,
    )
    op.create_index(
        op.f("ix_tenant_invitation_expires_at"), "tenant_invitation", ["expires_at"], unique=False, if_not_exists=True
    )
    op.create_index(
        op.f("ix_tenant_invitation_tenant"), "tenant_invitation", ["tenant"], unique=False, if_not_exists=True
    )
    op.create_table(
        "tenant_member",
        sa.Column("person_id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("joined_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["account.person_id"], name=op.f("fk_tenant_member_person_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenant.tenant"], name=op.f("fk_tenant_member_tenant")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_tenant_member")),
        if_not_exists=True,
    )
    op.create_index(op.f("ix_tenant_member_tenant"), "tenant_member", ["tenant"], unique=False, if_not_exists=True)
