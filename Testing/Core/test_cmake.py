"""The extension configures with stock CMake against stand-ins of Slicer's macros, and packages every file it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

# What slicerMacroBuildScriptedModule does with its arguments as far as it can go wrong here: each file must exist, and
# lands under the same relative path in the one folder that all scripted modules share.
MACROS = """
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT MY_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule: wrong arguments ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file '${file}'")
    endif()
    file(APPEND ${CMAKE_BINARY_DIR}/installed.txt "${file};${CMAKE_CURRENT_SOURCE_DIR}/${file};${MY_NAME}\\n")
  endforeach()
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  file(APPEND ${CMAKE_BINARY_DIR}/tests.txt "${MY_SCRIPT}\\n")
endmacro()
"""
PACKAGING = """
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
  file(APPEND ${CMAKE_BINARY_DIR}/extension.txt "${name}=${EXTENSION_${name}}\\n")
endforeach()
"""
INDEX_KEYS = {
    "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "build_subdirectory",
    "enabled", "tier",
}  # fmt: skip


@pytest.fixture(scope="module")
def configured(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder after CMake has configured the extension."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed (apt-get install cmake)")
    slicer, build = tmp_path_factory.mktemp("slicer"), tmp_path_factory.mktemp("build")
    (slicer / "macros.cmake").write_text(MACROS)
    (slicer / "empty.cmake").write_text("")
    (slicer / "packaging.cmake").write_text(PACKAGING)
    (slicer / "SlicerConfig.cmake").write_text(
        f"set(Slicer_USE_FILE {slicer}/macros.cmake)\n"
        f"set(Slicer_EXTENSION_GENERATE_CONFIG {slicer}/empty.cmake)\n"
        f"set(Slicer_EXTENSION_CPACK {slicer}/packaging.cmake)\n"
    )
    command = [cmake, "-S", repository, "-B", build, f"-DSlicer_DIR={slicer}", "-DBUILD_TESTING=ON"]
    # Nothing is compiled: whether this machine has a C++ compiler must not matter.
    compilers = [
        f"-DCMAKE_{language}_COMPILER{what}" for language in ("C", "CXX") for what in ("=/bin/true", "_FORCED=1")
    ]
    ran = subprocess.run([*command, *compilers], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return build


@pytest.fixture(scope="module")
def installed(configured: Path) -> dict[str, Path]:
    """Relative path in the folder of installed modules to the file that is put there."""
    places: dict[str, Path] = {}
    for line in (configured / "installed.txt").read_text().splitlines():
        target, source, _module = line.split(";")
        assert target not in places, f"{places.get(target)} and {source} would both be installed as {target}"
        places[target] = Path(source)
    return places


def _shipped(repository: Path) -> set[Path]:
    """Every file that the modules need at run time."""
    package = [
        path
        for path in (repository / "imagetranslation").rglob("*")
        if path.suffix in (".py", ".ui", ".json", ".png") and "browser" not in path.parts
    ]
    modules = [
        path
        for module in ("US2MRITranslate", "PoolToDelayed")
        for path in (repository / module).rglob("*")
        if path.suffix in (".py", ".ui", ".json", ".png")
    ]
    models = [path for path in (repository / "Resources" / "Models").rglob("*") if path.is_file()]
    return {*package, *modules, *models, repository / "Resources" / "SampleData.json"}


def test_every_file_the_modules_need_is_packaged(repository, installed):
    missing = sorted(str(p.relative_to(repository)) for p in _shipped(repository) - set(installed.values()))
    assert not missing, f"add to CMakeLists.txt: {', '.join(missing)}"


def test_nothing_is_packaged_that_needs_trame(installed):
    assert not [name for name in installed if "browser" in name]


def test_installed_modules_find_their_task_and_the_package_beside_them(installed):
    for module in ("US2MRITranslate", "PoolToDelayed"):
        assert f"{module}.py" in installed
        assert f"{module}/task.json" in installed
        assert f"Resources/UI/{module}.ui" in installed
        assert f"Resources/Icons/{module}.png" in installed
    assert "imagetranslation/__init__.py" in installed


def test_each_module_runs_its_own_test(configured):
    assert (configured / "tests.txt").read_text().split() == ["US2MRITranslate.py", "PoolToDelayed.py"]


def test_the_extension_names_what_it_depends_on_and_links_its_pictures(configured, repository):
    facts = dict(line.split("=", 1) for line in (configured / "extension.txt").read_text().splitlines())
    assert facts["DEPENDS"] == "PyTorch"
    assert facts["CATEGORY"] == "Image Synthesis"
    for picture in (facts["ICONURL"], *facts["SCREENSHOTURLS"].split()):
        assert (repository / picture.partition("/main/")[2]).is_file(), picture


def test_the_index_entry_follows_the_catalogue_schema(repository):
    entry = json.loads((repository / "ImageTranslation.json").read_text())
    assert {"$schema", "category", "scm_url"} <= set(entry) <= INDEX_KEYS
    assert entry["category"] == "Image Synthesis"
    assert entry["scm_url"].rstrip("/").removesuffix(".git").rpartition("/")[2].startswith("Slicer")
    assert entry["build_dependencies"] == ["PyTorch"]
    assert 1 <= entry["tier"] <= 5


@pytest.mark.parametrize(
    "icon",
    [
        "Resources/Icons/ImageTranslation.png",
        "US2MRITranslate/Resources/Icons/US2MRITranslate.png",
        "PoolToDelayed/Resources/Icons/PoolToDelayed.png",
    ],
)
def test_icons_are_128_pixels_square(repository, icon):
    from PIL import Image

    with Image.open(repository / icon) as image:
        assert image.size == (128, 128)
