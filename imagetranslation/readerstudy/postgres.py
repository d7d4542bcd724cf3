"""The store of hosted studies: the same chain of entries in PostgreSQL, for a server with many readers at once.

SQLAlchemy 2 with psycopg 3. One transaction an answer, committed before it counts; writers of one reader are
serialised by an advisory lock; entries can only be added (a trigger refuses anything else). The tables are made and
kept up to date by the migrations in `migrations`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError, RunFailed
from ..locks import Holder, holder_from, this_holder
from .chain import DIGEST, Finding, History, first_digest, link_fault, linked, to_line
from .locks import TakenOver, refusal
from .readingset import ReadingSet
from .soundness import parse_json
from .store import require_unchanged

# Where the database is, so that no password stands in a study file or a list of processes.
VARIABLE = "IMAGETRANSLATION_STUDY_DATABASE"
# A lock whose window said nothing for so long is free again: a container that is gone cannot give it back.
LAPSE_S = 1800.0


def connect(url: Optional[str] = None, pool: int = 10) -> Any:
    """An engine for a URL (`postgresql://user:password@host/database`; by default from the environment), migrated.

    pool: connections kept open; twice as many may come for a moment. Raises InputError (no or wrong URL) or RunFailed.
    """
    import sqlalchemy as sa

    given = url or os.environ.get(VARIABLE, "")
    if not re.match(r"postgres(ql)?(\+psycopg)?://", given):
        raise InputError(f"Name the database as postgresql://user@host/name, in the variable {VARIABLE}.")
    engine = sa.create_engine(
        re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", given),
        pool_size=pool,
        max_overflow=2 * pool,
        pool_pre_ping=True,
        pool_timeout=20,
    )
    with _as_sentence("The database of the study cannot be used"):
        migrate(engine)
    return engine


def migrate(engine: Any) -> None:
    """Bring the tables up to date; servers that start at once wait for each other."""
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended('imagetranslation studies', 0))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


class PostgresStore:
    """The answers of one study version; see `store.Store`."""

    def __init__(self, reading: ReadingSet, engine: Any) -> None:
        self._reading = reading
        self._engine = engine
        self._key = {"study": reading.study, "version": reading.version}
        with _as_sentence("The study cannot be entered into the database"), engine.begin() as connection:
            _run(
                connection,
                "INSERT INTO study_versions (study, version, manifest_sha256) VALUES (:study, :version, :sha) "
                "ON CONFLICT (study, version) DO UPDATE SET manifest_sha256 = :sha WHERE NOT study_versions.frozen",
                **self._key,
                sha=reading.sha256,
            )
        require_unchanged(self.frozen(), reading)

    def history(self, reader: str) -> History:
        """See `Store`."""
        first = self._first(reader)
        with _as_sentence("The answers cannot be read"), self._engine.connect() as connection:
            rows = _run(
                connection,
                "SELECT line FROM study_entries WHERE study = :study AND version = :version AND reader = :reader "
                "ORDER BY n",
                **self._key,
                reader=reader,
            ).all()
        entries: list[Mapping[str, Any]] = []
        for number, (line,) in enumerate(rows, 1):
            entry = _parsed(line)
            if fault := link_fault(entry, number, str(entries[-1][DIGEST]) if entries else first):
                broken = Finding("broken", f"{reader}, entry {number} in the database {fault}.")
                return History(reader, tuple(entries), (broken,))
            entries.append(entry)
        return History(reader, tuple(entries))

    def open(self, reader: str, take_over: bool = False) -> PostgresWriter:
        """See `Store`."""
        self._first(reader)
        require_unchanged(self.frozen(), self._reading)
        holder = this_holder()
        with _as_sentence("The reading cannot be opened"), self._engine.begin() as connection:
            _serialise(connection, self._key, reader)
            other = self._holder(connection, reader)
            if other is not None and not take_over:
                raise InputError(refusal(reader, other))
            _run(
                connection,
                "INSERT INTO study_locks (study, version, reader, holder) VALUES (:study, :version, :reader, :holder) "
                "ON CONFLICT (study, version, reader) DO UPDATE SET holder = :holder, touched = clock_timestamp()",
                **self._key,
                reader=reader,
                holder=json.dumps(asdict(holder)),
            )
        writer = PostgresWriter(self._engine, self._key, reader, holder)
        try:
            writer.begin(self.history(reader), self._first(reader))
        except BaseException:
            writer.close()
            raise
        return writer

    def holder(self, reader: str) -> Optional[Holder]:
        """See `Store`."""
        with _as_sentence("The database cannot be read"), self._engine.connect() as connection:
            return self._holder(connection, reader)

    def frozen(self) -> str:
        """See `Store`."""
        with _as_sentence("The database cannot be read"), self._engine.connect() as connection:
            row = _run(
                connection,
                "SELECT manifest_sha256 FROM study_versions WHERE study = :study AND version = :version AND frozen",
                **self._key,
            ).first()
        return "" if row is None else str(row[0])

    def freeze(self) -> None:
        """See `Store`."""
        with _as_sentence("The answer is not saved"), self._engine.begin() as connection:
            _run(
                connection,
                "UPDATE study_versions SET frozen = true WHERE study = :study AND version = :version "
                "AND manifest_sha256 = :sha AND NOT frozen",
                **self._key,
                sha=self._reading.sha256,
            )
        if self.frozen() != self._reading.sha256:
            require_unchanged(self.frozen() or "another", self._reading)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _holder(self, connection: Any, reader: str) -> Optional[Holder]:
        row = _run(
            connection,
            "SELECT holder FROM study_locks WHERE study = :study AND version = :version AND reader = :reader "
            "AND touched > clock_timestamp() - make_interval(secs => :lapse)",
            **self._key,
            reader=reader,
            lapse=LAPSE_S,
        ).first()
        holder = None if row is None else holder_from(row[0])
        return None if holder is None or holder.gone() else holder

    def _first(self, reader: str) -> str:
        if reader not in self._reading.readers:
            self._reading.trials(reader)  # says who there is
        return first_digest(self._reading.study, self._reading.sha256, reader)


class PostgresWriter:
    """The one writer of a reader; see `store.Writer`."""

    def __init__(self, engine: Any, key: Mapping[str, Any], reader: str, holder: Holder) -> None:
        self._engine, self._holder = engine, holder
        self._where = {**key, "reader": reader}
        self._key, self._reader = dict(key), reader
        self.history = History(reader)
        self.warnings: tuple[str, ...] = ()
        self._first = ""

    def begin(self, history: History, first: str) -> None:
        """Take up a reader's history; InputError where its chain is broken."""
        if history.broken:
            raise InputError(
                f"The answers of {self._reader} are damaged: {history.broken} Nothing was changed and nothing more is "
                "written; tell the coordinator, who looks with `imagetranslation study verify`."
            )
        self.history, self._first = history, first

    def append(self, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """See `Writer`. The place in the chain is read within the transaction: after a connection that broke at the
        very commit, nobody knows here whether that answer arrived, but the database does."""
        import sqlalchemy as sa

        made: list[dict[str, Any]] = []
        with _as_sentence("The answer is not saved"), self._engine.begin() as connection:
            _serialise(connection, self._key, self._reader)
            self._require(connection)
            last = _run(
                connection,
                "SELECT n, sha256 FROM study_entries WHERE study = :study AND version = :version AND reader = :reader "
                "ORDER BY n DESC LIMIT 1",
                **self._where,
            ).first()
            number, previous = (0, self._first) if last is None else (int(last[0]), str(last[1]))
            for entry in entries:
                number += 1
                made.append(linked(entry, number, previous))
                previous = str(made[-1][DIGEST])
            connection.execute(
                sa.text(
                    "INSERT INTO study_entries (study, version, reader, n, sha256, line) "
                    "VALUES (:study, :version, :reader, :n, :sha256, :line)"
                ),
                [
                    {**self._where, "n": e["n"], "sha256": e[DIGEST], "line": to_line(e).decode("ascii").rstrip("\n")}
                    for e in made
                ],
            )
        return made

    def touch(self) -> None:
        """See `Writer`; without it a lock lapses after `LAPSE_S` seconds without an answer."""
        with _as_sentence("The database cannot be reached"), self._engine.begin() as connection:
            self._require(connection)

    def close(self) -> None:
        """Give the lock back; one that cannot be given back lapses."""
        with contextlib.suppress(RunFailed), _as_sentence("The lock stays"), self._engine.begin() as connection:
            _run(
                connection,
                "DELETE FROM study_locks WHERE study = :study AND version = :version AND reader = :reader "
                "AND holder::json ->> 'nonce' = :nonce",
                **self._where,
                nonce=self._holder.nonce,
            )

    def _require(self, connection: Any) -> None:
        """Renew the lock; RunFailed where it is another's."""
        done = _run(
            connection,
            "UPDATE study_locks SET touched = clock_timestamp() WHERE study = :study AND version = :version "
            "AND reader = :reader AND holder::json ->> 'nonce' = :nonce",
            **self._where,
            nonce=self._holder.nonce,
        )
        if done.rowcount != 1:
            raise TakenOver(
                f"The reading of {self._reader} was taken over in another window; nothing more is saved from this one. "
                "Close it."
            )


def _run(connection: Any, statement: str, **values: Any) -> Any:
    import sqlalchemy as sa

    return connection.execute(sa.text(statement), values)


def _serialise(connection: Any, key: Mapping[str, Any], reader: str) -> None:
    """Let writers of one reader wait for each other until the end of the transaction."""
    name = f"{key['study']}|{key['version']}|{reader}"
    _run(connection, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=name)


def _parsed(line: str) -> Any:
    try:
        return parse_json(line.encode("utf-8", "replace"), "")
    except InputError:
        return None


@contextlib.contextmanager
def _as_sentence(what: str) -> Iterator[None]:
    """Any fault of the database becomes RunFailed with one sentence, without address or password."""
    import sqlalchemy as sa

    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        text = str(getattr(error, "orig", None) or error).strip().splitlines()[0][:160]
        text = re.sub(r"://\S+", "://...", text)
        raise RunFailed(
            f"{what}: the database says '{text}'. Try again; if that does not help, tell the coordinator."
        ) from error
