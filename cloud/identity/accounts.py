"""Users: made, logged in with a password, disabled. Whoever logs in opens a session (`sessions.py`)."""

from collections.abc import Callable
from datetime import datetime
import re
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.http.problem import InvalidInput, Unauthenticated
from cloud.identity.passwords import Passwords, check_password
from cloud.identity.policy import Principal, Role
from cloud.identity.second_factor import SecondFactor
from cloud.identity.sessions import Caller, Opened, Sessions, Tenants
from cloud.identity.tables import Membership, User
from cloud.identity.throttle import Throttle
from sync_protocol.errors import Conflict, Denied, NotFound

DEMO_EMAIL = "demo@milepost.invalid"
DEMO_NAME = "Demo"
# So many failures of one client, whatever the accounts, before it has to wait too.
CLIENT_TRIES = 50
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
log = structlog.get_logger()


class Known(NamedTuple):
    """A user and one membership, as `milepost-cloud user list` shows them."""

    id: int
    email: str
    name: str
    tenant_id: int
    role: Role
    has_password: bool
    disabled: datetime | None


class Seat(NamedTuple):
    """A membership of one user."""

    tenant_id: int
    role: Role


def email_of(text: str, path: str = "$.email") -> str:
    """An e-mail address in the form in which it is stored."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise InvalidInput(path, "an e-mail address")
    return email


class Accounts:
    """All users of the service. `passed_s` is a clock that never steps, for the throttle."""

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        sessions: Sessions,
        second: SecondFactor,
        tenants: Tenants,
        clock: Callable[[], datetime],
        passed_s: Callable[[], float],
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._sessions = sessions
        self._second = second
        self._tenants = tenants
        self._clock = clock
        self._by_account = Throttle(passed_s)
        self._by_client = Throttle(passed_s, CLIENT_TRIES)

    async def log_in(
        self, email: str, password: str, tenant: str | None, caller: Caller, otp: str | None = None
    ) -> Opened:
        """Open a session; for the named tenant, else for the first one the user belongs to.

        One answer for a wrong password, an unknown or disabled user and a foreign tenant.
        """
        email = email.strip().lower()
        await self.prove(email, password, caller)
        await self.prove_second(email, otp)

        def read(session: Session) -> tuple[int, list[Seat]]:
            user = session.scalars(select(User).where(User.email == email)).one()
            return user.id, _seats(session, user.id)

        user_id, seats = await self._db.run(read)
        if tenant is not None:
            wanted = self._tenants.tenant_named(tenant)
            seats = [seat for seat in seats if seat.tenant_id == wanted]
        # A company that is suspended does not keep anybody out of another.
        seats = [seat for seat in seats if not self._tenants.is_suspended(seat.tenant_id)] or seats
        if not seats:
            raise Denied("You are not a member of this tenant, or of none at all.")
        return await self._sessions.open(user_id, *seats[0], caller)

    async def log_in_demo(self, caller: Caller) -> Opened:
        """Open a session of the demo user; `NotFound` when there is none."""

        def read(session: Session) -> tuple[int, list[Seat]]:
            user = session.scalars(select(User).where(User.is_demo)).one_or_none()
            return (0, []) if user is None else (user.id, _seats(session, user.id))

        user_id, seats = await self._db.run(read)
        if not seats:
            raise NotFound("This is no demo: log in.")
        return await self._sessions.open(user_id, *seats[0], caller, is_demo=True)

    def ensure_demo(self, tenant_id: int) -> None:
        """Make the demo user, who may do everything in the demo tenant and has no password. Call in a demo only."""
        now = self._clock()

        def write(session: Session) -> None:
            if session.scalars(select(User).where(User.is_demo)).one_or_none() is None:
                user = User(email=DEMO_EMAIL, name=DEMO_NAME, is_demo=True, created=now)
                session.add(user)
                session.flush()
                session.add(Membership(tenant_id=tenant_id, user_id=user.id, role=Role.OWNER, created=now))

        self._db.write_sync(write)

    async def change_password(self, principal: Principal, current: str, new: str, caller: Caller) -> None:
        """Another password for the caller, who shows the old one; all other sessions of theirs end."""
        user = await self.user(principal.number)
        try:
            await self.prove(user.email, current, caller)
        except Unauthenticated:
            raise InvalidInput("$.current_password", "the password that you have") from None
        check_password(new, user.email, "$.new_password")
        await self.set_password(user.id, new, but=principal.session_id)

    async def add(self, email: str, name: str, tenant_id: int, role: Role, password: str) -> int:
        """A new user with a password and one membership. `Conflict` when the address is taken."""
        email = email_of(email)
        check_password(password, email)
        password_hash = await self._passwords.hash(password)
        now = self._clock()

        def write(session: Session) -> int:
            if session.scalars(select(User).where(User.email == email)).one_or_none() is not None:
                raise Conflict("There is a user with this e-mail address already.")
            user = User(email=email, name=name, password_hash=password_hash, is_demo=False, created=now)
            session.add(user)
            session.flush()
            session.add(Membership(tenant_id=tenant_id, user_id=user.id, role=role, created=now))
            return user.id

        user_id = await self._db.write(write)
        log.info("user_added", user_id=user_id, tenant_id=tenant_id, role=role)
        return user_id

    async def all(self) -> list[Known]:
        """Every user with each membership, by e-mail address."""

        def read(session: Session) -> list[Known]:
            rows = session.execute(
                select(User, Membership).join(Membership, Membership.user_id == User.id).order_by(User.email)
            )
            return [
                Known(u.id, u.email, u.name, m.tenant_id, Role(m.role), u.password_hash is not None, u.disabled)
                for u, m in rows
            ]

        return await self._db.run(read)

    async def disable(self, email: str, *, is_disabled: bool) -> int:
        """Shut a user out, ending every session, or let them in again. `NotFound` for an unknown address."""
        email = email_of(email)
        now = self._clock()

        def write(session: Session) -> int:
            user = session.scalars(select(User).where(User.email == email)).one_or_none()
            if user is None:
                raise NotFound("There is no user with this e-mail address.")
            user.disabled = now if is_disabled else None
            return user.id

        user_id = await self._db.write(write)
        if is_disabled:
            await self._sessions.end_all(user_id, "disabled")
        log.info("user_disabled" if is_disabled else "user_enabled", user_id=user_id)
        return user_id

    async def user(self, user_id: int) -> User:
        """One user; `NotFound` when there is none of this number."""
        found = await self._db.run(lambda session: session.get(User, user_id))
        if found is None:
            raise NotFound("There is no such user.")
        return found

    async def hash(self, password: str) -> str:
        """The hash of a new password."""
        return await self._passwords.hash(password)

    async def prove(self, email: str, password: str, caller: Caller) -> None:
        """`Unauthenticated` unless this is the password of a user that may log in; `Throttled` after too many tries."""
        account, client = (email, caller.address), caller.address
        self._by_account.attempt(account)
        self._by_client.attempt(client)
        found = await self._db.run(
            lambda session: session.scalar(
                select(User.password_hash).where(User.email == email, User.disabled.is_(None))
            )
        )
        if not await self._passwords.verify(found, password):
            log.info("log_in_refused")
            raise Unauthenticated("E-mail address and password do not belong together.")
        self._by_account.succeeded(account)
        self._by_client.succeeded(client)

    async def prove_second(self, email: str, otp: str | None) -> None:
        """`Unauthenticated` when this user, whose password was right, needs a one-time code and this is none."""
        user_id = await self._db.run(lambda session: session.scalar(select(User.id).where(User.email == email)))
        assert user_id is not None
        await self._second.prove(user_id, otp)

    async def set_password(self, user_id: int, password: str, *, but: str = "") -> None:
        """Another password; every session of the user ends, except one."""
        password_hash = await self._passwords.hash(password)

        def write(session: Session) -> None:
            user = session.get(User, user_id)
            if user is not None:
                user.password_hash = password_hash

        await self._db.write(write)
        await self._sessions.end_all(user_id, "password_changed", but=but)
        log.info("password_changed", user_id=user_id)


def _seats(session: Session, user_id: int) -> list[Seat]:
    rows = session.execute(
        select(Membership.tenant_id, Membership.role).where(Membership.user_id == user_id).order_by(Membership.id)
    )
    return [Seat(tenant_id, Role(role)) for tenant_id, role in rows]
