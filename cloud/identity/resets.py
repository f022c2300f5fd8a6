"""A forgotten password: a link by mail, good once and for an hour. Whether there is such a user is not told."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.identity.accounts import Accounts
from cloud.identity.invitations import hash_of
from cloud.identity.mail import Mailer
from cloud.identity.passwords import check_password
from cloud.identity.sessions import Caller
from cloud.identity.tables import PasswordReset, User
from cloud.identity.throttle import Throttle
from sync_protocol.errors import Conflict, NotFound, Unavailable

LIFE = timedelta(hours=1)
FREE_TRIES = 3
_TEXT = """Somebody, you it may be, has asked for a new password for {email}.

Choose one here, within an hour:
{link}

Was it not you? Then do nothing: the password stays as it is.
"""
log = structlog.get_logger()


class Resets:
    """All resets. `link` makes the address of the page for a token."""

    def __init__(
        self,
        db: Database,
        accounts: Accounts,
        mailer: Mailer | None,
        link: Callable[[str], str],
        clock: Callable[[], datetime],
        passed_s: Callable[[], float],
    ) -> None:
        self._db = db
        self._accounts = accounts
        self._mailer = mailer
        self._link = link
        self._clock = clock
        self._throttle = Throttle(passed_s, FREE_TRIES)
        self._sending: set[asyncio.Task[None]] = set()

    async def ask(self, email: str, caller: Caller) -> None:
        """Send a link, if there is such a user; the answer and its time are the same without.

        `Conflict` where the service has no mail server, `Throttled` for who asks again and again.
        """
        if self._mailer is None:
            raise Conflict("This service sends no mail: an owner of your company can invite you again.")
        email = email.strip().lower()
        self._throttle.attempt((email, caller.address))
        sending = asyncio.create_task(self._send(self._mailer, email))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def use(self, token: str, password: str) -> None:
        """Set the new password; every session of the user ends. `NotFound` for a link that is not good."""
        user = await self._db.run(lambda session: self._good(session, token))
        check_password(password, user.email)
        now = self._clock()

        def write(session: Session) -> None:
            self._good(session, token)
            # Also those that were asked for and not opened.
            links = select(PasswordReset).where(PasswordReset.user_id == user.id, PasswordReset.used.is_(None))
            for link in session.scalars(links):
                link.used = now

        await self._db.write(write)
        await self._accounts.set_password(user.id, password)
        log.info("password_reset", user_id=user.id)

    async def _send(self, mailer: Mailer, email: str) -> None:
        token = secrets.token_urlsafe(32)
        now = self._clock()

        def write(session: Session) -> bool:
            user = session.scalars(
                select(User).where(User.email == email, User.disabled.is_(None), User.password_hash.is_not(None))
            ).one_or_none()
            if user is None:
                return False
            session.add(PasswordReset(user_id=user.id, token_hash=hash_of(token), created=now, expires=now + LIFE))
            return True

        if not await self._db.write(write):
            return
        try:
            await mailer.send(email, "A new password for Milepost", _TEXT.format(email=email, link=self._link(token)))
        except Unavailable:
            return  # told in the log; whoever waits for the mail asks again

    def _good(self, session: Session, token: str) -> User:
        user = session.scalars(
            select(User)
            .join(PasswordReset, User.id == PasswordReset.user_id)
            .where(
                PasswordReset.token_hash == hash_of(token),
                PasswordReset.used.is_(None),
                PasswordReset.expires > self._clock(),
                User.disabled.is_(None),
            )
        ).one_or_none()
        if user is None:
            raise NotFound("This link is not good, or no longer: ask for a new one.")
        return user
