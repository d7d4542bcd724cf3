"""`imagetranslation study`: design a reader study, prepare what readers see, watch it, check it, export it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError
from .console import Console
from .options import Json, cancel_on_interrupt
from .studyquestions import Choices, ask
from .studyserve import serve

if TYPE_CHECKING:
    from ..readerstudy.building import Built
    from ..readerstudy.definition import Study
    from ..readerstudy.readingset import ReadingSet
    from ..readerstudy.store import Store

app = typer.Typer(help="Blinded reader studies: design, prepare, watch, check, export.", no_args_is_help=True)
_FAILED = 4
app.command()(serve)

Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder (with study.json).")]
Database = Annotated[
    Optional[str],
    typer.Option(help="Answers are in this PostgreSQL database (postgresql://user@host/name) instead of the folder."),
]
KeyFolder = Annotated[
    Optional[Path], typer.Option("--key", help="Folder of the key, if it is not `key` in the study's folder.")
]


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="Folder to make.")],
    template: Annotated[Optional[str], typer.Option(help="us2mri, pool2delayed, or a file.")] = None,
    cases: Annotated[
        Optional[Path],
        typer.Option(help="CSV: case, patient, source, truth, training, and one column of files for each arm."),
    ] = None,
    readers: Annotated[Optional[str], typer.Option(help="How many, or their codes with commas between.")] = None,
    seed: Annotated[Optional[int], typer.Option(min=0, help="Random by default; stored in the study.")] = None,
    title: Annotated[Optional[str], typer.Option(help="Title that readers see.")] = None,
    display: Annotated[
        Optional[str], typer.Option(help="single, pair, source_synthetic, forced_choice or ranking.")
    ] = None,
    sessions: Annotated[
        Optional[int],
        typer.Option(
            min=1, max=12, help="By default one for each arm where arms are read singly; 1 reads all at one sitting."
        ),
    ] = None,
    washout: Annotated[Optional[float], typer.Option(min=0, help="Days between sessions (28 by default).")] = None,
    key: KeyFolder = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Prepare the readers' images at once.")] = True,
    as_json: Json = False,
) -> None:
    """Make a study: definition, schedule, key and reading set; prints the balance of the schedule.

    Without --cases it asks for what it needs.

    imagetranslation study new my-study --template us2mri --cases cases.csv --readers 7 --seed 1
    """
    from ..readerstudy.creation import create, load_template, new_document, read_cases

    given = Choices(template, cases, readers, seed, title, display, sessions, washout)
    if cases is None:
        if as_json or not sys.stdin.isatty():
            raise InputError("Name the list of cases with --cases; without a terminal nothing can be asked.")
        given = ask(given)
    if given.template is None or given.cases is None or given.readers is None:
        raise InputError("Name a template (--template) and the number of readers (--readers) as well.")
    document = new_document(
        load_template(given.template),
        read_cases(given.cases),
        _readers(given.readers),
        id_=re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip(".-_")[:64] or "study",
        seed=given.seed,
        changes=given.changes(),
    )
    study = create(document, folder)
    if not as_json:
        print(_sessions(study))
    if not images:
        _print_balance(study, as_json)
        return
    _report(_build(folder, key, Console(as_json)), as_json)


@app.command()
def prepare(folder: Folder, key: KeyFolder = None, as_json: Json = False) -> None:
    """Make schedule, key and reading set again after study.json was changed; refused once answers were given."""
    _report(_build(folder, key, Console(as_json)), as_json)


@app.command()
def revise(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new version.")],
    definition: Annotated[Optional[Path], typer.Option(help="Study file with the changes.")] = None,
    key: KeyFolder = None,
    as_json: Json = False,
) -> None:
    """Make a new version of a study that has answers, in a folder of its own; the old one stays as it is."""
    from ..readerstudy.creation import revise as make

    make(folder, output, definition)
    _report(_build(output, key, Console(as_json)), as_json)


@app.command()
def balance(folder: Folder, as_json: Json = False) -> None:
    """Print the balance of the schedule."""
    from ..readerstudy.definition import load_study

    _print_balance(load_study(folder), as_json)


@app.command()
def audit(
    folder: Folder,
    key: KeyFolder = None,
    everything: Annotated[bool, typer.Option("--all", help="List everything a reader could see.")] = False,
    as_json: Json = False,
) -> None:
    """List what a reader could see and fail on anything that tells which image is which."""
    found = _audited(folder, key)
    if as_json:
        print(json.dumps({"passed": found.passed, "leaks": found.leaks, "notes": found.notes, "listed": found.listed}))
    else:
        for row in found.listed if everything else []:
            print(f"{row['what']:8} {row['name']}  {row['detail']}")
        _print_audit(found)
    if not found.passed:
        raise typer.Exit(_FAILED)


@app.command()
def status(folder: Folder, database: Database = None, as_json: Json = False) -> None:
    """Who has read how much, when last, and who has it open now."""
    from ..readerstudy.checking import status as look

    reading, store = _opened(folder, database)
    rows = look(reading, store)
    store.close()
    if as_json:
        print(json.dumps({"study": reading.study, "version": reading.version, "readers": rows}))
        return
    header = ["reader", "done", "last answer (UTC)", "median s/case", "open on", "last digest"]
    lines = [
        [r["reader"], f"{r['done']}/{r['total']}", r["last"], r["median_reading_s"], r["open_on"], r["digest"][:12]]
        for r in rows
    ]
    _table(f"{reading.title}, version {reading.version}", header, lines)
    for row in rows:
        for text in row["findings"]:
            print(f"  {text}")


@app.command()
def verify(folder: Folder, database: Database = None, as_json: Json = False) -> None:
    """Check every journal (hash chain, completeness) and every image; fails where an answer or image was touched."""
    from ..readerstudy.checking import verify as check

    reading, store = _opened(folder, database)
    found = check(reading, store)
    store.close()
    wrong = [row for row in found if row["severity"] == "error"]
    if as_json:
        print(json.dumps({"sound": not wrong, "found": found}))
    else:
        for row in found:
            print(f"{row['severity'].upper():10} {row['text']}")
        print("Every entry stands in an unbroken chain." if not wrong else f"{len(wrong)} errors.")
    if wrong:
        raise typer.Exit(_FAILED)


@app.command()
def merge(
    folder: Folder,
    sites: Annotated[list[Path], typer.Argument(metavar="SITE...", help="Reading sets that came back from sites.")],
    as_json: Json = False,
) -> None:
    """Take over the journals of copies of the reading set; all or none, conflicts are named."""
    from ..readerstudy.checking import merge as join
    from ..readerstudy.readingset import load_reading_set

    merged = join(load_reading_set(folder), sites)
    if as_json:
        print(json.dumps({"copied": merged.copied, "same": merged.same, "findings": merged.findings}))
    else:
        print(f"Taken over: {', '.join(merged.copied) or 'none'}. There already: {', '.join(merged.same) or 'none'}.")
        for text in merged.findings:
            print(f"WARNING  {text}")


@app.command()
def export(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")],
    blinded: Annotated[bool, typer.Option("--blinded", help="Without the key: tokens, no case, no arm.")] = False,
    question: Annotated[str, typer.Option(help="Rating question for iMRMC and RJafroc (default: primary).")] = "",
    key: KeyFolder = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write answers as CSV, a data dictionary and a readable log; with truth the layouts of iMRMC and RJafroc."""
    from ..readerstudy.definition import load_study
    from ..readerstudy.exports import write_exports
    from ..readerstudy.key import load_key

    reading, store = _opened(folder, database)
    study, truth = (None, None) if blinded else (load_study(folder), load_key(key or folder))
    files = write_exports(output, reading, store, study, truth, question)
    store.close()
    if as_json:
        print(json.dumps({"files": [str(file) for file in files]}))
    else:
        for file in files:
            print(f"Wrote {file}")


@app.command()
def analyze(
    folder: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make for the report.")],
    key: KeyFolder = None,
    interim: Annotated[bool, typer.Option("--interim", help="Analyse although reading goes on; marked so.")] = False,
    closed: Annotated[str, typer.Option(metavar="REASON", help="Why reading ended although it is incomplete.")] = "",
    draws: Annotated[int, typer.Option(min=100, max=100_000, help="Resamples for each interval.")] = 2000,
    seed: Annotated[Optional[int], typer.Option(min=0, help="Of the resampling; by default the study's.")] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Open the key and write the report: report.html, results.json, tables as CSV, figures as SVG.

    imagetranslation study analyze my-study -o report
    """
    from ..readerstudy.analysis.gathering import gather
    from ..readerstudy.analysis.report import analyse
    from ..readerstudy.analysis.writing import require_new, write_report
    from ..readerstudy.statistics.versions import require

    require()
    require_new(output)
    _, store = _opened(folder, database)
    gathered = gather(folder, key, store=store, interim=interim, closed=closed)
    store.close()
    stop = cancel_on_interrupt()
    with Console(as_json).progress() as bar:
        made = analyse(gathered, draws=draws, seed=seed, progress=bar.update, cancelled=stop.is_set)
    page = write_report(made, gathered, output)
    if as_json:
        print(json.dumps({"report": str(page), "status": gathered.status, "alarms": list(made.alarms)}))
        return
    for text in made.alarms:
        print(text)
    print(f"Wrote {page}")


def _sessions(study: Study) -> str:
    if study.sessions == 1:
        return "Every reader reads in one session."
    return (
        f"Every reader reads in {study.sessions} sessions, {study.washout_days:g} days or more apart, so that what was "
        "seen of a patient is forgotten; --sessions 1 would read all at one sitting."
    )


def _build(folder: Path, key: Optional[Path], console: Console) -> Built:
    from ..readerstudy.building import build

    stop = cancel_on_interrupt()
    with console.progress("Preparing") as bar:
        return build(folder, key, bar.update, stop.is_set)


def _report(built: Built, as_json: bool) -> None:
    from ..readerstudy.audit import audit as look
    from ..readerstudy.balance import balance as count
    from ..readerstudy.key import load_key
    from ..readerstudy.readingset import load_reading_set

    made = count(built.study, built.schedule)
    found = look(built.study, load_reading_set(built.reading), load_key(built.key_file), built.key_file)
    if as_json:
        facts = {"reading": str(built.reading), "key": str(built.key_file), "seed": built.study.seed}
        print(
            json.dumps({**facts, "balance": made, "remarks": built.remarks, "leaks": found.leaks, "notes": found.notes})
        )
        return
    _print_tables(made)
    for text in built.remarks:
        print(f"  {text}")
    _print_audit(found)
    print(f"Readers get {built.reading}; the key is {built.key_file}. Seed {built.study.seed}.")
    print("Keep key and study.json from readers: with its seed, study.json gives the schedule away as the key does.")


def _print_balance(study: Any, as_json: bool) -> None:
    from ..readerstudy.balance import balance as count
    from ..readerstudy.schedule import build_schedule

    made = count(study, build_schedule(study))
    if as_json:
        print(json.dumps({"balance": made, "seed": study.seed}))
    else:
        _print_tables(made)


def _print_tables(made: dict[str, Any]) -> None:
    from ..readerstudy.balance import tables

    for title, header, rows in tables(made):
        _table(title, header, rows)
    far = made["distances"]
    print(f"Other cases between two of one patient: {far['patient']} or more.")
    if far["repeat"]:
        print(f"Hidden repeats come {far['repeat']} cases after their original or later.")
    for note in made["notes"]:
        print(f"  {note}")


def _table(title: str, header: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console as RichConsole
    from rich.table import Table

    table = Table()
    for n, name in enumerate(header):
        table.add_column(name, justify="left" if n == 0 else "right")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    # The title stands outside the table, which would wrap it to its own width.
    print(title)
    RichConsole(width=None if sys.stdout.isatty() else 120).print(table)


def _audited(folder: Path, key: Optional[Path]) -> Any:
    from ..readerstudy.audit import audit as look
    from ..readerstudy.definition import load_study
    from ..readerstudy.key import key_file, load_key
    from ..readerstudy.readingset import load_reading_set

    place = key_file(key or folder)
    return look(load_study(folder), load_reading_set(folder), load_key(place), place)


def _print_audit(found: Any) -> None:
    for text in found.leaks:
        print(f"LEAK  {text}")
    for text in found.notes:
        print(f"  {text}")
    print("Blinding audit: no leak found." if found.passed else f"Blinding audit: {len(found.leaks)} leaks.")


def _opened(folder: Path, database: Optional[str]) -> tuple[ReadingSet, Store]:
    from ..readerstudy.postgres import PostgresStore, connect
    from ..readerstudy.readingset import load_reading_set
    from ..readerstudy.store import FolderStore

    reading = load_reading_set(folder)
    return reading, PostgresStore(reading, connect(database)) if database else FolderStore(reading)


def _readers(text: str) -> int | list[str]:
    if re.fullmatch(r"[0-9]{1,3}", text.strip()):
        count = int(text)
        if not 1 <= count <= 200:
            raise InputError("A study has 1 to 200 readers.")
        return count
    return [code.strip() for code in text.split(",")]
