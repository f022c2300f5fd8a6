"""Row-level security on PostgreSQL: behind `cloud.db.scope`, so that even raw SQL sees the rows of one tenant only.

Who asks stands in two settings of the connection. Our pool's connections are the service's own (`milepost.service` is
`on`: ingest, derive, registry, log-in); a session that is narrowed to a tenant gives that up for its transaction and
says `milepost.tenant_id` instead. Whoever says neither sees nothing, the owner of the tables included.

The service logs in as a role that owns nothing. Migrations act as the owner of the database, which it is a member of.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, inspect, text

from sync_protocol.errors import ConfigError

POLICY = "tenant_rows"
_BOOKKEEPING = "alembic_version"
_SERVICE = "(SELECT current_setting('milepost.service', true) = 'on')"
_TENANT = "(SELECT nullif(current_setting('milepost.tenant_id', true), '')::bigint)"
_NARROW = text("SELECT set_config('milepost.service', 'off', true), set_config('milepost.tenant_id', :tenant_id, true)")
_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
_BARE = """
    SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> :bookkeeping
      AND NOT (c.relrowsecurity AND c.relforcerowsecurity
               AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = :policy))
    ORDER BY c.relname
"""


def begin_service(connection: Any, _record: Any) -> None:
    """Mark a new connection of the driver as the service's own."""
    connection.execute("SET milepost.service = 'on'")
    connection.commit()


def narrow_rows(connection: Connection, tenant_id: int) -> None:
    """For the rest of the transaction only one tenant's rows are there; nothing to do on SQLite."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NARROW, {"tenant_id": str(tenant_id)})


def unprotected(connection: Connection) -> Sequence[str]:
    """Tables without their policy, or whose owner it does not bind."""
    return list(connection.scalars(text(_BARE), {"bookkeeping": _BOOKKEEPING, "policy": POLICY}))


def become_owner(connection: Connection) -> None:
    """For the rest of the transaction act as the owner of the database."""
    owner = connection.scalar(text(_OWNER))
    connection.exec_driver_sql(f"SET LOCAL ROLE {connection.dialect.identifier_preparer.quote(str(owner))}")


def lift(connection: Connection) -> None:
    """Take every policy off, because a migration can neither drop nor alter what one refers to. Call as the owner."""
    quote = connection.dialect.identifier_preparer.quote
    tables = text("SELECT tablename FROM pg_policies WHERE schemaname = current_schema() AND policyname = :policy")
    for table in connection.scalars(tables, {"policy": POLICY}).all():
        connection.exec_driver_sql(f"DROP POLICY {POLICY} ON {quote(table)}")
        connection.exec_driver_sql(f"ALTER TABLE {quote(table)} NO FORCE ROW LEVEL SECURITY")


def protect(connection: Connection) -> None:
    """Give every table that has none its policy, and let the role that is logged in work with all of them.

    Ends every migration, so that no table of a later one is forgotten. Call as the owner.
    """
    quote = connection.dialect.identifier_preparer.quote
    columns = {name: {c["name"] for c in inspect(connection).get_columns(name)} for name in unprotected(connection)}
    for table, names in columns.items():
        condition = f"{_SERVICE} OR {_belongs(table, names)}"
        for order in (
            f"ALTER TABLE {quote(table)} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {quote(table)} FORCE ROW LEVEL SECURITY",
            f"DROP POLICY IF EXISTS {POLICY} ON {quote(table)}",
            f"CREATE POLICY {POLICY} ON {quote(table)} USING ({condition}) WITH CHECK ({condition})",
        ):
            connection.exec_driver_sql(order)
    login = quote(str(connection.scalar(text("SELECT session_user"))))
    schema = quote(str(connection.scalar(text("SELECT current_schema()"))))
    connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {login}")
    connection.exec_driver_sql(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {login}")


def _belongs(table: str, columns: set[str]) -> str:
    """The condition under which a row is the tenant's; a table that says nothing of tenants is the service's alone."""
    if "tenant_id" in columns:
        return f"tenant_id = {_TENANT}"
    if table == "tenants":
        return f"id = {_TENANT}"
    if table == "users":
        return f"id IN (SELECT user_id FROM memberships WHERE memberships.tenant_id = {_TENANT})"  # noqa: S608 - ours
    return "false"


def check_role(connection: Connection) -> None:
    """`ConfigError` for a role whom no policy binds."""
    query = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user")
    if connection.dialect.name == "postgresql" and connection.scalar(query):
        raise ConfigError(
            "$.database.url: expected a role that is neither SUPERUSER nor BYPASSRLS, because no policy would keep "
            "tenants apart for it (docs/ops/postgres.md says how to make one)"
        )
