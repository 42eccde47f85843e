"""The people of an access server: who administers it, who approves, who confirms person servers for themselves.

#ps-as-trust-establishment, and `approval` of #requirement-responses. How they sign in is `aauthlib.accounts`. Every
method that changes something takes whoever acts and finds out anew what they may do. Knows no page and no HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..accounts import Account, Accounts, single_line
from ..accounts.invitations import INVITATION_LIFETIME_S, MAX_OPEN_INVITATIONS, invitation_digest
from ..accounts.storage import AccountStore
from ..base64url import b64url_encode
from ..effects import Clock
from ..errors import AAuthError, NotFound, RateLimited
from ..store.access_approval_records import OwnRequest
from ..store.access_people_records import ADMINISTRATOR, PERSON, AccessInvitation, AccessPerson, Role
from ..store.account_records import Passkey
from ..store.approval_records import NotApprover, Origin
from .desk import ApprovalView
from .server import AccessServer

__all__ = ["NotAllowed", "OwnRequest", "People", "PeopleStore"]

_MAX_GROUPS = 20
_MAX_GROUP_LENGTH = 100


class NotAllowed(AAuthError):
    """This is for somebody with another role."""


class PeopleStore(AccountStore, Protocol):
    """See `SQLAccessPeople` for what each method promises."""

    async def person(self, person_id: str) -> AccessPerson | None: ...
    async def people(self) -> list[AccessPerson]: ...
    async def has_administrator(self) -> bool: ...
    async def set_role(self, person_id: str, role: Role, approves: tuple[str, ...]) -> None: ...
    async def remove(self, person_id: str) -> None: ...
    async def invite(self, invitation: AccessInvitation, *, now: float) -> None: ...
    async def invitations(self, *, now: float) -> list[AccessInvitation]: ...
    async def invitation(self, digest: str, *, now: float) -> AccessInvitation | None: ...
    async def withdraw_invitation(self, digest: str) -> None: ...
    async def join(self, digest: str, person_id: str, *, now: float) -> None: ...
    async def create_invited(
        self, account: Account, *, digest: str, passkey: Passkey | None = None, now: float
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class PeopleView:
    """What administrators see."""

    people: list[AccessPerson]
    invitations: list[AccessInvitation]


class People:
    """The people of one access server."""

    def __init__(
        self,
        store: PeopleStore,
        *,
        accounts: Accounts,
        server: AccessServer,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store, self._accounts, self._server = store, accounts, server
        self._clock, self._random_bytes = clock, random_bytes

    async def start(self) -> str | None:
        """The secret of an invitation for an administrator, where there are accounts and none of them is one.

        The very first account is an administrator's, so this is for a database that has accounts of another role.
        """
        if await self._accounts.first_run() or await self._store.has_administrator():
            return None
        return await self._invite(ADMINISTRATOR, (), "At start")

    async def person(self, person_id: str) -> AccessPerson | None:
        """Who this account is here."""
        return await self._store.person(person_id)

    # ------------------------------------------------------------------ approvals

    async def approvals(self, person: AccessPerson) -> list[ApprovalView]:
        """What waits for an approval that `person` may give, what ends first first."""
        return [view for view in await self._server.approvals() if view.is_for(person)]

    async def approval(self, person: AccessPerson, id_: str) -> ApprovalView:
        """One that `person` may see. Raises `NotFound`, or `NotAllowed`."""
        view = await self._server.approval(id_)
        if not view.may_see(person):
            raise NotAllowed("This approval is for somebody else to give.")
        return view

    async def decide(
        self, person_id: str, id_: str, *, round: int, approved: bool, reason: str = "", origin: Origin | None = None
    ) -> bool:
        """Approve or refuse, as it was in `round`. Returns whether it still waits for others.

        Raises `NotAllowed`, `OwnRequest`, `DecidedAlready`, `NotFound`, `Gone` for what was decided meanwhile, or
        `ApprovalChanged` for what the policy wants otherwise now.
        """
        person = await self._acting(person_id)
        try:
            return await self._server.decide_approval(
                id_,
                by=person.username,
                approved=approved,
                reason=reason,
                person_id=person_id,
                origin=origin,
                round=round,
            )
        except NotApprover as error:
            raise NotAllowed(error.detail) from error

    # ------------------------------------------------------------------ administering

    async def view(self, by: str) -> PeopleView:
        """Everybody. Raises `NotAllowed`."""
        await self._administrator(by)
        return PeopleView(await self._store.people(), await self._store.invitations(now=self._clock()))

    async def set_role(self, by: str, person_id: str, role: Role, approves: Sequence[str] = ()) -> None:
        """Raises `NotAllowed`, `NotFound` or `LastAdministrator`."""
        await self._administrator(by)
        await self._store.set_role(person_id, role, _groups(role, approves))

    async def remove(self, by: str, person_id: str) -> None:
        """Delete an account, and take back what it confirmed: nothing of it for whoever has to stay or is not here.

        Raises as `set_role` does.
        """
        await self._administrator(by)
        confirmed = await self._server.confirmed_by(person_id)
        await self._store.remove(person_id)
        for binding in confirmed:
            await self._server.take_back(person_id, binding.ps)

    async def invite(self, by: str, role: Role = PERSON, approves: Sequence[str] = (), note: str = "") -> str:
        """The secret of a new invitation link; it is not stored. Raises `NotAllowed` or `RateLimited`."""
        await self._administrator(by)
        if len(await self._store.invitations(now=self._clock())) >= MAX_OPEN_INVITATIONS:
            raise RateLimited("Too many invitations are open already. Withdraw some first.", retry_after_s=3600)
        return await self._invite(role, _groups(role, approves), single_line(note)[:100])

    async def withdraw(self, by: str, digest: str) -> None:
        """Raises `NotAllowed` or `NotFound`."""
        await self._administrator(by)
        await self._store.withdraw_invitation(digest)

    # ------------------------------------------------------------------ joining

    async def invited(self, secret: str) -> AccessInvitation:
        """The invitation with this secret. Raises `NotFound` for one that was used, withdrawn or is over."""
        invitation = await self._store.invitation(invitation_digest(secret), now=self._clock())
        if invitation is None:
            raise NotFound("This invitation was used, withdrawn, or its time is over.")
        return invitation

    async def join(self, secret: str, account: Account) -> None:
        """Use an invitation up for an account. Raises `NotFound` or `AccountTaken`."""
        await self._store.join(invitation_digest(secret), account.person_id, now=self._clock())

    async def create(
        self,
        secret: str,
        username: str,
        display_name: str,
        *,
        password: str | None = None,
        email: str | None = None,
        credential: str | None = None,
        user_handle: bytes | None = None,
        binder: str = "",
    ) -> Account:
        """Make an account for an invitation, which is used up by it.

        Raises `NotFound`, `UnsuitableDetails`, `UnsuitablePassword`, `PasskeyRefused` or `AccountTaken`.
        """
        await self.invited(secret)
        account, passkey = await self._accounts.prepare(
            username,
            display_name,
            password=password,
            email=email,
            credential=credential,
            user_handle=user_handle,
            binder=binder,
        )
        digest = invitation_digest(secret)
        await self._store.create_invited(account, digest=digest, passkey=passkey, now=self._clock())
        return account

    # ------------------------------------------------------------------ inside

    async def _acting(self, person_id: str) -> AccessPerson:
        person = await self._store.person(person_id)
        if person is None:
            raise NotAllowed("This account has no role here.")
        return person

    async def _administrator(self, person_id: str) -> None:
        if not (await self._acting(person_id)).is_administrator:
            raise NotAllowed("This is for administrators.")

    async def _invite(self, role: Role, approves: tuple[str, ...], note: str) -> str:
        secret, now = b64url_encode(self._random_bytes(32)), self._clock()
        invitation = AccessInvitation(
            digest=invitation_digest(secret),
            role=role,
            approves=approves,
            note=note,
            created_at=now,
            expires_at=now + INVITATION_LIFETIME_S,
        )
        await self._store.invite(invitation, now=now)
        return secret


def _groups(role: Role, approves: Sequence[str]) -> tuple[str, ...]:
    """Names of whose approvals an approver gives, as kept; nobody else has any."""
    if role != "approver":
        return ()
    names = (single_line(name)[:_MAX_GROUP_LENGTH] for name in approves)
    return tuple(dict.fromkeys(name for name in names if name))[:_MAX_GROUPS]
