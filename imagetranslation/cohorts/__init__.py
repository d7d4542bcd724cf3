"""Many inputs through one model: what was settled at the start, what is done, who works, and going on after a stop.

`run` is the way in. It keeps three files in the output folder: `cohort.json` (`manifest`: model, settings and versions,
frozen at the first run), `cohort.jsonl` (`journal`: one line for each finished case) and, while it runs, `cohort.lock`
(`lock`). `cases` compares them with the files that are there. The work is done in this process (`here`) or by worker
processes through Dask (`crew`: who they are; `dispatch`: who gets what; `remote`: what runs in them); `sizing` chooses.
One case from file to file is `work`, which leaves reading, translating and writing to `jobs`.
"""

from .run import run_cohort
from .watcher import Watcher

__all__ = ["Watcher", "run_cohort"]
