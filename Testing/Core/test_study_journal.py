"""Journals: what was acknowledged is there after any crash; what was touched is noticed; nothing is mended silently."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from imagetranslation.errors import InputError, RunFailed
from imagetranslation.readerstudy.journal import JournalWriter, read_journal
from imagetranslation.readerstudy.locks import FileLock
from imagetranslation.readerstudy.readingset import load_reading_set
from imagetranslation.readerstudy.session import open_session
from imagetranslation.readerstudy.store import FolderStore
from Testing import apart, studywindows
from Testing.studies import a_document, a_study, read_everything

FIRST = "0" * 64


def writer(folder: Path, reader: str = "R1") -> JournalWriter:
    return JournalWriter(folder, reader, FIRST, FileLock(folder, reader))


def entry(n: int) -> dict[str, Any]:
    return {"kind": "answer", "utc": "2026-03-01T10:00:00.000000Z", "question": "realism", "new": n, "note": "ä\n☃"}


def a_journal(folder: Path, count: int = 5) -> Path:
    made = writer(folder)
    for n in range(count):
        made.append([entry(n)])
    made.close()
    return folder / "R1.jsonl"


@pytest.fixture
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash leaves is laid out by the test itself, hundreds of times; nothing need reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def news(folder: Path) -> list[Any]:
    return [e["new"] for e in read_journal(folder, "R1", FIRST).entries if e["kind"] == "answer"]


def test_entries_come_back_in_order_in_an_unbroken_chain(tmp_path: Path) -> None:
    a_journal(tmp_path)
    history = read_journal(tmp_path, "R1", FIRST)
    assert [e["new"] for e in history.entries] == [0, 1, 2, 3, 4]
    assert [e["n"] for e in history.entries] == [1, 2, 3, 4, 5]
    assert history.findings == ()
    assert history.entries[2]["note"] == "ä\n☃"


def test_an_entry_is_flushed_to_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    made = writer(tmp_path)
    flushed.clear()
    made.append([entry(1)])
    assert flushed == [str(tmp_path / "R1.jsonl"), str(tmp_path)]
    flushed.clear()
    made.append([entry(2)])
    assert flushed == [str(tmp_path / "R1.jsonl")]


@pytest.mark.parametrize("head", [True, False], ids=["with the note", "without the note"])
def test_power_loss_at_every_byte_of_the_last_two_records_loses_no_earlier_one(
    tmp_path: Path, head: bool, no_flushing: None
) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    content = a_journal(whole).read_bytes()
    kept_from = len(b"\n".join(content.split(b"\n")[:3]) + b"\n")
    folder = tmp_path / "cut"
    for cut in range(kept_from, len(content)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        (folder / "R1.jsonl").write_bytes(content[:cut])
        if head:
            shutil.copy(whole / "R1.head", folder / "R1.head")
        lines = content[:cut].split(b"\n")
        whole_line = cut == len(content) - 1 or content[cut : cut + 1] == b"\n"
        expected = len(lines) - 1 + int(whole_line and bool(lines[-1]))
        before = read_journal(folder, "R1", FIRST)
        assert len(before.entries) == expected
        assert not before.broken
        torn = bool(lines[-1]) and not whole_line
        assert any(f.code == "torn" for f in before.findings) == torn
        assert any(f.code == "short" for f in before.findings) == (head and expected < 5)
        made = writer(folder)
        made.append([entry(77)])
        made.append([entry(78)])
        made.close()
        after = read_journal(folder, "R1", FIRST)
        assert not after.broken, after.broken
        assert news(folder) == [*range(expected), 77, 78]
        # What was lost stays on record.
        assert bool(after.findings) == bool(torn or (head and expected < 5))
        assert (folder / "R1.jsonl").read_bytes().startswith(content[:cut])


def test_a_crash_while_a_crash_is_noted_is_survived(tmp_path: Path, no_flushing: None) -> None:
    file = a_journal(tmp_path)
    content = file.read_bytes()[:-20]
    file.write_bytes(content)
    made = writer(tmp_path)
    made.append([entry(9)])
    made.close()
    longer = file.read_bytes()
    for cut in range(len(content) + 1, len(longer)):
        file.write_bytes(longer[:cut])
        (tmp_path / "R1.head").unlink(missing_ok=True)
        made = writer(tmp_path)
        made.append([entry(10)])
        made.close()
        assert not read_journal(tmp_path, "R1", FIRST).broken
        assert news(tmp_path)[:4] == [0, 1, 2, 3]
        assert news(tmp_path)[-1] == 10


def test_an_end_filled_with_zeros_is_an_end_cut_off(tmp_path: Path) -> None:
    file = a_journal(tmp_path)
    file.write_bytes(file.read_bytes()[:-40] + b"\0" * 4000)
    history = read_journal(tmp_path, "R1", FIRST)
    assert len(history.entries) == 4
    assert not history.broken
    made = writer(tmp_path)
    made.append([entry(9)])
    made.close()
    assert news(tmp_path) == [0, 1, 2, 3, 9]


def change_value(lines: list[bytes]) -> None:
    lines[1] = lines[1].replace(b'"new":1', b'"new":5')


def remove_entry(lines: list[bytes]) -> None:
    del lines[2]


def swap_entries(lines: list[bytes]) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def double_entry(lines: list[bytes]) -> None:
    lines.insert(2, lines[1])


def garble(lines: list[bytes]) -> None:
    lines[1] = b"garbage"


def insert_own(lines: list[bytes]) -> None:
    lines.insert(2, b'{"kind":"answer","n":3,"new":5,"previous":"","sha256":""}')


def change_last(lines: list[bytes]) -> None:
    lines[4] = lines[4].replace(b'"new":4', b'"new":1')


@pytest.mark.parametrize(
    "tamper",
    [change_value, remove_entry, swap_entries, double_entry, garble, insert_own, change_last],
    ids=lambda t: t.__name__,
)
def test_a_tampered_journal_is_reported_refused_and_left_as_it_is(tmp_path: Path, tamper: Any) -> None:
    file = a_journal(tmp_path)
    lines = file.read_bytes().split(b"\n")
    tamper(lines)
    file.write_bytes(b"\n".join(lines))
    content = file.read_bytes()
    assert read_journal(tmp_path, "R1", FIRST).broken
    with pytest.raises(InputError, match="nothing more is written"):
        writer(tmp_path)
    assert file.read_bytes() == content


def test_a_removed_end_is_noticed_by_the_note_beside_the_journal(tmp_path: Path) -> None:
    file = a_journal(tmp_path)
    file.write_bytes(b"\n".join(file.read_bytes().split(b"\n")[:3]) + b"\n")
    assert [f.code for f in read_journal(tmp_path, "R1", FIRST).findings] == ["short"]


def test_a_journal_of_another_study_or_reader_does_not_fit(tmp_path: Path) -> None:
    file = a_journal(tmp_path)
    assert read_journal(tmp_path, "R1", "1" * 64).broken
    shutil.copy(file, tmp_path / "R2.jsonl")
    folder = a_study(tmp_path / "study")
    answers = load_reading_set(folder).answers
    with open_session(folder, "R1") as session:
        session.answer("realism", 4)
    shutil.copy(answers / "R1.jsonl", answers / "R2.jsonl")
    assert FolderStore(load_reading_set(folder)).history("R2").broken


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_study(tmp_path_factory.mktemp("study"), a_document(cases=3, readers=2))


@pytest.fixture
def study(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "study"))


def test_a_full_disk_keeps_the_answer_and_the_journal_whole(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session(study, "R1")
    session.answer("realism", 2)
    real = os.write

    def half(descriptor: int, content: Any) -> int:
        if len(content) < 100:
            return real(descriptor, content)
        real(descriptor, bytes(content)[:60])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(RunFailed, match="The disk is full: the answer is not saved yet"):
        session.answer("realism", 5)
    assert session.answers == {"realism": 2}
    with pytest.raises(RunFailed):
        session.answer("artifacts", True)
    monkeypatch.setattr(os, "write", real)
    session.answer("realism", 5)
    session.close()
    history = FolderStore(load_reading_set(study)).history("R1")
    assert history.findings == ()
    assert [e["new"] for e in history.entries if e["kind"] == "answer"] == [2, 5]


def answer_into_a_file_that_may_not_grow(study: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    session = open_session(study, "R1")
    session.answer("realism", 2)
    size = (load_reading_set(study).answers / "R1.jsonl").stat().st_size
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    with pytest.raises(RunFailed, match="disk is full"):
        session.answer("realism", 3)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    session.answer("realism", 4)
    session.close()


def test_a_real_limit_on_file_size_is_met_the_same_way(study: Path) -> None:
    """In a process of its own, whose files may grow by some bytes only."""
    assert apart.run(answer_into_a_file_that_may_not_grow, study) == 0
    history = FolderStore(load_reading_set(study)).history("R1")
    assert [e["new"] for e in history.entries if e["kind"] == "answer"] == [2, 4]
    assert not history.findings


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_became_read_only_is_one_sentence(
    study: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    session = open_session(study, "R1")
    session.answer("realism", 2)
    real = os.open

    def refusing(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and "answers" in str(path):
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(RunFailed, match=r"The answer is not saved: .* cannot be written"):
        session.answer("realism", 3)
    with pytest.raises(RunFailed, match="The reading is not opened"):
        open_session(study, "R2")
    monkeypatch.setattr(os, "open", real)
    assert session.answers == {"realism": 2}
    session.close()


def answer_without_the_right_to_write(study: Path, answers: Path) -> None:
    session = open_session(study, "R1")
    session.answer("realism", 2)
    answers.chmod(0o500)
    (answers / "R1.jsonl").chmod(0o400)
    if os.geteuid() == 0:
        os.seteuid(65534)
    with pytest.raises(RunFailed, match="not saved"):
        session.answer("realism", 3)
    # Not closed: its lock stays as that of a process that ended.
    os._exit(0)


def test_a_folder_that_really_cannot_be_written_is_one_sentence(study: Path) -> None:
    """Without rights: root gives them up in a process of its own, anybody else takes them from the folder."""
    answers = load_reading_set(study).answers
    assert apart.run(answer_without_the_right_to_write, study, answers) == 0
    answers.chmod(0o700)
    (answers / "R1.jsonl").chmod(0o600)
    with open_session(study, "R1") as session:
        assert session.answers == {"realism": 2}


def test_a_share_that_went_away_is_one_sentence_and_comes_back(study: Path) -> None:
    session = open_session(study, "R1")
    session.answer("realism", 2)
    reading = load_reading_set(study).folder
    reading.rename(study / "away")
    with pytest.raises(RunFailed, match=r"The answer is not saved: .* cannot be reached"):
        session.answer("realism", 3)
    (study / "away").rename(reading)
    session.answer("realism", 4)
    session.close()
    history = FolderStore(load_reading_set(study)).history("R1")
    assert [e["new"] for e in history.entries if e["kind"] == "answer"] == [2, 4]


def test_a_share_without_links_and_folder_flushes_still_keeps_answers(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    real = os.fsync

    def files_only(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112  a link in /proc
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "fsync", files_only)
    with open_session(study, "R1") as session:
        assert read_everything(session) == 6
    assert FolderStore(load_reading_set(study)).frozen() == load_reading_set(study).sha256


def test_a_second_window_is_refused_and_told_who_has_it(study: Path) -> None:
    with open_session(study, "R1") as session:
        with pytest.raises(InputError, match=rf"already open on .*process {os.getpid()}"):
            open_session(study, "R1")
        session.answer("realism", 2)
        with open_session(study, "R2"):
            pass
    open_session(study, "R1").close()


def test_taking_over_shuts_the_first_window_out(study: Path) -> None:
    first = open_session(study, "R1")
    first.answer("realism", 2)
    second = open_session(study, "R1", take_over=True)
    with pytest.raises(RunFailed, match="taken over"):
        first.answer("realism", 5)
    with pytest.raises(RunFailed, match="taken over"):
        first.close()
    assert second.answers == {"realism": 2}
    second.answer("realism", 1)
    second.close()


def test_the_lock_of_a_killed_process_is_recognised_as_stale(study: Path) -> None:
    assert apart.run(studywindows.answer_and_die, study) == -signal.SIGKILL
    assert (load_reading_set(study).answers / "R1.lock").exists()
    with open_session(study, "R1") as session:
        assert session.answers == {"realism": 4}


def test_a_lock_of_another_machine_is_never_stolen_by_itself(study: Path) -> None:
    lock = load_reading_set(study).answers / "R1.lock"
    other = {"nonce": "x", "host": "ward-3", "machine": "deadbeef", "pid": 1, "began": 0.0, "since": "yesterday"}
    lock.write_text(json.dumps(other))
    with pytest.raises(InputError, match="ward-3"):
        open_session(study, "R1")
    open_session(study, "R1", take_over=True).close()


def test_a_damaged_lock_does_not_shut_a_reader_out(study: Path) -> None:
    lock = load_reading_set(study).answers / "R1.lock"
    lock.write_bytes(b"\xff{")
    os.utime(lock, (0, 0))
    open_session(study, "R1").close()


def test_of_two_windows_opened_at_once_exactly_one_gets_in(study: Path) -> None:
    answers = load_reading_set(study).answers
    for _ in range(10):
        (answers / "R1.lock").unlink(missing_ok=True)
        others = apart.together(4)
        windows = [apart.start(studywindows.lock_with_others, answers, others) for _ in range(4)]
        assert sorted(apart.end(window) for window in windows) == [0, 3, 3, 3]


def test_another_programs_line_in_the_journal_stops_this_writer(study: Path) -> None:
    session = open_session(study, "R1")
    with open(load_reading_set(study).answers / "R1.jsonl", "ab") as stream:
        stream.write(b"{}\n")
    with pytest.raises(RunFailed, match="written to by another program"):
        session.answer("realism", 2)


def test_the_first_answer_freezes_the_study(study: Path) -> None:
    with open_session(study, "R1"):
        pass
    assert FolderStore(load_reading_set(study)).frozen() == ""
    with open_session(study, "R1") as session:
        session.answer("realism", 2)
    manifest = study / "reading" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("How realistic?", "How nice?"))
    with pytest.raises(InputError, match="study revise"):
        open_session(study / "reading", "R2")
