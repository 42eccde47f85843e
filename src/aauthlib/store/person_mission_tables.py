"""Tables of missions (#missions), beside those of the person server."""

from __future__ import annotations

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from .database import schema
from .sealed import Sealed, SealedBytes

__all__ = ["mission_answers", "mission_log", "missions"]

#: Found by `key`, a digest of agent and `s256`: for another agent's mission there is nothing to find, so looking for it
#: takes no longer and no shorter than for one that never was (#mission-endpoint-errors).
missions = Table(
    "person_missions",
    schema,
    Column("key", String(64), primary_key=True),
    Column("s256", String(64), nullable=False, unique=True),
    Column("person_id", Text, nullable=False, index=True),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("blob", SealedBytes("person_missions.blob"), nullable=False),
    Column("approved_at", Float, nullable=False),
    Column("expires_at", Float, index=True),
    Column("terminated_at", Float, index=True),
    Column("termination_reason", String(64)),
    Column("entries", Integer, nullable=False, default=0),
    Index("ix_person_missions_agent", "agent_iss", "agent_sub"),
)

#: Answers that the person gave to an access server for as often as it asks the same in the mission; gone with it.
mission_answers = Table(
    "person_mission_answers",
    schema,
    Column("key", String(64), primary_key=True),
    Column("mission", String(64), nullable=False, index=True),
    Column("answer", Sealed("person_mission_answers.answer"), nullable=False),
    Column("at", Float, nullable=False),
)

#: `content` is the bytes as persisted: `s256` of an accepted update is their digest (#mission-update).
mission_log = Table(
    "person_mission_log",
    schema,
    Column("mission", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", String(16), nullable=False),
    Column("content", SealedBytes("person_mission_log.content"), nullable=False),
    Column("s256", String(64)),
)
