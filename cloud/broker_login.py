"""How the service shows the broker who it is: not at all, by password, or by a token and a signature."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
import ssl
from typing import Any, Protocol

import msgspec


class Login(Protocol):
    """What a connection to the broker needs beside an address."""

    def options(self) -> dict[str, Any]:
        """For nats-py's `connect`."""

    def answer(self, nonce: str) -> dict[str, str]:
        """For CONNECT of the client protocol, to the server's nonce."""

    def tls(self) -> ssl.SSLContext | None:
        """None: the connection is not encrypted, which happens on loopback only."""


class NoLogin(msgspec.Struct, frozen=True):
    """A broker that asks for nothing."""

    def options(self) -> dict[str, Any]:
        """See `Login.options`."""
        return {}

    def answer(self, nonce: str) -> dict[str, str]:
        """See `Login.answer`."""
        return {}

    def tls(self) -> ssl.SSLContext | None:
        """See `Login.tls`."""
        return None


NO_LOGIN = NoLogin()


class PasswordLogin(msgspec.Struct, frozen=True):
    """User and password of the configuration."""

    user: str
    password: str

    def options(self) -> dict[str, Any]:
        """See `Login.options`."""
        return {"user": self.user, "password": self.password}

    def answer(self, nonce: str) -> dict[str, str]:
        """See `Login.answer`."""
        return {"user": self.user, "pass": self.password}

    def tls(self) -> ssl.SSLContext | None:
        """See `Login.tls`."""
        return None


class TokenLogin(msgspec.Struct, frozen=True):
    """A NATS token, and the key that it is for; over TLS from the first byte."""

    token: str
    sign: Callable[[bytes], bytes]
    context: ssl.SSLContext

    def options(self) -> dict[str, Any]:
        """See `Login.options`."""
        return {
            "user_jwt_cb": self.token.encode,
            "signature_cb": lambda nonce: b64encode(self.sign(nonce.encode())),
            "tls": self.context,
            "tls_handshake_first": True,
        }

    def answer(self, nonce: str) -> dict[str, str]:
        """See `Login.answer`."""
        signature = urlsafe_b64encode(self.sign(nonce.encode())).decode().rstrip("=")
        return {"jwt": self.token, "sig": signature}

    def tls(self) -> ssl.SSLContext | None:
        """See `Login.tls`."""
        return self.context
