"""What alembic runs to apply the migrations: on the connection that `postgres` hands over, never by itself."""

from __future__ import annotations


def run() -> None:
    """Apply what is missing, in the transaction of the connection given in the configuration's attributes."""
    from alembic import context

    connection = context.config.attributes["connection"]
    context.configure(connection=connection, version_table="imagetranslation_study_version")
    with context.begin_transaction():
        context.run_migrations()


run()
