"""A deployment as somebody would set one up: an identity, a tenant, its owner, a service over TLS."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import ssl
from typing import Any

import httpx
import msgspec

from cloud.app import Cloud
from cloud.config import CloudConfig, DatabaseConfig
from cloud.identity.policy import Role
from tests.support.cloud_process import PROMPT, CloudProcess

OWNER, PASSWORD = "owner@acme.example", "gravel-orbit-lantern"


class Deployment:
    """`process` is the service; not started yet."""

    def __init__(self, folder: Path, *tenants: str, **settings: str) -> None:
        self.folder = folder
        self.process = CloudProcess(folder, **PROMPT, MILEPOST__DEMO="false", **settings)
        made = self.process.command("init", "--host", "localhost")
        assert made.exit_code == 0, made.output
        database = DatabaseConfig(settings.get("MILEPOST__DATABASE__URL"))
        cloud = Cloud(CloudConfig(data_dir=folder, database=database))
        cloud.open_stores()
        try:
            for tenant in tenants:
                number = cloud.registry.add_tenant(tenant)
                owner = OWNER.replace("acme", tenant)
                asyncio.run(cloud.people.accounts.add(owner, "Owner", number, Role.OWNER, PASSWORD))
        finally:
            cloud.close()

    def tls(self) -> ssl.SSLContext:
        """Believes the deployment's authority only."""
        return ssl.create_default_context(cafile=str(self.folder / "identity" / "ca.pem"))

    @contextmanager
    def client(self, tenant: str) -> Iterator[httpx.Client]:
        """The API as the tenant's owner."""
        with httpx.Client(base_url=self.process.url, verify=self.tls(), timeout=20) as client:
            form = {"username": OWNER.replace("acme", tenant), "password": PASSWORD}
            opened = client.post("/api/v1/auth/token", data=form)
            assert opened.status_code == 200, opened.text
            client.headers["Authorization"] = f"Bearer {opened.json()['access_token']}"
            yield client

    def claims(self, tenant: str, *options: str) -> list[dict[str, Any]]:
        """New claim codes, from the command line."""
        made = self.process.command("claim", "make", "--tenant", tenant, "--json", *options)
        assert made.exit_code == 0, made.output
        items: list[dict[str, Any]] = msgspec.json.decode(made.stdout)["items"]
        return items
