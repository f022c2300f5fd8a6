"""Alembic's entry: runs on the connection that `cloud.db.migrate` hands over, in its transaction."""

from alembic import context

connection = context.config.attributes["connection"]
# SQLite cannot alter a table: batch mode copies it.
context.configure(connection=connection, render_as_batch=True, transactional_ddl=False)
context.run_migrations()
