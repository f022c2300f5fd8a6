"""People, put together: what `cloud/app.py` opens, runs and closes."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
import time

from cloud.config import MailConfig
from cloud.db.engine import Database
from cloud.identity.accounts import Accounts
from cloud.identity.api_keys import ApiKeys
from cloud.identity.invitations import Invitations
from cloud.identity.mail import Mailer
from cloud.identity.members import Members
from cloud.identity.passwords import Passwords
from cloud.identity.personal import Personal
from cloud.identity.resets import Resets
from cloud.identity.routes import People, link
from cloud.identity.second_factor import SecondFactor
from cloud.identity.sessions import Sessions, Tenants
from cloud.identity.tokens import Tokens, load_secret
from cloud.identity.vault import Vault

SECRET = Path("identity") / "people.key"
_SWEEP_S = 30.0


def _utc() -> datetime:
    return datetime.now(UTC)


class Identity:
    """Everything about people and keys, over the relational database, with the secret in the data directory."""

    def __init__(self, db: Database, tenants: Tenants, mail: MailConfig, clock: Callable[[], datetime] = _utc) -> None:
        self._db = db
        self._tenants = tenants
        self._mailer = None if mail.host is None else Mailer(mail)
        self._clock = clock
        self._passwords = Passwords()

    def open(self, data_dir: Path, demo_tenant: str | None, url: Callable[[], str]) -> People:
        """Read the secret (made at the first start), sessions and keys; with `demo_tenant` make its user.

        `url` tells where people reach the service. `ConfigError` when others may read the secret or it is weak.
        """
        db, tenants, clock, passed_s = self._db, self._tenants, self._clock, time.monotonic
        secret = load_secret(data_dir / SECRET)
        second = SecondFactor(db, Vault(secret), clock, passed_s)
        sessions = Sessions(db, Tokens(secret, clock), tenants, clock)
        sessions.load(is_demo=demo_tenant is not None)
        keys = ApiKeys(db, tenants, clock)
        keys.load()
        accounts = Accounts(db, self._passwords, sessions, second, tenants, clock, passed_s)
        tenant_id = None if demo_tenant is None else tenants.tenant_named(demo_tenant)
        if tenant_id is not None:
            accounts.ensure_demo(tenant_id)
        return People(
            tenants=tenants,
            accounts=accounts,
            sessions=sessions,
            members=Members(db, sessions),
            invitations=Invitations(db, accounts, sessions, clock),
            second=second,
            resets=Resets(db, accounts, self._mailer, partial(link, url, "reset"), clock, passed_s),
            keys=keys,
            mailer=self._mailer,
            personal=Personal(db, sessions, tenants, clock),
            is_demo=tenant_id is not None,
            is_secure=demo_tenant is None,
            url=url,
        )

    def close(self) -> None:
        """End the threads that hash."""
        self._passwords.close()


async def keep_ending(people: People) -> None:
    """End sessions and keys whose time has come. Runs until cancelled."""
    while True:
        await asyncio.sleep(_SWEEP_S)
        await people.sessions.end_expired()
        await people.keys.end_expired()
