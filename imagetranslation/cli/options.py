"""Options that several commands share, and the way Ctrl+C reaches the work."""

from __future__ import annotations

import signal
import threading
from typing import Annotated, Any, Optional

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines instead of text.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Id of a model (see `models list`) or path of a package.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0 (1, 2, ...) or mps.")]
Engine = Annotated[str, typer.Option(help="auto, torch, torch-compile, onnx or openvino (see `engines`).")]
Precision = Annotated[
    str, typer.Option(help="auto, float32, bfloat16 or float16; less than 32 bits only where checked against them.")
]
Uncertainty = Annotated[
    Optional[str],
    typer.Option(
        metavar="METHOD",
        help="Also write a map of the standard deviation beside the output: auto, tta (changed copies of the scan), "
        "ensemble or dropout.",
    ),
]
Samples = Annotated[int, typer.Option(min=0, max=64, help="Answers the map is made of; 0 for the model's own number.")]
Members = Annotated[
    Optional[list[str]],
    typer.Option("--member", metavar="MODEL", help="A further model for an ensemble; may be given several times."),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")]


def cancel_on_interrupt() -> threading.Event:
    """An event that Ctrl+C, SIGTERM or a closed terminal sets; asking again interrupts, which still clears up.

    A signal that was ignored before (nohup, a background job) stays ignored.
    """
    stop = threading.Event()

    def ask(*_: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ask)
    return stop
