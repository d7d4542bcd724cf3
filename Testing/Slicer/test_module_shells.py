"""The two module files: Slicer's standard structure, the same in both, and nothing of substance in them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
MODULES = ("US2MRITranslate", "PoolToDelayed")


def source(module):
    return (REPOSITORY / module / f"{module}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_slicers_classes_in_slicers_order(module):
    classes = {c.name: [ast.unparse(base) for base in c.bases] for c in ast.parse(source(module)).body
               if isinstance(c, ast.ClassDef)}  # fmt: skip
    base = "ScriptedLoadableModule"
    assert list(classes.items()) == [
        (module, [base]),
        (f"{module}ParameterNode", []),
        (f"{module}Widget", [f"{base}Widget"]),
        (f"{module}Logic", [f"{base}Logic"]),
        (f"{module}Test", [f"{base}Test"]),
    ]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_stays_a_shell(module):
    written = [line for line in source(module).splitlines() if line.strip()]
    assert len(written) <= 110


def test_the_modules_differ_in_names_and_in_what_a_person_reads_only():
    """What else differs between the tasks stands in task.json."""

    def skeleton(module):
        text = re.sub(r'_\(\s*("[^"]*"\s*)+\)', "_()", source(module))
        return text.partition('"""\n')[2].replace(module, "Module")

    one, other = map(skeleton, MODULES)
    assert one == other
