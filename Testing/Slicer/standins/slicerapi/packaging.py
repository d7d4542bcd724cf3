"""`slicer.packaging` of Slicer 5.12: nothing is installed here; every request is recorded in `requests`.

A test says what the answer is: `refuse` makes the person decline, `fail` makes pip fail.
"""

from __future__ import annotations

import importlib.metadata
from subprocess import CalledProcessError
from typing import Any

from packaging.requirements import Requirement

requests: list[dict[str, Any]] = []
refuse = False
fail = False


def pip_check(req: Any) -> bool:
    """Whether every requirement is met by what is installed."""
    for requirement in _requirements(req):
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            return False
        if not requirement.specifier.contains(version, prereleases=True):
            return False
    return True


def pip_ensure(
    requirements: Any,
    constraints: Any = None,
    skip_packages: list[str] | None = None,
    prompt_install: bool = True,
    prompt_restart: bool = True,
    requester: str | None = None,
    skip_in_testing: bool = True,
    show_progress: bool = True,
) -> list[str] | None:
    """Record a request to install what is missing. RuntimeError when the person declines."""
    missing = [str(r) for r in _requirements(requirements) if not pip_check(str(r))]
    if missing and prompt_install and refuse:
        raise RuntimeError("User declined package installation.")
    return pip_install(missing, constraints=constraints, requester=requester) if missing else None


def pip_install(requirements: Any, constraints: Any = None, **options: Any) -> list[str] | None:
    """Record a request; `fail` makes it end as pip's failure would."""
    requests.append({"requirements": requirements, "constraints": constraints, **options})
    if fail:
        raise CalledProcessError(1, ["python", "-m", "pip", "install", str(requirements)])
    return None


def pip_uninstall(requirements: Any, **options: Any) -> None:
    """Record a request to remove packages."""
    requests.append({"uninstall": requirements, **options})


def load_requirements(path: Any) -> list[Requirement]:
    """The requirements in a file, without comments and pip's options."""
    with open(path) as file:
        lines = [line.strip() for line in file]
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def _requirements(given: Any) -> list[Requirement]:
    if isinstance(given, (str, Requirement)):
        given = [given]
    return [r if isinstance(r, Requirement) else Requirement(r) for r in given]
