"""Migrations of the database in which hosted studies keep their answers (alembic); run by `postgres`."""
