"""Studies, their entries (which can only be added) and the locks of readers."""

from __future__ import annotations

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = """
CREATE FUNCTION study_entries_only_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'entries of a reader study are never changed or removed';
END $$
"""
_TRIGGER = """
CREATE TRIGGER study_entries_only_grow BEFORE UPDATE OR DELETE OR TRUNCATE ON study_entries
FOR EACH STATEMENT EXECUTE FUNCTION study_entries_only_grow()
"""


def upgrade() -> None:
    """Make the three tables."""
    import sqlalchemy as sa
    from alembic import op

    op.create_table(
        "study_versions",
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("manifest_sha256", sa.Text, nullable=False),
        sa.Column("frozen", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "study_entries",
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("reader", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("kept", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.ForeignKeyConstraint(["study", "version"], ["study_versions.study", "study_versions.version"]),
    )
    op.create_table(
        "study_locks",
        sa.Column("study", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("reader", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
    )
    op.execute(_APPEND_ONLY)
    op.execute(_TRIGGER)


def downgrade() -> None:
    """Answers are never dropped by a migration."""
    raise NotImplementedError("the answers of a reader study are not dropped by a migration")
