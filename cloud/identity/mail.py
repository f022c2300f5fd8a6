"""Mail to people, over the SMTP server of the configuration; plain text, one message at a time."""

import asyncio
from email.message import EmailMessage
import smtplib
import ssl

import structlog

from cloud.config import MailConfig
from sync_protocol.errors import ConfigError, Unavailable

TIMEOUT_S = 20.0
log = structlog.get_logger()


class Mailer:
    """Sends. `ConfigError` when the password file cannot be read."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config
        self._password: str | None = None
        if config.password_file is not None:
            try:
                self._password = config.password_file.read_text(encoding="utf-8").strip()
            except OSError as err:
                raise ConfigError(f"$.mail.password_file: {config.password_file}: {err.strerror}") from err

    async def send(self, to: str, subject: str, text: str) -> None:
        """Hand a message to the server. `Unavailable` when it does not take it."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._config.sender, to, subject
        # A reply would reach nobody, and an automatic one must not come.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await asyncio.to_thread(self._send, message)

    def _send(self, message: EmailMessage) -> None:
        config = self._config
        assert config.host is not None
        context = ssl.create_default_context()
        try:
            if config.tls == "tls":
                server: smtplib.SMTP = smtplib.SMTP_SSL(config.host, config.port, timeout=TIMEOUT_S, context=context)
            else:
                server = smtplib.SMTP(config.host, config.port, timeout=TIMEOUT_S)
            with server:
                if config.tls == "starttls":
                    server.starttls(context=context)
                if config.user is not None:
                    server.login(config.user, self._password or "")
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as err:
            log.warning("mail_failed", host=config.host, port=config.port, error=type(err).__name__)
            raise Unavailable(f"mail server {config.host}:{config.port}: {err}") from err
