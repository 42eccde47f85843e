"""People's accounts in a database: who may sign in at the server, by what, and who is signed in now.

Secrets are kept as digests where only comparison is needed (sessions, challenges) and as argon2 hashes (passwords).
Knows nothing of pages, cookies or agents. Sections: #ps-approval-endpoint-auth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from .account_records import Account, AccountTaken, Passkey
from .account_sign_ins import SQLSignIns, session_table
from .database import Database, schema
from .organisation_tables import identities
from .sealed import BY_ROW, Sealed

__all__ = ["SQLAccountStore", "account_table", "challenge_table", "insert_account", "passkey_table"]

account_table = Table(
    "account",
    schema,
    Column("person_id", String(32), primary_key=True),
    # 1, 2, 3...: two first accounts made at the same time collide here, whatever the database.
    Column("number", Integer, nullable=False, unique=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("display_name", Sealed("account.display_name"), nullable=False),
    Column("email", Sealed("account.email")),
    Column("password_hash", String(256)),
    Column("user_handle", LargeBinary, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
)

passkey_table = Table(
    "passkey",
    schema,
    Column("credential_id", LargeBinary, primary_key=True),
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", Integer, nullable=False),
    Column("backed_up", Boolean, nullable=False),
    Column("name", Sealed("passkey.name"), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float),
)

#: Passkey challenges that were answered, until they would have expired: each is good for one answer.
challenge_table = Table(
    "used_challenge",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("expires_at", Float, nullable=False, index=True),
)

#: Keys of the server's own that every process of it shares.
secret_table = Table(
    "account_secret",
    schema,
    Column("name", String(32), primary_key=True),
    Column("value", LargeBinary, nullable=False, info={BY_ROW: "name"}),
)


def _account(row: Any) -> Account:
    return Account(
        person_id=row.person_id,
        username=row.username,
        display_name=row.display_name,
        email=row.email,
        password_hash=row.password_hash,
        user_handle=row.user_handle,
        created_at=row.created_at,
    )


def _passkey(row: Any) -> Passkey:
    return Passkey(
        credential_id=row.credential_id,
        person_id=row.person_id,
        public_key=row.public_key,
        sign_count=row.sign_count,
        backed_up=bool(row.backed_up),
        name=row.name,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def _passkey_values(passkey: Passkey) -> dict[str, Any]:
    return {name: getattr(passkey, name) for name in Passkey.__slots__}


class SQLAccountStore(SQLSignIns):
    """`accounts.storage.AccountStore` on a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The server's secret with this name; `fresh` becomes it when there is none yet."""
        query = select(secret_table.c.value).where(secret_table.c.name == name)
        try:
            async with self.database.transaction() as connection:
                value: bytes | None = (await connection.execute(query)).scalar_one_or_none()
                if value is not None:
                    return self._opened(name, value)
                sealed = self.database.sealer.seal_bytes(fresh, secret_table.name, "value", name)
                await connection.execute(insert(secret_table).values(name=name, value=sealed))
                return fresh
        except IntegrityError:
            async with self.database.transaction() as connection:
                made_elsewhere: bytes = (await connection.execute(query)).scalar_one()
                return self._opened(name, made_elsewhere)

    def _opened(self, name: str, value: bytes) -> bytes:
        return self.database.sealer.open_bytes(value, secret_table.name, "value", name)

    # ------------------------------------------------------------------ accounts

    async def count_accounts(self) -> int:
        async with self.database.transaction() as connection:
            return await _count(connection)

    async def create_account(self, account: Account, *, first: bool, passkey: Passkey | None = None) -> None:
        """Keep a new account, with its passkey in the same transaction.

        Raises `AccountTaken` when the username is in use, or when `first` and there is an account already.
        """
        async with self.database.transaction() as connection:
            await insert_account(connection, account, passkey=passkey, first=first)

    async def account(self, person_id: str) -> Account | None:
        return await self._one_account(account_table.c.person_id == person_id)

    async def account_named(self, username: str) -> Account | None:
        return await self._one_account(account_table.c.username == username)

    async def _one_account(self, where: Any) -> Account | None:
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(account_table).where(where))).one_or_none()
        return _account(row) if row is not None else None

    async def set_password(self, person_id: str, password_hash: str, *, keep_session: str | None) -> None:
        """Replace the password and, when `keep_session` names one, end every other session."""
        async with self.database.transaction() as connection:
            await connection.execute(
                update(account_table).where(account_table.c.person_id == person_id).values(password_hash=password_hash)
            )
            if keep_session is not None:
                await connection.execute(
                    delete(session_table).where(
                        session_table.c.person_id == person_id, session_table.c.digest != keep_session
                    )
                )

    # ------------------------------------------------------------------ passkeys

    async def add_passkey(self, passkey: Passkey) -> None:
        """Raises `AccountTaken` when the credential is registered already."""
        try:
            async with self.database.transaction() as connection:
                await connection.execute(insert(passkey_table).values(**_passkey_values(passkey)))
        except IntegrityError:
            raise AccountTaken("This passkey is registered already.") from None

    async def passkey(self, credential_id: bytes) -> Passkey | None:
        async with self.database.transaction() as connection:
            query = select(passkey_table).where(passkey_table.c.credential_id == credential_id)
            row = (await connection.execute(query)).one_or_none()
        return _passkey(row) if row is not None else None

    async def passkeys(self, person_id: str) -> Sequence[Passkey]:
        """A person's passkeys, oldest first."""
        query = select(passkey_table).where(passkey_table.c.person_id == person_id).order_by(passkey_table.c.created_at)
        async with self.database.transaction() as connection:
            return [_passkey(row) for row in await connection.execute(query)]

    async def count_passkeys(self) -> int:
        async with self.database.transaction() as connection:
            return int((await connection.execute(select(func.count()).select_from(passkey_table))).scalar_one())

    async def use_passkey(self, passkey: Passkey, *, sign_count: int, backed_up: bool, now: float) -> bool:
        """Record a use. `False` when somebody used it since it was read: then the counter proves nothing."""
        async with self.database.transaction() as connection:
            result = await connection.execute(
                update(passkey_table)
                .where(
                    passkey_table.c.credential_id == passkey.credential_id,
                    passkey_table.c.sign_count == passkey.sign_count,
                )
                .values(sign_count=sign_count, backed_up=backed_up, last_used_at=now)
            )
            return bool(result.rowcount)

    async def remove_passkey(self, person_id: str, credential_id: bytes) -> bool:
        """Remove a passkey. `False` when it is the last way in: no password, no other passkey, no link.

        Raises `NotFound` when the person has no such passkey.
        """
        async with self.database.transaction() as connection:
            account = (
                await connection.execute(
                    select(account_table).where(account_table.c.person_id == person_id).with_for_update()
                )
            ).one_or_none()
            mine = passkey_table.c.person_id == person_id
            ids = set((await connection.execute(select(passkey_table.c.credential_id).where(mine))).scalars())
            if account is None or credential_id not in ids:
                raise NotFound("There is no such passkey.")
            links = select(func.count()).where(identities.c.person_id == person_id)
            if account.password_hash is None and len(ids) == 1 and not await connection.scalar(links):
                return False
            await connection.execute(delete(passkey_table).where(mine, passkey_table.c.credential_id == credential_id))
            return True

    async def use_challenge(self, digest: str, *, expires_at: float, now: float) -> bool:
        """Use a challenge up. `False` when it was used before."""
        try:
            async with self.database.transaction() as connection:
                await connection.execute(delete(challenge_table).where(challenge_table.c.expires_at <= now))
                await connection.execute(insert(challenge_table).values(digest=digest, expires_at=expires_at))
        except IntegrityError:
            return False
        return True


async def _count(connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(account_table))).scalar_one())


async def insert_account(
    connection: AsyncConnection, account: Account, *, passkey: Passkey | None = None, first: bool = False
) -> None:
    """`SQLAccountStore.create_account`, in the caller's transaction."""
    taken = AccountTaken("This server has its account already." if first else "This username is in use.")
    try:
        highest = await connection.scalar(select(func.max(account_table.c.number)))
        if first and highest:
            raise taken
        values = {name: getattr(account, name) for name in Account.__slots__}
        await connection.execute(insert(account_table).values(number=(highest or 0) + 1, **values))
        if passkey is not None:
            await connection.execute(insert(passkey_table).values(**_passkey_values(passkey)))
    except IntegrityError:
        raise taken from None
