"""Reading a blinded study in a module: what is shown, what is locked, and that leaving restores everything.

What is answered and kept stands in test_panels_reading_answers.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6", reason="PySide6 is not installed")

from readings import FORCED, RANKED, REALISM_OF_EACH  # noqa: E402

from imagetranslation.mrml.reading import layout_number, layout_xml, view_tag  # noqa: E402
from imagetranslation.panels import readinglock  # noqa: E402
from imagetranslation.readerstudy.readingset import STUDY_READING  # noqa: E402
from imagetranslation.readerstudy.session import open_session  # noqa: E402
from Testing.studies import a_document, a_study  # noqa: E402

FOUR_UP = 3


@pytest.fixture
def a_pair_study(tmp_path):
    return a_study(tmp_path / "secretfolder", a_document(cases=2, kind="pair", questions=[REALISM_OF_EACH]))


@pytest.fixture
def reading(begin_reading, a_pair_study):
    return begin_reading(a_pair_study)


def _arrangement():
    return slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetViewArrangement()


def _white_text(pixels):
    """Near-white pixels in the upper left corner, where the text stands on its dark ground."""
    corner = pixels[:40, :300].astype(int)
    return int((corner.min(axis=2) > 200).sum()), int((corner.max(axis=2) < 30).sum())


def _nodes():
    return [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]


def _action(name):
    return slicer.util.mainWindow().findChild("QAction", name)


class TestViews:
    @pytest.mark.parametrize(
        ("kind", "questions", "slots"),
        [
            ("single", [REALISM_OF_EACH], {"A"}),
            ("pair", [REALISM_OF_EACH], {"A", "B"}),
            ("source_synthetic", [REALISM_OF_EACH], {"source", "A"}),
            ("forced_choice", [FORCED], {"A", "B"}),
            ("ranking", [RANKED], {"A", "B", "C"}),
        ],
    )
    def test_each_kind_of_study_has_a_linked_view_for_each_image_with_the_neutral_text(
        self, begin_reading, tmp_path, slice_pixels, kind, questions, slots
    ):  # fmt: skip
        primary = {"question": questions[0]["id"], "analysis": "distribution", "hypothesis": "None."}
        document = a_document(2, arms=3 if kind == "ranking" else 2, kind=kind, questions=questions, primary=primary)
        panel = begin_reading(a_study(tmp_path / "s", document))
        assert set(panel.views.slots) == slots
        assert _arrangement() == layout_number(panel.views.slots)
        composites = [slicer.app.layoutManager().sliceWidget(view_tag(s)).mrmlSliceCompositeNode() for s in slots]
        assert all(c.GetLinkedControl() and c.GetHotLinkedControl() for c in composites)
        for slot in slots:
            assert panel.views.texts[view_tag(slot)] == STUDY_READING
            bright, dark = _white_text(slice_pixels(view_tag(slot)))
            assert bright > 150, f"no text in view {slot}"
            assert dark > 1500, f"no dark ground in view {slot}"

    def test_each_view_draws_its_own_image_in_the_studys_window(self, reading, slice_pixels):
        images = reading.desk.images()
        for slot, image in images.items():
            node = reading.views.nodes[slot]
            assert np.array_equal(slicer.util.arrayFromVolume(node), image.array)
            display = node.GetDisplayNode()
            window = reading.desk.session.reading.window
            assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == pytest.approx(window)
            assert slice_pixels(view_tag(slot))[60:-60, 60:-60].std() > 10

    def test_leafing_in_one_view_leafs_in_the_other(self, reading, process_events):
        logic = slicer.app.layoutManager().sliceWidget(view_tag("A")).sliceLogic()
        wanted = reading.views.nodes["A"].GetOrigin()[2]
        logic.StartSliceOffsetInteraction()
        logic.SetSliceOffset(wanted)
        logic.EndSliceOffsetInteraction()
        process_events()
        other = slicer.mrmlScene.GetSingletonNode(view_tag("B"), "vtkMRMLSliceNode")
        assert other.GetSliceOffset() == pytest.approx(wanted)

    def test_large_values_are_dark_where_the_study_says_so(self, begin_reading, tmp_path, slice_pixels):
        document = a_document(cases=1, questions=[REALISM_OF_EACH], display={"kind": "single", "inverted": True})
        panel = begin_reading(a_study(tmp_path / "s", document))
        assert "Inverted" in panel.views.nodes["A"].GetDisplayNode().GetColorNodeID()

    def test_four_or_more_images_stand_in_rows(self):
        assert layout_xml(["A", "B", "C", "D"]).count("horizontal") == 2
        assert layout_xml(["source", "A", "B", "C", "D"]).count("<view ") == 5


class TestBlinding:
    def test_nothing_in_the_scene_tells_where_an_image_is_from(self, reading, a_pair_study, process_events):
        telling = [
            "SYNTHETIC",
            "synthetic",
            "scanner",
            "model1",
            "patient",
            "secretfolder",
            "ImageTranslation.",
            ".nii",
        ]
        names = [node.GetName() or "" for node in _nodes()]
        attributes = [
            f"{name}={node.GetAttribute(name)}"
            for node in reading.views.nodes.values()
            for name in node.GetAttributeNames()
        ]
        storages = [f"{node.GetFileName()} {node.GetURI()}" for node in _nodes() if node.IsA("vtkMRMLStorageNode")]
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
        import vtk

        ids = vtk.vtkIdList()
        hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), ids, True)
        items = [hierarchy.GetItemName(ids.GetId(n)) for n in range(ids.GetNumberOfIds())]
        corners = [
            slicer.app.layoutManager().sliceWidget(view_tag(slot)).sliceView().cornerAnnotation().GetText(corner) or ""
            for slot in reading.views.slots
            for corner in range(8)
        ]
        for kind, texts in {"names": names, "storage": storages, "hierarchy": items, "corners": corners}.items():
            leaks = [text for text in texts for word in telling if word in text.replace("ImageTranslationReading", "")]
            assert not leaks, f"{kind}: {leaks}"
        assert attributes == []
        assert not [node for node in reading.views.nodes.values() if node.GetStorageNode() is not None]
        token = reading.desk.trial.token
        assert {node.GetName() for node in reading.views.nodes.values()} == {f"{token[:8]} A", f"{token[:8]} B"}

    def test_the_synthetic_mark_is_nowhere(self, reading):
        from imagetranslation.panels.marking import mark_all_views

        marks = mark_all_views()
        marks.marks.refresh()
        assert marks.marks.texts == {}

    def test_a_scene_saved_by_code_holds_no_image_of_the_reading(self, reading, tmp_path):
        names = [node.GetName() for node in reading.views.nodes.values()]
        path = tmp_path / "scene.mrml"
        slicer.mrmlScene.SetURL(str(path))
        slicer.mrmlScene.Commit(str(path))
        text = path.read_text()
        assert not [name for name in names if name in text]
        assert "<Volume" not in text

    def test_other_images_must_be_closed_first(self, begin_reading, a_pair_study, a_scene):
        a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "the real one")
        panel = begin_reading(a_pair_study, waiting=False)
        assert not panel.reading
        assert "close the scene" in panel.ui.readingNotice.text


class TestLocked:
    def test_menus_tool_bars_modules_probe_and_console_are_out_of_reach(self, reading, press_key):
        window = slicer.util.mainWindow()
        assert not window.menuBar().enabled
        assert not any(bar.enabled for bar in window.findChildren("QToolBar"))
        assert not window.moduleSelector().enabled
        assert not slicer.util.findChildren(window, name="DataProbeCollapsibleWidget")[0].visible
        assert not slicer.util.findChildren(window, name="PythonConsoleDockWidget")[0].enabled
        assert not window.acceptDrops
        pressed = []
        for name, keys in (("FileSaveSceneAction", "Ctrl+S"), ("WindowPythonConsoleAction", "Ctrl+3")):
            assert not _action(name).enabled
            _action(name).connect("triggered(bool)", lambda *_: pressed.append(1))
            press_key(None, keys)
        assert pressed == []

    def test_the_other_sections_of_the_module_are_hidden(self, reading, us2mri_module):
        others = [p for p in us2mri_module.widget.panel.panels if p is not reading]
        assert not any(p.widget.visible for p in others)

    def test_another_module_chosen_by_code_is_left_again(self, reading, load_module, wait_until):
        slicer.util.selectModule("Welcome")
        wait_until(lambda: slicer.util.moduleSelector().selectedModule == "US2MRITranslate", 5)
        assert reading.reading

    def test_another_layout_chosen_by_code_is_left_again(self, reading, wait_until):
        slicer.app.layoutManager().setLayout(FOUR_UP)
        wait_until(lambda: _arrangement() == layout_number(reading.views.slots), 5)

    def test_the_views_context_menu_does_not_open(self, reading):
        node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode")
        opened = []
        tag = node.AddObserver(node.ShowViewContextMenuEvent, lambda *_: opened.append(1))
        node.InvokeEvent(node.ShowViewContextMenuEvent)
        assert opened == []
        reading.leave()
        node.InvokeEvent(node.ShowViewContextMenuEvent)
        assert opened == [1]
        node.RemoveObserver(tag)

    def test_a_second_reading_cannot_be_opened_beside_it(self, reading, load_module, a_pair_study):
        from imagetranslation.panels.readingpanel import ReadingPanel

        other = ReadingPanel()
        other.ui.readingPath.currentPath, other.ui.readerEdit.text = str(a_pair_study), "R2"
        other.onStart()
        assert "open already" in other.ui.readingNotice.text
        assert reading.reading
        other.close()
        assert reading.reading


class TestLeaving:
    @pytest.fixture
    def before(self, us2mri_module):
        slicer.app.layoutManager().setLayout(FOUR_UP)
        slicer.util.findChildren(slicer.util.mainWindow(), name="DataProbeCollapsibleWidget")[0].visible = True
        return {node.GetID() for node in _nodes()}

    def _require_restored(self, before):
        window = slicer.util.mainWindow()
        assert window.menuBar().enabled
        assert window.moduleSelector().enabled
        assert _action("FileSaveSceneAction").enabled
        assert slicer.util.findChildren(window, name="DataProbeCollapsibleWidget")[0].visible
        assert window.acceptDrops
        assert _arrangement() == FOUR_UP
        assert not readinglock.locked()
        left = [n.GetName() for n in _nodes() if n.IsA("vtkMRMLVolumeNode") or n.IsA("vtkMRMLMarkupsNode")]
        assert left == []

    def test_the_button_gives_everything_back(self, before, reading, click, us2mri_module, process_events):
        click(reading.ui.leaveButton)
        process_events()
        self._require_restored(before)
        texts = [type(p).__name__ for p in _text_props("Red")]
        assert texts.count("vtkTextActor") <= 1, "only the synthetic mark's empty text is left in Red"
        assert all(p.widget.visible for p in us2mri_module.widget.panel.panels)
        assert reading.ui.startButton.visible
        kinds = {node.GetClassName() for node in _nodes() if node.GetID() not in before}
        assert not [kind for kind in kinds if "Volume" in kind], kinds

    def test_closing_the_scene_loses_no_answer(self, before, reading, click, a_pair_study, process_events):
        click(reading.form.editor("realism@A").buttons[3])
        slicer.mrmlScene.Clear(False)
        process_events()
        self._require_restored(before)
        with open_session(a_pair_study, "R1") as session:
            assert session.answers == {"realism@A": 4}

    def test_reloading_the_module_loses_no_answer(self, before, reading, click, a_pair_study, us2mri_module):
        click(reading.form.editor("realism@B").buttons[1])
        us2mri_module.widget.onReload()
        self._require_restored(before)
        with open_session(a_pair_study, "R1") as session:
            assert session.answers == {"realism@B": 2}

    def test_a_panel_that_died_without_a_word_is_cleaned_up_by_the_next(
        self, before, reading, click, a_pair_study, us2mri_module, process_events
    ):  # fmt: skip
        from imagetranslation.panels.readingpanel import ReadingPanel

        click(reading.form.editor("realism@A").buttons[0])
        reading.widget.setParent(None)
        reading.widget.deleteLater()
        from standins import outside

        outside.settle()
        assert not reading.widget
        assert readinglock.locked()
        ReadingPanel().close()
        process_events()
        self._require_restored(before)
        with open_session(a_pair_study, "R1") as session:
            assert session.answers == {"realism@A": 1}

    def test_an_error_while_the_reading_is_shown_leaves_nothing_locked(
        self, before, begin_reading, a_pair_study, monkeypatch, a_slicer_app
    ):  # fmt: skip
        from standins.pythonqt import exceptions_in_slots

        from imagetranslation.mrml.reading import ReadingViews

        def broken(*_arguments):
            raise RuntimeError("planted")

        monkeypatch.setattr(ReadingViews, "write_texts", broken)
        panel = begin_reading(a_pair_study, waiting=False)
        from time import monotonic

        end = monotonic() + 5
        while panel.reading and monotonic() < end:
            slicer.app.processEvents()
        exceptions_in_slots.clear()
        self._require_restored(before)

    def test_quitting_gives_the_lock_back(self, before, reading, a_pair_study, us2mri_module):
        us2mri_module.widget.cleanup()
        self._require_restored(before)
        assert not list((a_pair_study / "reading" / "answers").glob("*.lock"))
        last = (a_pair_study / "reading" / "answers" / "R1.jsonl").read_text().splitlines()[-1]
        assert json.loads(last)["kind"] == "close"


def _text_props(view):
    renderer = slicer.app.layoutManager().sliceWidget(view).sliceView().renderWindow().GetRenderers().GetFirstRenderer()
    props = renderer.GetViewProps()
    found = [props.GetItemAsObject(n) for n in range(props.GetNumberOfItems())]
    return [prop for prop in found if prop.IsA("vtkTextActor")]


class TestOnItsOwn:
    def test_a_study_is_read_in_a_window_of_its_own(self, a_scene, a_pair_study, click, wait_until, process_events):
        from imagetranslation.panels.readingwindow import open_reading

        window = open_reading(str(a_pair_study), "R2")
        process_events()
        try:
            panel = window.panel
            click(panel.ui.startButton)
            wait_until(lambda: panel.views is not None and panel.views.slots, 10, "the first case")
            process_events()
            dock = slicer.util.findChildren(slicer.util.mainWindow(), name="PanelDockWidget")[0]
            assert not dock.enabled, "the module that is open must not be used meanwhile"
            assert int(window.dock.features) == 0, "the window can be closed only after the reading"
            click(panel.form.editor("realism@A").buttons[2])
            slicer.mrmlScene.Clear(False)
            assert not panel.reading
            assert dock.enabled
        finally:
            window.close()
        with open_session(a_pair_study, "R2") as session:
            assert session.answers == {"realism@A": 3}
