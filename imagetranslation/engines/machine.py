"""What decides how fast an engine is here: processor, its number formats, threads, GPU, and the versions installed."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from pathlib import Path

from ..resources import user_folder

# Processor flags under which bfloat16 products are done by the hardware (x86 and Arm names).
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "openvino")


@functools.cache
def processor() -> tuple[str, frozenset[str]]:
    """Model name and feature flags; the flags are empty where the system does not tell them (Windows, macOS)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine(), frozenset()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name", platform.machine()), frozenset(flags.split())


def has_bfloat16(device: str) -> bool:
    """Whether `device` multiplies bfloat16 in hardware, so that trying it is worth the time."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    if processor()[1].intersection(BFLOAT16_FLAGS):
        return True
    # Systems without /proc/cpuinfo; torch knows, under names that are not yet promised to stay.
    known = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(bool(ask()) for ask in known if ask is not None)


def versions() -> dict[str, str]:
    """Installed versions of the packages that engines are made of; absent ones are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def keep_compiled_code_private() -> None:
    """Let torch.compile keep its machine code in the person's data folder, from where it is loaded and run again.

    torch's own choice, which it notes in the environment, is a folder in /tmp that another user of the machine can make
    first; a choice of the person's own stays.
    """
    usual = str(Path(tempfile.gettempdir()) / "torchinductor_")
    if os.environ.get("TORCHINDUCTOR_CACHE_DIR", usual).startswith(usual):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(user_folder() / "engines" / "inductor")


def compiler() -> str | None:
    """A C++ compiler that torch.compile could call, or None."""
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else []
    return next((found for name in (*wanted, "g++", "clang++", "c++", "cl") if (found := shutil.which(name))), None)


def fingerprint(device: str) -> str:
    """Twelve letters for this kind of machine: processor and its features, cores, threads, and for CUDA the GPU."""
    import torch

    name, flags = processor()
    parts = [platform.system(), platform.machine(), name, " ".join(sorted(flags)), str(cores()), str(threads())]
    if device.startswith("cuda"):
        parts += [torch.cuda.get_device_name(device), str(torch.version.cuda)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def threads() -> int:
    """How many threads every engine is given: torch's number, which OMP_NUM_THREADS and a pool of workers set."""
    import torch

    return int(torch.get_num_threads())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
