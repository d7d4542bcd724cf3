"""The table of pairs for `imagetranslation radiomics preservation`, from prepared cases and their translations.

Each case of a folder that `training_tools.prepare` wrote gives two rows under its gland label on the source's grid:
the synthetic image against the registered target, and the source against the synthetic image. From these the command
makes the floor (source against target) and the ceiling (target against itself, perturbed) on its own.

Run: python -m training_tools.preservation_pairs PREPARED --synthetic FOLDER -o pairs.csv
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from imagetranslation.errors import InputError
from imagetranslation.radiomics.preservation.definitions import SOURCE_SYNTHETIC, SYNTHETIC_TARGET
from imagetranslation.radiomics.preservation.pairs import Pair, write_pairs

from .console import run
from .pairs import SUFFIXES


def make_pairs(prepared: Path, synthetic: Path) -> list[Pair]:
    """Two rows a case. synthetic: folder where `imagetranslation translate prepared/source -o FOLDER` wrote.

    Raises InputError for a folder that was not prepared, a case without gland label or without one translation.
    """
    try:
        cases = json.loads((prepared / "cases.json").read_text(encoding="utf-8"))["cases"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{prepared} has no readable cases.json; it must be a folder of training_tools.prepare."
        ) from error
    found: list[Pair] = []
    for case in cases:
        found += _case(case, prepared.resolve(), synthetic.resolve())
    if not found:
        raise InputError(f"{prepared} lists no cases.")
    return found


def _case(case: dict[str, Any], prepared: Path, synthetic: Path) -> list[Pair]:
    name = str(case["case"])
    if "source_label" not in case:
        raise InputError(f"{name} has no gland label; prepare the pairs with --source-labels and --target-labels.")
    made = [path for suffix in SUFFIXES for path in sorted(synthetic.glob(f"{name}_synthetic-*{suffix}"))]
    made = [path for path in dict.fromkeys(made) if not path.name.split(".")[0].endswith("_uncertainty")]
    if len(made) != 1:
        raise InputError(f"{synthetic} has {len(made)} synthetic images of {name}; one was expected.")
    source, target, mask = (str(prepared / case[part]) for part in ("source", "target", "source_label"))
    return [
        Pair(name, "gland", str(made[0]), target, mask, SYNTHETIC_TARGET),
        Pair(name, "gland", source, str(made[0]), mask, SOURCE_SYNTHETIC),
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training_tools.preservation_pairs", description=__doc__.split("\n")[0]
    )
    parser.add_argument("prepared", type=Path, help="folder that training_tools.prepare wrote, with labels")
    parser.add_argument("--synthetic", type=Path, required=True, help="folder with a translation of every source")
    parser.add_argument("-o", "--output", type=Path, required=True, help="table of pairs to write (.csv)")
    options = parser.parse_args(arguments)
    pairs = make_pairs(options.prepared, options.synthetic)
    write_pairs(pairs, options.output)
    print(json.dumps({"pairs": len(pairs), "cases": len(pairs) // 2, "table": str(options.output)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
