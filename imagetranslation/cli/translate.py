"""`imagetranslation translate`: one scan, a DICOM series, or a batch."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..cohorts import run_cohort
from ..cohorts.here import used_threads
from ..cohorts.manifest import MOST_THREADS
from ..errors import InputError
from ..formats import SUFFIXES, suffix_of
from ..jobs import DEFAULT_MODEL, Job, default_name, run_job
from .cohortbars import cohort_bars
from .console import Console
from .options import Device, Engine, Json, Members, Model, Precision, Samples, Uncertainty, cancel_on_interrupt


def translate(
    input_: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="NRRD, NIfTI or MetaImage file, DICOM file or folder. A folder of images or a quoted glob is a batch.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help=f"File to write ({', '.join(SUFFIXES)}); for a batch, a folder."),
    ],
    model: Model = DEFAULT_MODEL,
    device: Device = "auto",
    series: Annotated[Optional[str], typer.Option(help="Which DICOM series of a folder: UID or number.")] = None,
    component: Annotated[Optional[str], typer.Option(help="Which component of a 4-D file, or view of an NM.")] = None,
    frames_as_slices: Annotated[
        Optional[float],
        typer.Option(metavar="SPACING", help="Take the frames of a cine for slices this many mm apart."),
    ] = None,
    allow_synthetic: Annotated[
        bool, typer.Option("--allow-synthetic", help="Translate an image that was itself made by a model.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace an existing output that is not a synthetic image; for a batch, also begin anew in a folder "
            "that was begun with another model or other settings.",
        ),
    ] = False,
    engine: Engine = "auto",
    precision: Precision = "auto",
    uncertainty: Uncertainty = None,
    samples: Samples = 0,
    members: Members = None,
    workers: Annotated[
        Optional[int],
        typer.Option(min=1, max=1024, help="Processes of a batch on this machine; chosen when not given."),
    ] = None,
    threads: Annotated[
        Optional[int],
        typer.Option(min=1, max=MOST_THREADS, help="CPU threads of each process; chosen when not given."),
    ] = None,
    scheduler: Annotated[
        Optional[str],
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers do a batch, such as tcp://node1:8786."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Translate a scan: the synthetic image lands on exactly the grid of its input.

    One scan:   imagetranslation translate us.nrrd -o mr.nrrd

    A DICOM series:   imagetranslation translate us_folder/ -o mr.nii.gz

    With a map of how sure the model is:   imagetranslation translate us.nrrd -o mr.nrrd --uncertainty auto

    A batch, with a table of what happened to each:   imagetranslation translate "scans/*.nii.gz" -o results/

    A batch uses all cores or GPUs. Stopped or killed, the same command goes on where it was.
    """
    from ..batch import find_inputs

    chosen = int(component) if component is not None and re.fullmatch(r"[0-9]{1,9}", component) else component
    job = Job(
        input_, str(output), model, device, series, chosen, frames_as_slices, allow_synthetic, overwrite,
        engine=engine, precision=precision, uncertainty=uncertainty, samples=samples,
        members=tuple(members or ()),
    )  # fmt: skip
    if samples and uncertainty is None:
        raise InputError("--samples says what an uncertainty map is made of; add --uncertainty auto, or leave it out.")
    stop, console = cancel_on_interrupt(), Console(as_json)
    inputs = find_inputs(input_, output)
    if inputs is not None and suffix_of(output) and not output.is_dir():
        raise InputError(
            f"{input_} stands for {len(inputs)} inputs, and {output} is the name of one file; give a folder, or "
            "name a single scan."
        )
    if inputs is None and scheduler is not None:
        raise InputError("--scheduler is for a batch: a folder of images or a quoted glob.")
    if inputs is None:
        with used_threads(threads), console.progress() as bar:
            report = run_job(_with_file_name(job), bar.update, stop.is_set)
        console.report(report)
    else:
        with cohort_bars(as_json) as watcher:
            rows = run_cohort(
                inputs, job, output, watcher=watcher, cancelled=stop.is_set, workers=workers, threads=threads,
                scheduler=scheduler,
            )  # fmt: skip
        console.batch(rows, output)


def _with_file_name(job: Job) -> Job:
    """An output that names a folder (an existing one, or a name without suffix) gets a file name made from the input's.

    Anything else is left as it is, also with a suffix that cannot be written, which `run_job` refuses.
    """
    if Path(job.output).suffix and not Path(job.output).is_dir():
        return job
    from ..models import load_package

    name = default_name(job.input, load_package(job.model).outputs["modality"])
    return replace(job, output=str(Path(job.output) / name))
