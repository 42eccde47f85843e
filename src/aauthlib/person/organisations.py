"""Organisations of a person server: their people, administrators and invitations (#person-token-org-policy).

An account belongs to one organisation at most, whose identifier is then the `tenant` of its tokens. An administrator
acts in their own organisation only: every method takes whoever acts, finds their organisation anew, and names it in
whatever it reads or changes. Knows no page and no HTTP.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..accounts import Account, Accounts
from ..accounts.invitations import INVITATION_LIFETIME_S, MAX_OPEN_INVITATIONS, invitation_digest
from ..accounts.sessions import single_line
from ..base64url import b64url_encode
from ..effects import Clock
from ..errors import AAuthError, NotFound, RateLimited
from ..store.approval_records import ADMINISTRATORS
from ..store.organisation_records import (
    ADMINISTRATOR,
    MEMBER,
    AlreadyMember,
    Invitation,
    LastAdministrator,
    Member,
    MemberAgent,
    Role,
    Tenant,
)
from .cascade import RevocationOutcome
from .organisation_settings import OrganisationSettings
from .organisation_storage import OrganisationStore
from .server import PersonServer

__all__ = [
    "ADMINISTRATOR",
    "MEMBER",
    "AlreadyMember",
    "Group",
    "GroupsView",
    "Invitation",
    "LastAdministrator",
    "Member",
    "NotAdministrator",
    "Organisation",
    "OrganisationView",
    "Organisations",
]


class NotAdministrator(AAuthError):
    """This is for an administrator of an organisation."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation as configured."""

    tenant: str
    settings: OrganisationSettings

    @property
    def name(self) -> str:
        return self.settings.name


@dataclass(frozen=True, slots=True)
class OrganisationView:
    """What its administrators see of an organisation."""

    organisation: Organisation
    members: list[Member]
    agents: list[MemberAgent]
    invitations: list[Invitation]
    waiting: int = field(default=0)
    """Requests that wait for one of its people."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of an organisation's people. People are identifier and name."""

    name: str
    members: list[tuple[str, str]]
    others: list[tuple[str, str]]
    """Of the organisation, and not in it."""
    named: bool = True
    """The policy names it now."""
    fixed: bool = False
    """Who is in it follows from something else."""


@dataclass(frozen=True, slots=True)
class GroupsView:
    """What administrators see of their organisation's groups."""

    organisation: Organisation
    groups: list[Group]


class Organisations:
    """The organisations of one server. `settings` are by tenant."""

    def __init__(
        self,
        store: OrganisationStore,
        settings: Mapping[str, OrganisationSettings],
        *,
        accounts: Accounts,
        server: PersonServer,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.store, self._accounts, self._server = store, accounts, server
        self._clock, self._random_bytes = clock, random_bytes
        self._all = {tenant: Organisation(tenant, each) for tenant, each in settings.items()}
        self._by_domain = {domain: each for each in self._all.values() for domain in each.settings.domains}

    async def start(self) -> dict[str, str]:
        """Keep what is configured. Returns an invitation for each organisation that nobody administers yet, by tenant.

        Whoever started the server gives it to whom they choose; it ends as every invitation does.
        """
        links = {}
        for organisation in self._all.values():
            await self.store.keep_tenant(Tenant(tenant=organisation.tenant, name=organisation.name))
            if not await self.store.has_administrator(organisation.tenant):
                links[organisation.tenant] = await self._invite(organisation.tenant, ADMINISTRATOR, "At start")
        return links

    # ------------------------------------------------------------------ finding

    def organisation(self, tenant: str) -> Organisation | None:
        """The organisation with this identifier."""
        return self._all.get(tenant)

    def with_sign_in(self) -> list[Organisation]:
        """Organisations that have a provider of their own to sign in at, by name."""
        return sorted((each for each in self._all.values() if each.settings.sign_in), key=lambda each: each.name)

    def hinted(self, *, tenant: str | None, domain_hint: str | None, login_hint: str | None) -> Organisation | None:
        """The organisation a request means, as far as its hints say (#auth-token-request)."""
        if tenant is not None and tenant in self._all:
            return self._all[tenant]
        for domain in (domain_hint, (login_hint or "").rpartition("@")[2]):
            if domain and domain.lower() in self._by_domain:
                return self._by_domain[domain.lower()]
        return None

    async def membership(self, person_id: str) -> Member | None:
        """Where the person belongs. `None` too when the organisation is not configured any more."""
        found = await self.store.membership(person_id)
        return found if found is not None and found.tenant in self._all else None

    # ------------------------------------------------------------------ administering

    async def view(self, by: str) -> OrganisationView:
        """The organisation that `by` administers. Raises `NotAdministrator`."""
        organisation = await self._administered(by)
        members = await self.store.members(organisation.tenant, now=self._clock())
        return OrganisationView(
            organisation,
            members,
            await self.store.agents(organisation.tenant),
            await self.store.invitations(organisation.tenant, now=self._clock()),
            sum(member.waiting for member in members),
        )

    async def set_role(self, by: str, person_id: str, role: Role) -> None:
        """Raises `NotAdministrator`, `NotFound` for anybody of another organisation, or `LastAdministrator`."""
        organisation = await self._administered(by)
        await self.store.set_role(organisation.tenant, person_id, role, by=by, now=self._clock())

    async def remove(self, by: str, person_id: str) -> list[RevocationOutcome]:
        """End a membership: the person's agents are disconnected and the resources told. Raises as `set_role`."""
        organisation = await self._administered(by)
        return await self._server.remove_member(organisation.tenant, person_id, by=by)

    async def disconnect(self, by: str, person_id: str, agent: tuple[str, str]) -> list[RevocationOutcome]:
        """Disconnect an agent of one of the organisation's people. Raises `NotAdministrator` or `NotFound`."""
        organisation = await self._administered(by)
        member = await self.store.membership(person_id)
        if member is None or member.tenant != organisation.tenant:
            raise NotFound("There is no such person in this organisation.")
        return await self._server.disconnect(person_id, agent)

    async def invite(self, by: str, role: Role, note: str = "") -> str:
        """The secret of a new invitation link; it is not stored. Raises `NotAdministrator` or `RateLimited`."""
        organisation = await self._administered(by)
        if len(await self.store.invitations(organisation.tenant, now=self._clock())) >= MAX_OPEN_INVITATIONS:
            raise RateLimited("Too many invitations are open already. Withdraw some first.", retry_after_s=3600)
        return await self._invite(organisation.tenant, role, single_line(note)[:100])

    async def withdraw(self, by: str, digest: str) -> None:
        """Raises `NotAdministrator` or `NotFound`."""
        organisation = await self._administered(by)
        await self.store.withdraw_invitation(organisation.tenant, digest)

    # ------------------------------------------------------------------ groups

    async def groups(self, by: str) -> GroupsView:
        """The groups that the policy names, and those that have people in them. Raises `NotAdministrator`."""
        organisation = await self._administered(by)
        kept = await self.store.groups(organisation.tenant)
        members = await self.store.members(organisation.tenant, now=self._clock())
        kept[ADMINISTRATORS] = [(each.person_id, each.display_name) for each in members if each.is_administrator]
        everybody = [(each.person_id, each.display_name) for each in members]
        named = self._server.rules.groups
        found = []
        for name in sorted({*named, *kept} if ADMINISTRATORS in named else {*named, *kept} - {ADMINISTRATORS}):
            inside = kept.get(name, [])
            others = [each for each in everybody if each not in inside]
            found.append(Group(name, inside, others, named=name in named, fixed=name == ADMINISTRATORS))
        return GroupsView(organisation, found)

    async def add_to_group(self, by: str, person_id: str, group: str) -> None:
        """Raises `NotAdministrator`, or `NotFound` for anybody of another organisation and a group nobody named."""
        organisation = await self._administered(by)
        if group not in self._server.rules.groups or group == ADMINISTRATORS:
            raise NotFound("The policy names no such group.")
        await self.store.add_to_group(organisation.tenant, person_id, group, by=by, now=self._clock())

    async def remove_from_group(self, by: str, person_id: str, group: str) -> None:
        """Raises `NotAdministrator`, or `NotFound` for anybody of another organisation."""
        organisation = await self._administered(by)
        await self.store.remove_from_group(organisation.tenant, person_id, group, by=by, now=self._clock())

    async def _administered(self, by: str) -> Organisation:
        member = await self.membership(by)
        if member is None or not member.is_administrator:
            raise NotAdministrator("This is for administrators of an organisation.")
        return self._all[member.tenant]

    async def _invite(self, tenant: str, role: Role, note: str) -> str:
        secret, now = b64url_encode(self._random_bytes(32)), self._clock()
        invitation = Invitation(
            digest=invitation_digest(secret),
            tenant=tenant,
            role=role,
            note=note,
            created_at=now,
            expires_at=now + INVITATION_LIFETIME_S,
        )
        await self.store.invite(invitation, now=now)
        return secret

    # ------------------------------------------------------------------ joining

    async def invited(self, secret: str) -> tuple[Invitation, Organisation]:
        """The invitation with this secret. Raises `NotFound` for one that was used, withdrawn or is over."""
        invitation = await self.store.invitation(invitation_digest(secret), now=self._clock())
        organisation = self._all.get(invitation.tenant) if invitation is not None else None
        if invitation is None or organisation is None:
            raise NotFound("This invitation was used, withdrawn, or its time is over.")
        return invitation, organisation

    async def join(self, secret: str, account: Account) -> None:
        """Use an invitation up for an account. Raises `NotFound` or `AlreadyMember`."""
        await self.invited(secret)
        await self.store.join(invitation_digest(secret), account.person_id, now=self._clock())

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
        await self.store.create_invited(account, digest=invitation_digest(secret), passkey=passkey, now=self._clock())
        return account
