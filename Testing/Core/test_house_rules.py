"""The rules of the house that a machine can hold: who imports whom, free imports, no pickle, no code in packages."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

OUTER = {"slicer", "vtk", "vtkmodules", "qt", "ctk", "trame", "trame_slicer", "trame_server", "PythonQt", "PySide6"}
ROOMS_WITH_A_SCREEN = {"mrml", "panels", "browser"}
FREE_OF_CHARGE = {"numpy", "imagetranslation"}


def python_files(repository: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((repository / folder).rglob("*.py"))]


def room_of(path: Path, repository: Path) -> str:
    """ "mrml", "panels", "browser", "cli", "core" for the rest of imagetranslation, else the top-level folder."""
    parts = path.relative_to(repository).parts
    if parts[0] != "imagetranslation":
        return parts[0]
    if len(parts) > 2 and parts[1] in {*ROOMS_WITH_A_SCREEN, "cli"}:
        return parts[1]
    return "cli" if parts[1:] == ("__main__.py",) else "core"


def imported_names(path: Path, repository: Path, top_level_only: bool = False) -> set[str]:
    """Dotted names of the modules a file imports, relative ones resolved; for `from a import b` also a.b."""
    package = path.relative_to(repository).with_suffix("").parts
    package = package[:-1]
    found: set[str] = set()
    for node in walk(ast.parse(path.read_text(encoding="utf-8")), top_level_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            origin = ".".join([*base, *(node.module.split(".") if node.module else [])])
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return found


def walk(tree: ast.AST, top_level_only: bool):
    """All nodes; with top_level_only those run on import (no function bodies, no TYPE_CHECKING blocks)."""
    for node in ast.iter_child_nodes(tree):
        if top_level_only:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                continue
        yield node
        yield from walk(node, top_level_only)


def inner_rooms(names: set[str]) -> set[str]:
    return {m.group(1) for name in names if (m := re.match(r"imagetranslation\.(mrml|panels|browser|cli)\b", name))}


ALLOWED = {
    "core": set(),
    "mrml": {"mrml"},
    "panels": {"mrml", "panels"},
    "browser": {"browser", "mrml"},
    "cli": {"cli", "browser"},
    "training_tools": set(),
    "US2MRITranslate": {"panels", "mrml"},
    "PoolToDelayed": {"panels", "mrml"},
}


def test_arrows_point_down(repository: Path) -> None:
    wrong = []
    for path in python_files(repository, "imagetranslation", "training_tools", "US2MRITranslate", "PoolToDelayed"):
        room = room_of(path, repository)
        if upward := inner_rooms(imported_names(path, repository)) - ALLOWED[room]:
            wrong.append(f"{path.relative_to(repository)} ({room}) imports {sorted(upward)}")
    assert wrong == []


def test_only_the_rooms_with_a_screen_import_slicer_vtk_qt_or_trame(repository: Path) -> None:
    wrong = []
    for path in python_files(repository, "imagetranslation", "training_tools"):
        outer = {name.split(".")[0] for name in imported_names(path, repository)} & OUTER
        if outer and room_of(path, repository) not in ROOMS_WITH_A_SCREEN:
            wrong.append(f"{path.relative_to(repository)} imports {sorted(outer)}")
    assert wrong == []


def test_the_library_does_not_know_the_training_tools(repository: Path) -> None:
    files = python_files(repository, "imagetranslation", "US2MRITranslate", "PoolToDelayed")
    wrong = [
        str(path.relative_to(repository))
        for path in files
        if any(name.split(".")[0] == "training_tools" for name in imported_names(path, repository))
    ]
    assert wrong == []


def test_the_checker_sees_a_forbidden_import(tmp_path: Path) -> None:
    """The rule tests above would be worthless if the reader of imports missed one."""
    folder = tmp_path / "imagetranslation" / "networks"
    folder.mkdir(parents=True)
    file = folder / "bad.py"
    file.write_text("def f():\n    from ..panels.translate import P\n    import slicer\n    from .. import browser\n")
    names = imported_names(file, tmp_path)
    assert inner_rooms(names) == {"panels", "browser"}
    assert "slicer" in names


def test_core_files_import_numpy_at_most_when_imported(repository: Path) -> None:
    wrong = []
    for path in python_files(repository, "imagetranslation"):
        relative = path.relative_to(repository / "imagetranslation")
        if room_of(path, repository) != "core" or (relative.parts[0] == "networks" and path.name != "__init__.py"):
            continue
        roots = {name.split(".")[0] for name in imported_names(path, repository, top_level_only=True)}
        if heavy := roots - FREE_OF_CHARGE - set(sys.stdlib_module_names):
            wrong.append(f"{relative} imports {sorted(heavy)}")
    assert wrong == []


def test_importing_the_package_loads_numpy_at_most() -> None:
    code = "import sys, imagetranslation; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    foreign = set(loaded) - set(sys.stdlib_module_names) - {"imagetranslation", "numpy", "__main__"}
    assert not {name for name in foreign if not name.startswith(("_", "sitecustomize"))}


@pytest.mark.parametrize(
    "pattern",
    [
        r"\b(?:pickle|cPickle|joblib|dill)\.loads?\(",
        r"torch\.load\((?!.*weights_only=True)",
        r"yaml\.load\(",
        r"shell=True",
        r"(?<![.\w])(?:eval|exec)\(",
        r"allow_pickle=True",
    ],
)
def test_nothing_can_run_code_from_a_file(repository: Path, pattern: str) -> None:
    files = python_files(repository, "imagetranslation", "training_tools", "US2MRITranslate", "PoolToDelayed")
    found = [
        f"{path.relative_to(repository)}:{number}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert found == []


def test_every_file_says_what_it_is_for(repository: Path) -> None:
    folders = ("imagetranslation", "training_tools", "US2MRITranslate", "PoolToDelayed", "Testing")
    silent = [
        str(path.relative_to(repository))
        for path in python_files(repository, *folders)
        if path.read_text(encoding="utf-8").strip() and not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]
    assert silent == []


def test_files_stay_small(repository: Path) -> None:
    folders = ("imagetranslation", "training_tools", "US2MRITranslate", "PoolToDelayed", "Testing")
    files = python_files(repository, *folders)
    long = {str(p.relative_to(repository)): n for p in files if (n := len(p.read_text("utf-8").splitlines())) > 500}
    assert long == {}
