"""Stores: SQLAlchemy Core tables on SQLite and PostgreSQL, behind the protocols the roles declare."""
