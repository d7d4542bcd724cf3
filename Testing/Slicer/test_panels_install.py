"""Installing what is missing: what is asked, what is refused, and that Slicer's own packages stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CalledProcessError

import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from imagetranslation.panels import requirements  # noqa: E402
from imagetranslation.panels.installation import Installer  # noqa: E402
from imagetranslation.panels.signal import Signal  # noqa: E402

BUNDLED = {"numpy": "2.4.6", "scipy": "1.17.0", "torch": "2.6.0+cpu", "psutil": "7.0.0", "pillow": "12.2.0"}
TOOL = "light-the-torch"


class FakePip:
    """A process in which pip plans what the test says."""

    def __init__(self):
        self.output, self.errors, self.ended = Signal(), Signal(), Signal()
        self.arguments: list[str] = []
        self.constraints = ""
        self.started: list[list[str]] = []

    def start(self, arguments):
        self.arguments = arguments
        self.started.append(arguments)
        if "--constraint" in arguments:
            self.constraints = Path(arguments[arguments.index("--constraint") + 1]).read_text()

    def plans(self, **versions):
        entries = [{"metadata": {"name": name, "version": version}} for name, version in versions.items()]
        report = Path(self.arguments[self.arguments.index("--report") + 1])
        report.write_text(json.dumps({"install": entries}))
        self.ended(0, False)

    def stop(self):
        pass

    def wait(self):
        pass


class World:
    """What surrounds an installer: the person, pip, the PyTorch extension, and what was said in the end."""

    def __init__(self, folder, monkeypatch):
        self.have = dict(BUNDLED)
        self.agrees, self.pip_works = True, True
        self.extension, self.extension_does = True, {"torch": "2.6.0"}
        self.questions, self.installed, self.said, self.errors = [], [], [], []
        self.process = FakePip()
        monkeypatch.setattr(requirements, "present", lambda: dict(self.have))
        self.installer = Installer(lambda: self.process, self._ask, self._pip, self, folder)
        self.installer.finished.connect(self.said.append)
        self.installer.failed.connect(lambda error: self.errors.append(str(error)))

    def _ask(self, text):
        self.questions.append(text)
        return self.agrees

    def _pip(self, arguments):
        self.installed.append(arguments)
        if not self.pip_works:
            raise CalledProcessError(1, "pip")
        self.have |= {"safetensors": "0.5.0", "jsonschema": "4.23.0"}

    def present(self):
        return self.extension

    def install(self, constraints):
        """What the PyTorch extension does."""
        self.pinned = constraints.read_text()
        if isinstance(self.extension_does, Exception):
            raise self.extension_does
        self.have |= self.extension_does


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    return folder


def test_only_what_is_missing_is_asked_for_and_everything_present_is_pinned(world):
    world.installer.start()
    assert world.process.arguments[:4] == ["-m", "pip", "install", "--dry-run"]
    assert world.process.arguments[-2:] == ["safetensors>=0.4", "jsonschema>=4.20"]
    for name, version in BUNDLED.items():
        assert f"{name}=={version}\n" in world.process.constraints


def test_one_question_names_what_why_and_how_large(world):
    world.installer.start()
    world.process.plans(safetensors="0.5.0", jsonschema="4.23.0", attrs="25.1.0")
    (question,) = world.questions
    for fact in ("safetensors", "cannot hold code", "0.6 MB", "attrs 25.1.0", "Python Package Index"):
        assert fact in question
    assert world.said == ["Installed."]


def test_the_installation_itself_keeps_to_the_constraints(world):
    world.installer.start()
    world.process.plans(safetensors="0.5.0", jsonschema="4.23.0")
    (arguments,) = world.installed
    assert arguments[0] == "--constraint"
    assert arguments[-2:] == ["safetensors>=0.4", "jsonschema>=4.20"]


def test_a_plan_that_would_change_slicers_numpy_is_refused_without_a_question(world):
    world.installer.start()
    world.process.plans(safetensors="0.5.0", numpy="2.5.0")
    assert world.questions == []
    assert world.installed == []
    assert "numpy 2.4.6 to 2.5.0" in world.errors[0]


def test_declining_says_what_that_means_and_installs_nothing(world):
    world.agrees = False
    world.installer.start()
    world.process.plans(safetensors="0.5.0", jsonschema="4.23.0")
    assert world.installed == []
    assert "Nothing was installed" in world.errors[0]


def test_torch_is_planned_by_the_extensions_own_tool_which_is_fetched_for_that_and_not_installed(world):
    del world.have["torch"]
    world.installer.start()
    fetching = world.process.arguments
    assert fetching[-1] == "light-the-torch>=0.5"
    assert "--no-deps" in fetching
    folder = fetching[fetching.index("--target") + 1]
    world.process.ended(0, False)
    plan = world.process.arguments
    assert plan[2] == folder
    assert "light_the_torch" in plan[1]
    assert {"--dry-run", "torch>=2.5", "torchvision", "safetensors>=0.4"} <= set(plan)
    assert "numpy==2.4.6\n" in world.process.constraints
    assert world.questions == []


def test_torch_is_asked_for_with_the_rest_and_installed_at_the_planned_version(world):
    world.have |= {TOOL: "0.8.1"}
    del world.have["torch"]
    world.installer.start()
    assert len(world.process.started) == 1, "the tool is there"
    world.process.plans(torch="2.6.0", torchvision="0.21.0", safetensors="0.5.0", jsonschema="4.23.0")
    (question,) = world.questions
    assert "torch 2.6.0" in question
    assert "about 200 MB" in question
    assert "torch==2.6.0\n" in world.pinned
    assert "numpy==2.4.6\n" in world.pinned
    assert not any(argument.startswith("torch") for argument in world.installed[0])
    assert world.said == ["Installed."]


def test_torch_for_a_graphics_card_is_asked_for_with_its_true_size(world):
    world.have |= {TOOL: "0.8.1"}
    del world.have["torch"]
    world.installer.start()
    world.process.plans(**{"torch": "2.6.0+cu126", "nvidia-cublas-cu12": "12.6"})
    assert "about 3000 MB" in world.questions[0]


def test_a_torch_that_would_change_slicers_numpy_is_refused_without_a_question(world):
    world.have |= {TOOL: "0.8.1"}
    del world.have["torch"]
    world.installer.start()
    world.process.plans(torch="2.6.0", numpy="2.5.0")
    assert (world.questions, world.installed) == ([], [])
    assert "numpy 2.4.6 to 2.5.0" in world.errors[0]


def test_what_the_extension_changed_all_the_same_is_named_with_the_way_back(world):
    world.have |= {TOOL: "0.8.1"}
    del world.have["torch"]
    world.extension_does = {"torch": "2.6.0", "numpy": "1.26.4"}
    world.installer.start()
    world.process.plans(torch="2.6.0", safetensors="0.5.0", jsonschema="4.23.0")
    assert "numpy 2.4.6 to 1.26.4" in world.errors[0]
    assert 'pip_install("numpy==2.4.6")' in world.errors[0]
    assert world.said == []


def test_a_package_that_is_gone_after_an_installation_is_named():
    sentence = requirements.altered({"numpy": "2.4.6", "scipy": "1.17.0"}, {"scipy": "1.17.0", "torch": "2.6.0"})
    assert "numpy 2.4.6 is gone" in sentence
    assert "scipy" not in sentence


def test_whatever_the_extension_raises_is_a_sentence(world):
    world.have |= {TOOL: "0.8.1"}
    del world.have["torch"]
    world.extension_does = OSError("no libcudart")
    world.installer.start()
    world.process.plans(torch="2.6.0", safetensors="0.5.0", jsonschema="4.23.0")
    assert world.errors == ["The PyTorch extension failed: no libcudart."]


def test_without_the_pytorch_extension_the_sentence_says_where_to_get_it(world):
    del world.have["torch"]
    world.extension = False
    world.installer.start()
    assert "PyTorch extension" in world.errors[0]
    assert world.process.arguments == []


@pytest.mark.parametrize("name", ["torch", "safetensors", "jsonschema", "psutil", "pillow"])
def test_a_package_that_is_too_old_is_named_with_what_is_needed_and_the_way_there(world, name):
    world.have |= {"safetensors": "0.5.0", "jsonschema": "4.23.0", name: "0.1"}
    world.installer.start()
    (sentence,) = world.errors
    need = next(need for need in requirements.NEEDS if requirements.normalised(need.name) == name)
    assert f"{need.name} 0.1 is installed and {need.minimum} or newer is needed" in sentence
    assert "ninstall" in sentence
    assert "restart Slicer" in sentence
    assert world.process.arguments == [], "pip is not asked to replace it"
    report = {"versions": {n.name: "99" for n in requirements.NEEDS} | {need.name: "0.1"}}
    assert sentence in requirements.describe(report).splitlines()
    assert requirements.describe(report).endswith("Not ready.")


def test_a_wheel_folder_is_used_instead_of_the_network_also_for_torch(world, wheels):
    del world.have["torch"]
    world.extension = False
    world.installer.start(wheels)
    arguments = world.process.arguments
    assert arguments[arguments.index("--find-links") + 1] == str(wheels)
    assert "--no-index" in arguments
    assert "torch>=2.5" in arguments
    world.process.plans(torch="2.6.0", safetensors="0.5.0", jsonschema="4.23.0")
    assert str(wheels) in world.questions[0]


def test_a_wheel_folder_that_is_missing_is_a_sentence(world, tmp_path):
    world.installer.start(tmp_path / "nowhere")
    assert "no folder" in world.errors[0]


def test_when_pip_finds_no_way_its_last_line_is_shown(world):
    world.installer.start()
    world.process.errors(b"Looking\nERROR: No matching distribution found for safetensors\n")
    world.process.ended(1, False)
    assert "No matching distribution" in world.errors[0]


def test_a_pip_that_fails_half_way_is_a_sentence(world):
    world.pip_works = False
    world.installer.start()
    world.process.plans(safetensors="0.5.0", jsonschema="4.23.0")
    assert "pip failed with code 1" in world.errors[0]


def test_nothing_missing_asks_nothing(world):
    world.have |= {"safetensors": "0.5.0", "jsonschema": "4.23.0"}
    world.installer.start()
    assert world.process.arguments == []
    assert world.said == ["Everything needed is there."]


def test_no_temporary_file_stays_behind(world, tmp_path):
    world.installer.start()
    world.process.plans(safetensors="0.5.0", numpy="2.5.0")
    assert list(tmp_path.glob("imagetranslation-*")) == []


@pytest.mark.parametrize(
    ("version", "enough"), [("2.5", True), ("2.10.0+cu121", True), ("2.4.1", False), ("10.0", True), ("dev", False)]
)
def test_versions_are_compared_as_numbers(version, enough):
    torch = requirements.NEEDS[0]
    assert (requirements.missing({"torch": version}, [torch]) == []) == enough


class TestHindrance:
    """What is said before a translation, of packages that are really looked up."""

    def test_nothing_hinders_where_all_is_installed(self):
        assert requirements.hindrance() == ""

    def test_what_cannot_be_imported_is_named_by_its_package(self):
        needs = [requirements.Need("No-Such-Package", "1", "", 1, module="no_such_module"), *requirements.NEEDS]
        assert requirements.hindrance(needs).startswith("No-Such-Package must be installed first: press Install")

    def test_what_is_too_old_is_named_with_its_version(self):
        import psutil

        needs = [requirements.Need("psutil", "99", "", 1)]
        assert f"psutil {psutil.__version__} is installed and 99 or newer is needed" in requirements.hindrance(needs)

    def test_what_only_the_export_needs_does_not_hinder(self):
        assert requirements.hindrance([requirements.Need("absent", "1", "", 1, translating=False)]) == ""

    def test_pillow_is_known_by_the_name_it_is_imported_by(self):
        (pillow,) = [need for need in requirements.NEEDS if need.name == "Pillow"]
        assert (pillow.module, pillow.translating) == ("PIL", False)


def test_the_pins_are_of_what_really_is_installed():
    import numpy

    have = requirements.present()
    assert have["numpy"] == numpy.__version__
    assert f"numpy=={numpy.__version__}\n" in requirements.constraints_text(have)


class TestPanel:
    @pytest.fixture
    def home(self, tmp_path, monkeypatch):
        monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path))
        return tmp_path

    @pytest.fixture
    def panel(self, home, a_scene, request):
        pytest.importorskip("PySide6", reason="PySide6 is not installed")
        module = request.getfixturevalue("us2mri_module")
        module.widget.panel.install.unfold()
        return module.widget.panel

    def test_check_installation_lists_versions_and_devices(self, panel, click, wait_until, screenshot):
        click(panel.install.ui.checkButton)
        text = wait_until(lambda: "torch" in panel.install.ui.installationText.text and
                          panel.install.ui.installationText.text, 60, "the probe")  # fmt: skip
        assert "Device: CPU" in text
        assert "Everything needed is there." in text
        screenshot("install_checked")

    def test_a_local_model_can_be_chosen_and_a_broken_one_is_a_sentence(self, panel, home):
        from tinymodel import write_tiny_model

        package = write_tiny_model(home / "elsewhere", "us2mri", "from-a-colleague")
        panel.install.useModel(str(package / "model.json"))
        assert panel.translate.ui.modelComboBox.currentText == "Untrained network 0.0.1 (local file)"
        (home / "broken.zip").write_text("x")
        panel.install.useModel(str(home / "broken.zip"))
        assert "not a readable model package" in panel.install.ui.installationText.text

    def test_after_an_installation_the_models_are_listed_at_once(self, panel, monkeypatch):
        from imagetranslation.panels import modelchoices

        def no_checker():
            raise ModuleNotFoundError("No module named 'jsonschema'", name="jsonschema")

        listed = len(panel.translate._choices)
        with monkeypatch.context() as fresh:
            fresh.setattr(modelchoices, "list_packages", no_checker)
            panel.translate.refreshModels()
            assert [choice.label for choice in panel.translate._choices] == [modelchoices.MISSING_SENTENCE]
        panel.install.onInstalled("Installed.")
        assert len(panel.translate._choices) == listed > 0
        assert panel.translate.ui.modelComboBox.count == listed

    def test_a_model_of_another_task_is_a_sentence(self, panel, home):
        from tinymodel import write_tiny_model

        before = panel.translate.ui.modelComboBox.currentText
        package = write_tiny_model(home / "elsewhere", "pool2delayed", "another-task")
        panel.install.useModel(str(package / "model.json"))
        assert "this module does us2mri" in panel.install.ui.installationText.text
        assert panel.translate.ui.modelComboBox.currentText == before

    def test_downloaded_models_are_removed_after_a_question(self, panel, home, click, dialogs, wait_until):
        from tinymodel import write_tiny_model

        write_tiny_model(home / "models", "us2mri")
        panel.translate.refreshModels()
        panel.install._updateModels()
        assert "Untrained" in panel.translate.ui.modelComboBox.currentText
        dialogs.will_press("Cancel")
        click(panel.install.ui.removeModelsButton)
        assert (home / "models").exists()
        dialogs.will_press("OK")
        click(panel.install.ui.removeModelsButton)
        assert not (home / "models").exists()
        assert "Untrained" not in panel.translate.ui.modelComboBox.currentText

    def test_a_model_that_is_in_use_is_named_and_stays(self, panel, home, click, dialogs, monkeypatch):
        import os

        from tinymodel import write_tiny_model

        write_tiny_model(home / "models", "us2mri")
        panel.install._updateModels()
        real = os.unlink

        def unlink(path, **options):
            if str(path).endswith("weights.safetensors"):
                raise PermissionError(13, "in use")
            real(path, **options)

        monkeypatch.setattr(os, "unlink", unlink)
        dialogs.will_press("OK")
        click(panel.install.ui.removeModelsButton)
        assert "weights.safetensors is in use or protected" in panel.install.ui.installationText.text
        assert panel.install.ui.removeModelsButton.enabled

    def test_without_anything_to_download_nothing_is_offered(self, panel):
        assert not panel.install.ui.downloadButton.visible

    def test_a_model_is_downloaded_after_a_question_and_can_be_chosen(
        self, panel, home, click, dialogs, wait_until, monkeypatch
    ):
        import functools
        import http.server
        import shutil
        import threading

        from tinymodel import write_tiny_model

        from imagetranslation.downloads import Download
        from imagetranslation.files import sha256_of
        from imagetranslation.panels import installing

        package = write_tiny_model(home / "web", "us2mri", "from-the-web")
        archive = Path(shutil.make_archive(str(home / "web" / "model"), "zip", package))
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(home / "web"))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/model.zip"
        item = Download("from-the-web", "us2mri", "A model from the web", url, sha256_of(archive), 2.5)
        monkeypatch.setattr(installing, "available", lambda task: [] if item.target.exists() else [item])
        panel.install._updateModels()
        dialogs.will_press("OK")
        click(panel.install.ui.downloadButton)
        wait_until(lambda: item.target.exists() and not panel.install._download.busy, 30, "the download")
        server.shutdown()
        server.server_close()
        assert "2.5 MB" in dialogs.texts[-1]
        assert not panel.install.ui.downloadButton.visible
        assert panel.translate._indexOfModel("from-the-web") == panel.translate.ui.modelComboBox.findText(
            "Untrained network 0.0.1"
        )

    def test_a_translation_without_torch_says_what_to_install(self, panel, a_scene, click, monkeypatch, home):
        import numpy as np
        from tinymodel import write_tiny_model

        write_tiny_model(home / "models", "us2mri")
        panel.translate.refreshModels()
        node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
        slicer.util.updateVolumeFromArray(node, np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
        panel.translate._hindrance = lambda: "torch must be installed first: press Install."
        panel.install.ui.installSection.collapsed = True
        click(panel.translate.ui.translateButton)
        assert "torch must be installed first" in panel.translate.ui.resultLabel.text
        assert not panel.install.ui.installSection.collapsed
