"""People over a database, with a clock that the test turns and hashes that cost nothing."""

from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher

from cloud.db.engine import Database
from cloud.fleet.tables import Tenant
from cloud.identity.accounts import Accounts
from cloud.identity.api_keys import ApiKeys
from cloud.identity.invitations import Invitations
from cloud.identity.members import Members
from cloud.identity.passwords import Passwords
from cloud.identity.personal import Personal
from cloud.identity.policy import Principal, Role
from cloud.identity.second_factor import SecondFactor
from cloud.identity.sessions import Caller, Sessions
from cloud.identity.tokens import Tokens
from cloud.identity.vault import Vault

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECRET = bytes(range(32))
HERE, ELSEWHERE = Caller("192.0.2.1", "test"), Caller("198.51.100.7", "other")
PASSWORD = "gravel-orbit-lantern"
TENANTS = {"north": 1, "south": 2}


class Directory:
    """`cloud.identity.sessions.Tenants` of two tenants."""

    def __init__(self) -> None:
        self.suspended: set[int] = set()

    def tenant_name(self, tenant_id: int) -> str:
        """The name of a tenant."""
        return next(name for name, number in TENANTS.items() if number == tenant_id)

    def tenant_named(self, name: str) -> int | None:
        """The tenant of a name."""
        return TENANTS.get(name)

    def is_suspended(self, tenant_id: int) -> bool:
        """Whether the test has suspended it."""
        return tenant_id in self.suspended


class Town:
    """Accounts and sessions; `now` and `passed_s` are turned by the test."""

    def __init__(self, url: str) -> None:
        """`url`: of an empty database at the newest revision."""
        self.directory = Directory()
        self.now = NOW
        self.passed_s = 0.0
        self.db = Database(url)
        rows = [Tenant(id=number, name=name, created=NOW) for name, number in TENANTS.items()]
        self.db.write_sync(lambda session: session.add_all(rows))
        self.tokens = Tokens(SECRET, lambda: self.now)
        self.passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        self.open()

    def open(self, *, is_demo: bool = False) -> None:
        """Read what the database has, as after a start."""
        self.sessions = Sessions(self.db, self.tokens, self.directory, lambda: self.now)
        self.sessions.load(is_demo=is_demo)
        self.second = SecondFactor(self.db, Vault(SECRET), lambda: self.now, lambda: self.passed_s)
        self.accounts = Accounts(
            self.db, self.passwords, self.sessions, self.second, self.directory, lambda: self.now, lambda: self.passed_s
        )
        self.keys = ApiKeys(self.db, self.directory, lambda: self.now)
        self.keys.load()

        self.invitations = Invitations(self.db, self.accounts, self.sessions, lambda: self.now)
        self.members = Members(self.db, self.sessions)
        self.personal = Personal(self.db, self.sessions, self.directory, lambda: self.now)

    async def principal(self, email: str = "mara@fleet.example", tenant: str | None = None) -> Principal:
        """The principal of a new session."""
        opened = await self.accounts.log_in(email, PASSWORD, tenant, HERE)
        principal = self.sessions.identify(opened.access)
        assert principal is not None
        return principal

    def later(self, **passed: float) -> None:
        """Turn the clock."""
        self.now += timedelta(**passed)

    async def add(self, email: str = "mara@fleet.example", tenant: str = "north", role: Role = Role.MANAGER) -> int:
        """A user with `PASSWORD`."""
        return await self.accounts.add(email, "Mara", TENANTS[tenant], role, PASSWORD)

    def close(self) -> None:
        """End the threads."""
        self.passwords.close()
        self.db.close()
