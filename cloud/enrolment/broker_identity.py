"""What the broker is told of accounts and TLS, and as whom the service speaks to it."""

from collections.abc import Callable, Mapping
import json
from pathlib import Path
import ssl
import time

from cloud.broker_login import TokenLogin
from cloud.enrolment import nats_jwt
from cloud.enrolment.keyring import AUTHORITY, SERVER, SERVER_KEY, Keyring
from cloud.enrolment.keys import Key


class DeploymentIdentity:
    """`cloud.ingest.broker.BrokerIdentity` of a keyring. `revoked` is asked whenever the account's token is made."""

    def __init__(self, keyring: Keyring, revoked: Callable[[], Mapping[str, int]]) -> None:
        self._keyring = keyring
        self._revoked = revoked
        context = ssl.create_default_context(cafile=str(keyring.folder / AUTHORITY))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context = context

    def fleet_jwt(self) -> str:
        """The account of the devices as it stands now."""
        ring = self._keyring
        account, service, devices = ring.facts.fleet_account, ring.service.public, ring.devices.public
        return nats_jwt.fleet_jwt(ring.operator, account, service, devices, self._revoked(), _now_s())

    def server_lines(self, folder: Path) -> list[str]:
        """See `BrokerIdentity.server_lines`. The accounts are given at each start: whatever lay there is older."""
        return server_lines(self._keyring, folder, {self._keyring.facts.fleet_account: self.fleet_jwt()})

    def login(self) -> TokenLogin:
        """The service among the devices."""
        ring = self._keyring
        return self._token(ring.service, ring.facts.fleet_account, "milepost")

    def system_login(self) -> TokenLogin:
        """The service where accounts are changed, and where connections are told."""
        ring = self._keyring
        return self._token(ring.system, ring.facts.system_account, "milepost-system")

    def _token(self, signing: Key, account: str, name: str) -> TokenLogin:
        # A key for each connection: two with one key would look like a clone.
        user = Key.make("U")
        return TokenLogin(nats_jwt.service_jwt(signing, account, user.public, name, _now_s()), user.sign, self._context)


def server_lines(ring: Keyring, folder: Path, accounts: Mapping[str, str]) -> list[str]:
    """Lines of nats-server's configuration that make it the broker of this identity; `folder` keeps its accounts.

    `accounts`: tokens by account that it shall know from the start, beside the system's.
    """
    facts, own = ring.facts, ring.folder
    known = {facts.system_account: facts.system_jwt, **accounts}
    return [
        f"operator: {json.dumps(facts.operator_jwt)}",
        f"system_account: {facts.system_account}",
        f'resolver {{ type: full, dir: {json.dumps(str(folder / "accounts"))}, interval: "2m", limit: 16 }}',
        "resolver_preload {",
        *(f"  {account}: {json.dumps(token)}" for account, token in known.items()),
        "}",
        "tls {",
        f"  cert_file: {json.dumps(str(own / SERVER))}",
        f"  key_file: {json.dumps(str(own / SERVER_KEY))}",
        '  min_version: "1.3"',
        "  handshake_first: true",  # `auto` was seen to fall back to plain text under load
        '  timeout: "10s"',
        "}",
    ]


def _now_s() -> int:
    return int(time.time())
