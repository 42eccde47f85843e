"""What a person server's database holds on a person, table by table: for the export, and for what deleting leaves.

Every table of the schema is named here: in `PERSONAL` with how its rows are found, shown and erased, or in `IMPERSONAL`
with the reason why it holds nothing that must go. A table that nobody decided about fails a test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import ColumnElement, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..base64url import b64url_encode
from .access_approval_tables import access_approval_entries
from .access_tables import people
from .account_sign_ins import recovery_code_table, session_table
from .accounts import account_table, passkey_table
from .approval_tables import absences, approval_entries, approvals, group_members
from .notification_tables import notification_outbox, notification_preferences, notification_subscriptions
from .organisation_tables import identities, members
from .pending import pending_table
from .person_conversations import turns
from .person_mission_tables import mission_answers, mission_log, missions
from .person_tables import (
    audit_log,
    bindings,
    consents,
    directed_subs,
    federated_tokens,
    issued_tokens,
    person_requests,
    profiles,
)

__all__ = ["IMPERSONAL", "PERSONAL", "READABLE", "Held", "export_of"]

#: What deleting an account does to the rows: they go, or the person in them becomes a pseudonym nobody can resolve.
Ending: TypeAlias = Literal["deleted", "pseudonymised"]


@dataclass(frozen=True, slots=True)
class Held:
    """How one table holds a person's data."""

    table: Table
    of: Callable[[str], ColumnElement[bool]]
    """The rows of a person."""
    ending: Ending
    hidden: frozenset[str] = frozenset()
    """Columns that are secrets, or mean nothing outside: not exported."""
    json: frozenset[str] = frozenset()
    """Columns of JSON text."""


def _column(table: Table) -> Callable[[str], ColumnElement[bool]]:
    return lambda person_id: table.c.person_id == person_id


def _request_of(person_id: str) -> ColumnElement[bool]:
    return or_(person_requests.c.person_id == person_id, person_requests.c.acting_for == person_id)


def _pending_of(person_id: str) -> ColumnElement[bool]:
    return pending_table.c.digest.in_(select(person_requests.c.digest).where(_request_of(person_id)))


def _turns_of(person_id: str) -> ColumnElement[bool]:
    return turns.c.digest.in_(select(person_requests.c.digest).where(_request_of(person_id)))


def _outbox_of(person_id: str) -> ColumnElement[bool]:
    mine = select(notification_subscriptions.c.id).where(notification_subscriptions.c.person_id == person_id)
    return notification_outbox.c.subscription_id.in_(mine)


def _decided_by(person_id: str) -> ColumnElement[bool]:
    return or_(approval_entries.c.person_id == person_id, approval_entries.c.seat == person_id)


def _away_of(person_id: str) -> ColumnElement[bool]:
    return or_(absences.c.person_id == person_id, absences.c.delegate == person_id)


def _log_of(person_id: str) -> ColumnElement[bool]:
    return mission_log.c.mission.in_(select(missions.c.key).where(missions.c.person_id == person_id))


def _answers_of(person_id: str) -> ColumnElement[bool]:
    return mission_answers.c.mission.in_(select(missions.c.s256).where(missions.c.person_id == person_id))


PERSONAL: tuple[Held, ...] = (
    Held(account_table, _column(account_table), "deleted", frozenset({"password_hash", "user_handle", "number"})),
    Held(passkey_table, _column(passkey_table), "deleted", frozenset({"public_key", "sign_count"})),
    Held(session_table, _column(session_table), "deleted", frozenset({"digest"})),
    Held(recovery_code_table, _column(recovery_code_table), "deleted", frozenset({"digest"})),
    Held(members, _column(members), "deleted"),
    # Of an access server that shares the database.
    Held(people, _column(people), "deleted", json=frozenset({"approves"})),
    Held(access_approval_entries, _column(access_approval_entries), "pseudonymised", frozenset({"voter_key"})),
    Held(identities, _column(identities), "deleted", frozenset({"key"})),
    Held(profiles, _column(profiles), "deleted", json=frozenset({"claims"})),
    Held(bindings, _column(bindings), "deleted"),
    Held(consents, _column(consents), "deleted", frozenset({"key"})),
    Held(missions, _column(missions), "deleted", frozenset({"key"})),
    Held(mission_log, _log_of, "deleted", frozenset({"mission"})),
    Held(mission_answers, _answers_of, "deleted", frozenset({"key"})),
    # Before the approvals: of those on others' agents, what this person decided is kept under a pseudonym.
    Held(
        approval_entries,
        _decided_by,
        "pseudonymised",
        frozenset({"voter_key", "seat_key"}),
    ),
    Held(
        approvals,
        _column(approvals),
        "deleted",
        frozenset({"key", "open_key"}),
        frozenset({"request", "course", "agreed"}),
    ),
    Held(group_members, _column(group_members), "deleted"),
    Held(absences, _away_of, "deleted"),
    Held(directed_subs, _column(directed_subs), "deleted"),
    Held(notification_outbox, _outbox_of, "deleted", frozenset({"id", "digest", "lease_until"})),
    Held(
        notification_subscriptions,
        _column(notification_subscriptions),
        "deleted",
        # The keys of a browser; the address itself is in the name.
        frozenset({"target", "target_key", "code_digest", "code_attempts"}),
    ),
    Held(notification_preferences, _column(notification_preferences), "deleted"),
    Held(issued_tokens, _column(issued_tokens), "pseudonymised", frozenset({"upstream_key"})),
    Held(
        federated_tokens,
        _column(federated_tokens),
        "pseudonymised",
        frozenset({"key", "presented_key", "upstream_key"}),
    ),
    Held(
        person_requests, _request_of, "pseudonymised", frozenset({"digest", "resource_token", "upstream_key", "flow"})
    ),
    Held(
        pending_table,
        _pending_of,
        "pseudonymised",
        frozenset({"digest", "handle", "code_digest"}),
        frozenset({"request", "decision"}),
    ),
    Held(turns, _turns_of, "deleted", frozenset({"digest"}), frozenset({"details"})),
    Held(audit_log, _column(audit_log), "pseudonymised", json=frozenset({"details"})),
)

_FOUND_BY = "rows are found by it, or compared with it"
_OURS = "a word of this server's own"
_DIGEST = "a digest, or a random identifier"
#: Columns of those tables that stay readable where the rest is encrypted (`sealed`), with the reason.
READABLE: Mapping[str, str] = {
    **dict.fromkeys(("person_id", "username", "tenant", "acting_for", "seat", "delegate"), _FOUND_BY),
    **dict.fromkeys(("agent_iss", "agent_sub", "subagent_sub", "root_iss", "root_sub", "owner"), _FOUND_BY),
    **dict.fromkeys(
        ("resource", "account", "scope", "aud", "iss", "sub", "jti", "presented_jti", "mission"), _FOUND_BY
    ),
    **dict.fromkeys(("kind", "state", "role", "method", "channel", "action", "result", "actor", "requirement"), _OURS),
    **dict.fromkeys(("termination_reason", "revocation", "version", "rule", "approves"), _OURS),
    **dict.fromkeys(
        ("digest", "key", "s256", "id", "handle", "flow", "code_digest", "approval", "answer_key"), _DIGEST
    ),
    **dict.fromkeys(("open_key", "voter_key", "seat_key", "target_key", "presented_key", "upstream_key"), _DIGEST),
    **dict.fromkeys(("subscription_id", "user_handle", "credential_id", "resource_token"), _DIGEST),
    "tenant_group_member.name": "of a group",
    "password_hash": "says nothing of the password",
    "public_key": "of a passkey, and public",
}

_OTHER_ROLE = (
    "another role's: it knows people by the pairwise identifier they were given, and ends them by its own rules"
)
IMPERSONAL: Mapping[str, str] = {
    "account_secret": "keys of the server",
    "used_challenge": "digests of random challenges, five minutes",
    "sign_in_attempt": "digests of what was tried to sign in with, fifteen minutes",
    "received_requests": "digests of signatures, for as long as they are fresh",
    "tenant": "organisations",
    "tenant_invitation": "belongs to the organisation: its note is the administrators', seven days at most",
    "person_secrets": "keys of the server",
    "person_signing_keys": "keys of the server",
    "person_revocations": "digests of tokens of others",
    "person_seen_agent_tokens": "agent tokens, until they expire; no person in them",
    "person_presentations": "which access server a token went to, by the pairwise identifier, an hour at most",
    "person_untold": "whom to tell again that a token is revoked, by the token's identifier, until it expires",
    "person_federations": "where a request stands with an access server; goes with the request, its tokens at once",
    **dict.fromkeys(
        (
            "access_approvals",
            "access_billing",
            "access_bindings",
            "access_decisions",
            "access_exchanges",
            "access_grounds",
            "access_invitations",
            "access_issued_tokens",
            "access_settlements",
            "access_signing_keys",
            "access_untold",
            "provider_delegations",
            "provider_enrollments",
            "provider_keys",
            "provider_tokens",
            "resource_held",
            "resource_invocations",
            "resource_persons",
            "resource_revocations",
            "resource_session_tokens",
            "resource_sessions",
        ),
        _OTHER_ROLE,
    ),
}


async def export_of(connection: AsyncConnection, person_id: str) -> dict[str, list[dict[str, Any]]]:
    """Every row on a person, by table, without secrets; in JSON types."""
    found = {}
    for held in PERSONAL:
        rows = (await connection.execute(select(held.table).where(held.of(person_id)))).mappings()
        found[held.table.name] = [_exported(held, dict(row)) for row in rows]
    return found


def _exported(held: Held, row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value)
        if name in held.json and value
        else b64url_encode(value)
        if isinstance(value, bytes)
        else value
        for name, value in row.items()
        if name not in held.hidden
    }
