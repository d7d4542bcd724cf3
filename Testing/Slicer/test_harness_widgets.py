"""The stand-ins of CTK's and Slicer's widgets behave as documented and show no more than the C++ classes do."""

from __future__ import annotations

import pytest


@pytest.fixture
def qt(a_slicer_app):
    import qt

    return qt


@pytest.fixture
def ctk(a_slicer_app):
    import ctk

    return ctk


@pytest.fixture
def a_node_selector(a_scene):
    """A selector of scalar volumes that knows the scene."""
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(a_scene)
    yield selector
    selector.delete()


def a_volume(scene, name, class_name="vtkMRMLScalarVolumeNode"):
    return scene.AddNewNodeByClass(class_name, name)


class TestNodeSelector:
    def test_it_is_disabled_until_it_has_a_scene(self, a_scene):
        import slicer

        selector = slicer.qMRMLNodeComboBox()
        assert not selector.enabled
        selector.setMRMLScene(a_scene)
        assert selector.enabled

    def test_it_follows_the_scene(self, a_node_selector, a_scene):
        first, second = a_volume(a_scene, "first"), a_volume(a_scene, "second")
        assert a_node_selector.nodeCount() == 2
        a_scene.RemoveNode(first)
        assert a_node_selector.nodeCount() == 1
        assert a_node_selector.nodeFromIndex(0) is second
        a_scene.Clear(False)
        assert a_node_selector.nodeCount() == 0

    def test_only_the_wanted_types_are_listed(self, a_node_selector, a_scene):
        a_volume(a_scene, "labels", "vtkMRMLLabelMapVolumeNode")
        a_volume(a_scene, "model", "vtkMRMLModelNode")
        assert a_node_selector.nodeCount() == 1
        a_node_selector.showChildNodeTypes = False
        assert a_node_selector.nodeCount() == 0

    def test_an_attribute_narrows_the_list(self, a_node_selector, a_scene):
        a_volume(a_scene, "plain")
        marked = a_volume(a_scene, "marked")
        marked.SetAttribute("kind", "synthetic")
        a_node_selector.addAttribute("vtkMRMLScalarVolumeNode", "kind", "synthetic")
        assert [a_node_selector.nodeFromIndex(0), a_node_selector.nodeCount()] == [marked, 1]

    def test_none_is_current_where_none_is_allowed(self, a_node_selector, a_scene):
        a_volume(a_scene, "volume")
        assert a_node_selector.currentNode() is None
        assert a_node_selector.currentNodeID == ""

    def test_without_none_the_scenes_first_node_is_current(self, a_scene):
        import slicer

        first = a_volume(a_scene, "first")
        a_volume(a_scene, "second")
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.setMRMLScene(a_scene)
        assert selector.currentNode() is first

    @pytest.mark.parametrize("with_actions", [True, False])
    def test_a_node_added_later_is_chosen_only_without_actions(self, a_scene, with_actions):
        import slicer

        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.addEnabled = selector.removeEnabled = with_actions
        selector.setMRMLScene(a_scene)
        volume = a_volume(a_scene, "volume")
        assert selector.currentNode() is (None if with_actions else volume)

    def test_when_the_current_node_goes_the_next_becomes_current(self, a_node_selector, a_scene):
        first, second, last = (a_volume(a_scene, name) for name in ("first", "second", "last"))
        a_node_selector.setCurrentNode(first)
        a_scene.RemoveNode(first)
        assert a_node_selector.currentNode() is second
        a_node_selector.setCurrentNode(last)
        a_scene.RemoveNode(last)
        assert a_node_selector.currentNode() is second

    def test_the_current_node_is_set_by_node_or_id(self, a_node_selector, a_scene):
        volume = a_volume(a_scene, "volume")
        a_node_selector.setCurrentNode(volume)
        assert a_node_selector.currentNodeID == volume.GetID()
        a_node_selector.setCurrentNode(None)
        assert a_node_selector.currentNode() is None
        a_node_selector.currentNodeID = volume.GetID()
        assert a_node_selector.currentNode() is volume

    def test_a_node_asked_for_before_the_scene_is_set_becomes_current(self, a_scene):
        import slicer

        volume = a_volume(a_scene, "volume")
        selector = slicer.qMRMLNodeComboBox()
        selector.noneEnabled = True
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.setCurrentNodeID(volume.GetID())
        selector.setMRMLScene(a_scene)
        assert selector.currentNode() is volume

    def test_both_overloads_of_the_signal_are_emitted(self, a_node_selector, a_scene):
        volume, got = a_volume(a_scene, "volume"), []
        a_node_selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: got.append(node))
        a_node_selector.connect("currentNodeChanged(bool)", lambda valid: got.append(valid))
        a_node_selector.connect("currentNodeIDChanged(QString)", lambda node_id: got.append(node_id))
        a_node_selector.setCurrentNode(volume)
        assert got == [volume, True, volume.GetID()]
        got.clear()
        a_scene.RemoveNode(volume)
        assert got == [None, False, ""]

    def test_the_signal_by_name_gives_the_node(self, a_node_selector, a_scene):
        volume, got = a_volume(a_scene, "volume"), []
        a_node_selector.currentNodeChanged.connect(lambda node: got.append(node))
        a_node_selector.setCurrentNode(volume)
        assert got == [volume]

    def test_a_person_can_choose_and_create_nodes(self, a_node_selector, a_scene, choose):
        got = []
        a_node_selector.connect("nodeAddedByUser(vtkMRMLNode*)", lambda node: got.append(node))
        a_node_selector.show()
        choose(a_node_selector, "Create new Volume")
        assert a_node_selector.currentNode() is got[0]
        choose(a_node_selector, "None")
        assert a_node_selector.currentNode() is None
        choose(a_node_selector, got[0].GetName())
        choose(a_node_selector, "Delete current Volume")
        assert a_node_selector.nodeCount() == 0

    def test_a_created_node_has_the_base_name_and_the_attribute(self, a_node_selector):
        a_node_selector.baseName = "Attributed"
        a_node_selector.addAttribute("vtkMRMLScalarVolumeNode", "kind", "synthetic")
        first, second = a_node_selector.addNode(), a_node_selector.addNode()
        assert (first.GetName(), second.GetName()) == ("Attributed", "Attributed_1")
        assert first.GetAttribute("kind") == "synthetic"

    def test_a_renamed_node_is_shown_by_its_new_name(self, a_node_selector, a_scene, choose):
        volume = a_volume(a_scene, "before")
        volume.SetName("after")
        a_node_selector.show()
        choose(a_node_selector, "after")
        assert a_node_selector.currentNode() is volume

    def test_renaming_the_current_node_announces_it_again(self, a_node_selector, a_scene):
        volume, got = a_volume(a_scene, "before"), []
        a_node_selector.setCurrentNode(volume)
        a_node_selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: got.append(node))
        volume.SetName("after")
        assert got == [volume]

    @pytest.mark.parametrize("name", ["setNodeTypes", "setNoneEnabled", "comboBox", "getCurrentNode", "addItem"])
    def test_what_cpp_does_not_show_is_missing(self, a_node_selector, name):
        assert not hasattr(a_node_selector, name)

    def test_something_that_is_no_node_is_refused(self, a_node_selector):
        with pytest.raises(TypeError, match="VTK object"):
            a_node_selector.setCurrentNode(5)


class TestCtkWidgets:
    def test_a_collapsible_button_hides_and_shows_its_contents(self, qt, ctk, click):
        section = ctk.ctkCollapsibleButton()
        section.text = "Advanced"
        layout = qt.QVBoxLayout(section)
        shown, hidden = qt.QLabel("shown"), qt.QLabel("hidden for its own reasons")
        layout.addWidget(shown)
        layout.addWidget(hidden)
        hidden.visible = False
        section.show()
        heard = []
        section.connect("contentsCollapsed(bool)", heard.append)
        click(section)
        assert (section.collapsed, shown.visible) == (True, False)
        section.collapsed = False
        assert (shown.visible, hidden.visible) == (True, False)
        assert heard == [True, False]

    def test_contents_added_while_collapsed_are_hidden(self, qt, ctk):
        section = ctk.ctkCollapsibleButton()
        section.collapsed = True
        label = qt.QLabel("late", section)
        section.show()
        assert not label.visible

    def test_a_slider_keeps_its_bounds(self, ctk):
        slider, heard = ctk.ctkSliderWidget(), []
        slider.minimum, slider.maximum, slider.singleStep, slider.decimals = 0.0, 1.0, 0.05, 2
        slider.connect("valueChanged(double)", heard.append)
        slider.value = 0.5
        slider.setValue(7)
        assert slider.value == 1.0
        assert heard == [0.5, 1.0]

    def test_a_range_keeps_its_order(self, ctk):
        bounds, heard = ctk.ctkRangeWidget(), []
        bounds.setRange(0, 255)
        bounds.setValues(10, 20)
        bounds.connect("valuesChanged(double,double)", lambda low, high: heard.append((low, high)))
        bounds.minimumValue = 40
        assert (bounds.minimumValue, bounds.maximumValue) == (20, 20)
        assert heard == [(20, 20)]

    def test_a_path_keeps_its_history(self, ctk):
        line, heard = ctk.ctkPathLineEdit(), []
        line.settingKey = "ImageTranslation/wheels"
        line.connect("currentPathChanged(QString)", heard.append)
        line.currentPath = "/data/wheels"
        line.addCurrentPathToHistory()
        again = ctk.ctkPathLineEdit()
        again.settingKey = "ImageTranslation/wheels"
        assert heard[-1] == "/data/wheels"
        assert again.comboBox().findText("/data/wheels") == 0

    def test_a_directory_is_chosen_in_a_dialog(self, ctk, dialogs, tmp_path):
        button, heard = ctk.ctkDirectoryButton(), []
        button.connect("directoryChanged(QString)", heard.append)
        dialogs.will_choose_file(tmp_path)
        button.browse()
        assert button.directory == str(tmp_path)
        assert heard == [str(tmp_path)]

    def test_entries_can_be_ticked(self, qt, ctk):
        combo, heard = ctk.ctkCheckableComboBox(), []
        combo.connect("checkedIndexesChanged()", lambda: heard.append(1))
        combo.addItem("glcm")
        combo.addItem("glrlm")
        combo.setCheckState(combo.model().index(1, 0), qt.Qt.Checked)
        assert [index.data() for index in combo.checkedIndexes()] == ["glrlm"]
        assert combo.checkState(combo.model().index(1, 0)) == qt.Qt.Checked
        assert heard

    @pytest.mark.parametrize(
        ("widget", "name"),
        [
            ("ctkCollapsibleButton", "setCollapsed"),
            ("ctkCollapsibleButton", "collapse"),
            ("ctkSliderWidget", "setMinimum"),
            ("ctkSliderWidget", "setRange"),
            ("ctkPathLineEdit", "setNameFilters"),
            ("ctkDirectoryButton", "setDirectory"),
        ],
    )
    def test_what_cpp_does_not_show_is_missing(self, ctk, widget, name):
        assert not hasattr(getattr(ctk, widget)(), name)

    def test_a_class_without_stand_in_is_an_error(self, ctk):
        with pytest.raises(AttributeError, match="no stand-in"):
            ctk.ctkDICOMBrowser  # noqa: B018


UI = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Panel</class>
 <widget class="qMRMLWidget" name="Panel"><layout class="QFormLayout" name="formLayout">
  <item row="0" column="1"><widget class="qMRMLNodeComboBox" name="inputSelector">
    <property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
    <property name="noneEnabled"><bool>true</bool></property>
    <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property></widget></item>
  <item row="1" column="1"><widget class="{widget}" name="second"/></item>
 </layout></widget>
 <connections><connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>inputSelector</receiver><slot>{slot}</slot></connection></connections>
</ui>"""


class TestUiFiles:
    @pytest.fixture
    def load(self, a_slicer_app, tmp_path):
        import slicer

        def load(widget="ctkSliderWidget", slot="setMRMLScene(vtkMRMLScene*)"):
            path = tmp_path / "Panel.ui"
            path.write_text(UI.format(widget=widget, slot=slot))
            return slicer.util.loadUI(str(path))

        return load

    def test_children_are_found_by_name_with_their_own_class(self, load):
        import slicer

        ui = slicer.util.childWidgetVariables(load())
        assert type(ui.inputSelector) is slicer.qMRMLNodeComboBox
        assert ui.inputSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
        assert ui.inputSelector.SlicerParameterName == "inputVolume"
        assert ui.second.className() == "ctkSliderWidget"

    def test_enumerators_of_ctk_are_read(self, a_slicer_app, tmp_path):
        import ctk
        import slicer

        path = tmp_path / "Path.ui"
        path.write_text(
            '<ui version="4.0"><class>F</class><widget class="QWidget" name="F">'
            '<widget class="ctkPathLineEdit" name="folder"><property name="filters">'
            "<set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Writable</set></property></widget></widget></ui>"
        )
        line = slicer.util.loadUI(str(path)).folder
        assert line.filters == ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Writable == 0x21

    def test_a_connection_in_the_file_carries_the_scene(self, load, a_scene):
        panel = load()
        panel.setMRMLScene(a_scene)
        assert panel.inputSelector.mrmlScene() is a_scene

    def test_an_unknown_class_is_an_error(self, load):
        with pytest.raises(RuntimeError, match="qMRMLNoSuchWidget"):
            load(widget="qMRMLNoSuchWidget")

    def test_a_connection_to_no_slot_is_an_error(self, load):
        with pytest.raises((RuntimeError, ValueError), match="slot"):
            load(slot="setScene(vtkMRMLScene*)")

    def test_a_missing_file_is_an_error(self, a_slicer_app):
        import slicer

        with pytest.raises(RuntimeError, match="not found"):
            slicer.util.loadUI("/no/such/file.ui")
