"""People, put together: what `cloud/app.py` opens, runs and closes."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
import time

from cloud.db.engine import Database
from cloud.identity.accounts import Accounts
from cloud.identity.invitations import Invitations
from cloud.identity.members import Members
from cloud.identity.passwords import Passwords
from cloud.identity.routes import People
from cloud.identity.sessions import Sessions, Tenants
from cloud.identity.tokens import Tokens, load_secret

SECRET = Path("identity") / "people.key"


class Identity:
    """Accounts and sessions over the relational database, with the secret in the data directory."""

    def __init__(
        self, db: Database, tenants: Tenants, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._db = db
        self._tenants = tenants
        self._clock = clock
        self._passwords = Passwords()

    def open(self, data_dir: Path, demo_tenant: str | None, url: Callable[[], str]) -> People:
        """Read the secret (made at the first start) and the sessions; with `demo_tenant` make its user.

        `url` tells where people reach the service.

        `ConfigError` when others may read the secret or it is weak.
        """
        tokens = Tokens(load_secret(data_dir / SECRET), self._clock)
        sessions = Sessions(self._db, tokens, self._tenants, self._clock)
        sessions.load(is_demo=demo_tenant is not None)
        accounts = Accounts(self._db, self._passwords, sessions, self._tenants, self._clock, time.monotonic)
        tenant_id = None if demo_tenant is None else self._tenants.tenant_named(demo_tenant)
        if tenant_id is not None:
            accounts.ensure_demo(tenant_id)
        return People(
            tenants=self._tenants,
            accounts=accounts,
            sessions=sessions,
            members=Members(self._db, sessions),
            invitations=Invitations(self._db, accounts, sessions, self._clock),
            is_demo=tenant_id is not None,
            is_secure=demo_tenant is None,
            url=url,
        )

    def close(self) -> None:
        """End the threads that hash."""
        self._passwords.close()
