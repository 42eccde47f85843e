"""The access server's store: token requests and what they wait for, issued tokens, revocations, bindings, the log.

Implements `access.storage.AccessStore` on SQLAlchemy Core (#as-token-endpoint, #token-revocation). The issuing of a
token and the revocation of what it hangs on meet at the rows of those grounds, which both lock first: a token is either
recorded before the revocation, which then finds it, or is not issued at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import TERMINAL, TRANSITIONS, WAITING, Event, IllegalTransition, State
from ..deferred.pending import Pending
from ..errors import InvalidCode, NotFound, Revoked
from .access_approval_records import AccessOpening
from .access_approval_tables import access_approvals
from .access_approvals import SQLAccessApprovals
from .access_approving import approval_of, drop_decided, join, leave
from .access_log import SQLDecisionLog, add_log
from .access_records import EXCHANGE, Binding, DecisionRecord, Exchange, Learned
from .access_tables import (
    billing,
    decisions,
    exchanges,
    grounds,
    issued_tokens,
    settlements,
    signing_keys,
    untold,
)
from .access_tokens import SQLIssuedAuthTokens, hold, record_token
from .access_trust import SQLTrust, bind
from .approval_states import ApprovalState
from .database import from_json, to_json
from .pending import (
    KEPT_AFTER_END_S,
    SQLPendingStore,
    advance,
    expired,
    insert_pending,
    load,
    pending_table,
    take_code,
    touch,
)
from .rows import insert_once, key_of, token_key
from .signing_keys import SQLKeys

__all__ = ["SQLAccessStore"]

_WAITING = [str(state) for state in WAITING]
_SKEW_S = 60.0
_LOG_KEPT_S = 400 * 86_400.0
_SETTLEMENT_KEPT_S = 400 * 86_400.0


class SQLAccessStore(SQLAccessApprovals, SQLIssuedAuthTokens, SQLDecisionLog, SQLTrust, SQLPendingStore):
    """Everything an access server keeps."""

    # ------------------------------------------------------------------ keys

    @property
    def signing_keys(self) -> SQLKeys:
        """What the server signs with."""
        return SQLKeys(self.database, signing_keys)

    # ------------------------------------------------------------------ PendingStore

    async def create_pending(self, pending: Pending) -> None:
        request = pending.request
        async with self.database.transaction() as connection:
            await insert_pending(connection, pending)
            if pending.kind == EXCHANGE:
                await connection.execute(
                    insert(exchanges).values(
                        digest=pending.digest,
                        ps=request["ps"],
                        tenant_key=_tenant_key(request["ps"], request.get("tenant")),
                        **_grounds(request),
                        learned="{}",
                        terms="{}",
                        step=0,
                    )
                )

    async def advance_pending(self, digest: str, event: Event, *, detail: str = "", record: object = None) -> Pending:
        async with self.database.transaction() as connection:
            if event is Event.DELIVER and record is not None:
                # The grounds first: whoever revokes one locks it before the requests that hang on it.
                await hold(connection, record)
            pending = await advance(connection, digest, event, detail=detail)
            if event is Event.DELIVER:
                await self.record_delivery(connection, pending, record)
            if pending.state in TERMINAL and pending.state is not State.GRANTED:
                await _forget(connection, digest)
        return pending

    async def record_delivery(self, connection: AsyncConnection, pending: Pending, record: object) -> None:
        if record is not None and not await record_token(connection, record):
            raise Revoked("A token the request depends on was revoked.")

    # ------------------------------------------------------------------ exchanges

    async def exchange(self, digest: str) -> Exchange | None:
        """The pending token request, with what it waits for."""
        async with self.database.transaction() as connection:
            return await _exchange(connection, digest)

    async def move(
        self,
        exchange: Exchange,
        learned: Learned,
        *,
        requirement: str | None = None,
        terms: Mapping[str, Any] | None = None,
        event: Event | None = None,
        decision: Mapping[str, Any] | None = None,
        detail: str = "",
        log: Sequence[DecisionRecord] = (),
        binding: Binding | None = None,
        payment: str | None = None,
        request: Mapping[str, Any] | None = None,
        expires_at: float | None = None,
        approval: AccessOpening | None = None,
        now: float,
    ) -> bool:
        """What was learned, what is decided on it, and what follows, in one transaction.

        With `event` the request ends; otherwise it waits for `requirement` under `terms`. `payment` names a payment
        that is thereby used up, and remembers the billing relationship. `request` replaces what is asked, which ends
        at `expires_at`. `approval` is what people here decide about, opened or joined; one that it waited for before
        and nobody else does is withdrawn. Returns `False`, having written nothing, when the request moved or ended
        meanwhile, or the payment was used before.
        """
        digest = exchange.pending.digest
        async with self.database.transaction() as connection:
            try:
                current = await load(connection, digest, lock=True)
            except NotFound:
                return False
            step = await connection.scalar(select(exchanges.c.step).where(exchanges.c.digest == digest))
            if not current.waiting or step != exchange.step or current.expires_at <= now:
                return False
            if payment is not None:
                if not await insert_once(connection, settlements, key=key_of(payment), at=now):
                    return False
                await insert_once(connection, billing, ps=current.owner, settled_at=now)
            if binding is not None:
                await bind(connection, binding)
            if request is not None:
                await _replace(connection, digest, request, expires_at or current.expires_at)
            if event is not None:
                await advance(connection, digest, event, detail=detail, decision=decision)
            else:
                await touch(connection, current, requirement=requirement)
            kept = learned if event in (None, Event.GRANT) else Learned()
            waited_for = await approval_of(connection, digest)
            joined = await join(connection, approval, now=now) if approval is not None else None
            await connection.execute(
                update(exchanges)
                .where(exchanges.c.digest == digest)
                .values(
                    learned=to_json(msgspec.to_builtins(kept)),
                    terms=to_json(dict(terms or {})),
                    step=step + 1,
                    approval=joined.id if joined is not None else None,
                )
            )
            if joined is None or joined.id != waited_for:
                await leave(connection, waited_for, now=now)
            await add_log(connection, log)
        return True

    async def set_code(self, digest: str, *, step: int, handle: str, code_digest: str) -> bool:
        """Give the interaction of this step its name and code. Returns whether it has them, now or already."""
        async with self.database.transaction() as connection:
            current = await load(connection, digest, lock=True)
            at = await connection.scalar(select(exchanges.c.step).where(exchanges.c.digest == digest))
            if at != step or not current.waiting:
                return False
            if current.handle != handle:
                values = {"handle": handle, "code_digest": code_digest, "code_attempts": 0, "code_consumed": False}
                await connection.execute(update(pending_table).where(pending_table.c.digest == digest).values(**values))
        return True

    async def arrive(
        self, handle: str, code_digest: str, *, user: str, callback: str | None = None, max_attempts: int
    ) -> Pending:
        """Consume a code for this user, who goes to `callback` when it is decided.

        A failed attempt is committed before `InvalidCode` is raised.
        """
        async with self.database.transaction() as connection:
            pending, failure = await take_code(connection, handle, code_digest, max_attempts=max_attempts)
            if pending is not None and failure is None:
                await connection.execute(
                    update(pending_table)
                    .where(pending_table.c.digest == pending.digest)
                    .values(decision=to_json({"user": user} | ({"callback": callback} if callback else {})))
                )
                pending = await load(connection, pending.digest)
        if pending is None or failure is not None:
            raise failure or InvalidCode("The code is not recognised.")
        return pending

    async def check_code(self, handle: str, code_digest: str, *, max_attempts: int) -> None:
        """Compare a code without consuming it; a wrong one counts. Raises `InvalidCode`."""
        async with self.database.transaction() as connection:
            _, failure = await take_code(connection, handle, code_digest, max_attempts=max_attempts, consume=False)
        if failure is not None:
            raise failure

    async def open_exchanges(
        self, ps: str, *, tenant: str | None, known: Collection[str], now: float
    ) -> tuple[int, int, int]:
        """How many requests wait, or are waited for by approvers.

        Of this person server, of this organisation of it (of none: 0), and of all person servers that are not `known`
        and have not paid.
        """
        waiting = and_(pending_table.c.state.in_(_WAITING), pending_table.c.expires_at > now)
        query = (
            select(func.count())
            .select_from(exchanges.join(pending_table, pending_table.c.digest == exchanges.c.digest))
            .where(waiting)
        )
        # What approvers are still asked about, though the tokens of its request have expired, fills their list too.
        alone = select(func.count()).where(
            access_approvals.c.state == str(ApprovalState.WAITING),
            access_approvals.c.due_at > now,
            ~exists().where(
                exchanges.c.approval == access_approvals.c.id, exchanges.c.digest == pending_table.c.digest, waiting
            ),
        )

        async def count(connection: AsyncConnection, where: Callable[[Any], ColumnElement[bool]]) -> int:
            found = [query.where(where(exchanges.c)), alone.where(where(access_approvals.c))]
            return sum([await connection.scalar(each) or 0 for each in found])

        key = _tenant_key(ps, tenant)
        async with self.database.transaction() as connection:
            return (
                await count(connection, lambda c: c.ps == ps),
                await count(connection, lambda c: c.tenant_key == key) if key is not None else 0,
                await count(connection, lambda c: and_(c.ps.not_in(list(known)), c.ps.not_in(select(billing.c.ps)))),
            )

    # ------------------------------------------------------------------ housekeeping

    async def purge(self, *, now: float, limit: int = 500) -> int:
        """Drop what has served its time, at most `limit` rows of each kind. Returns how many."""
        dropped = 0
        async with self.database.transaction() as connection:
            digests = await expired(connection, before=now - KEPT_AFTER_END_S, limit=limit)
            for table in (exchanges, pending_table):
                await connection.execute(delete(table).where(table.c.digest.in_(digests)))
            dropped += len(digests) + await drop_decided(connection, now=now, limit=limit)
            # Nobody polls these any more; what they learned about a person goes at once.
            await connection.execute(
                update(exchanges)
                .where(
                    type_coerce(exchanges.c.learned, Text) != "{}",
                    exchanges.c.digest.in_(select(pending_table.c.digest).where(pending_table.c.expires_at < now)),
                )
                .values(learned=literal("{}", Text))
            )
            for table, key, column, before in (
                (issued_tokens, issued_tokens.c.jti, issued_tokens.c.exp, now - _SKEW_S),
                (grounds, grounds.c.key, grounds.c.exp, now - _SKEW_S),
                (untold, untold.c.key, untold.c.exp, now),
                (settlements, settlements.c.key, settlements.c.at, now - _SETTLEMENT_KEPT_S),
                (decisions, decisions.c.id, decisions.c.at, now - _LOG_KEPT_S),
            ):
                keys = [row[0] for row in await connection.execute(select(key).where(column < before).limit(limit))]
                await connection.execute(delete(table).where(key.in_(keys)))
                dropped += len(keys)
        return dropped

    # ------------------------------------------------------------------ for the part about tokens

    async def end_exchanges(self, connection: AsyncConnection, key: str, *, detail: str, now: float) -> None:
        revocable = [str(state) for state in State if Event.REVOKE in TRANSITIONS[state]]
        hanging = or_(
            exchanges.c.presented == key,
            exchanges.c.root == key,
            exchanges.c.resource_token == key,
            exchanges.c.upstream == key,
        )
        query = (
            select(pending_table.c.digest)
            .join(exchanges, exchanges.c.digest == pending_table.c.digest)
            .where(hanging, pending_table.c.state.in_(revocable))
            .order_by(pending_table.c.digest)
            .with_for_update(of=pending_table)
        )
        digests = [row.digest for row in await connection.execute(query)]
        for digest in digests:
            try:
                await advance(connection, digest, Event.REVOKE, detail=detail)
            except IllegalTransition:
                continue  # Delivered while its row was waited for: its token is among the issued ones now.
            await leave(connection, await approval_of(connection, digest), now=now)
            await _forget(connection, digest)


async def _exchange(connection: AsyncConnection, digest: str) -> Exchange | None:
    # The row that is locked by whoever changes either of the two: so both are of one moment.
    try:
        pending = await load(connection, digest, lock=True)
    except NotFound:
        return None
    row = (await connection.execute(select(exchanges).where(exchanges.c.digest == digest))).one_or_none()
    if row is None:
        return Exchange(pending=pending, learned=Learned())
    learned = msgspec.convert(from_json(row.learned), Learned)
    terms = from_json(row.terms)
    return Exchange(pending=pending, learned=learned, terms=terms, step=row.step, approval=row.approval)


def _tenant_key(ps: str, tenant: str | None) -> str | None:
    return key_of(ps, tenant) if tenant is not None else None


def _grounds(request: Mapping[str, Any]) -> dict[str, str | None]:
    """The columns by which a request is found when a token it hangs on is revoked."""
    tokens = {name: request.get(name) for name in ("presented", "root", "resource_token", "upstream")}
    return {name: token_key(token["iss"], token["jti"]) if token else None for name, token in tokens.items()}


async def _replace(connection: AsyncConnection, digest: str, request: Mapping[str, Any], expires_at: float) -> None:
    values = {"request": to_json(dict(request)), "expires_at": expires_at}
    await connection.execute(update(pending_table).where(pending_table.c.digest == digest).values(**values))
    await connection.execute(update(exchanges).where(exchanges.c.digest == digest).values(**_grounds(request)))


async def _forget(connection: AsyncConnection, digest: str) -> None:
    """What an exchange learned about a person serves nothing after its end."""
    await connection.execute(update(exchanges).where(exchanges.c.digest == digest).values(learned="{}"))
