"""The stand-ins keep PythonQt's rules: each promise of README.md, on Qt's own classes."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("a_slicer_app")


@pytest.fixture
def qt(a_slicer_app):
    import qt

    return qt


@pytest.fixture
def recorded():
    from standins.pythonqt import exceptions_in_slots

    return exceptions_in_slots


class TestAttributes:
    def test_a_property_is_an_attribute(self, qt):
        label = qt.QLabel("before")
        label.text = "after"
        assert label.text == "after"
        assert qt.QTableWidget(2, 3).rowCount == 2

    def test_calling_a_property_is_a_type_error(self, qt):
        with pytest.raises(TypeError):
            qt.QLabel("x").text()
        with pytest.raises(TypeError):
            qt.QTableWidget(2, 3).rowCount()

    def test_slots_and_methods_are_called(self, qt):
        spin = qt.QSpinBox()
        spin.setValue(5)
        assert spin.value == 5
        assert spin.isVisible() is False

    def test_an_unknown_attribute_can_not_be_read(self, qt):
        with pytest.raises(AttributeError, match="QLabel has no attribute named 'txet'"):
            qt.QLabel().txet  # noqa: B018

    def test_a_new_attribute_can_not_be_set_on_a_cpp_object(self, qt):
        with pytest.raises(AttributeError, match="creating new attributes on C\\+\\+ objects is not allowed"):
            qt.QLabel().note = 1

    def test_slots_and_signals_can_not_be_overwritten(self, qt):
        button = qt.QPushButton()
        with pytest.raises(AttributeError, match="Slot 'setText'"):
            button.setText = "x"
        with pytest.raises(AttributeError, match="Signal 'clicked'"):
            button.clicked = print

    def test_a_read_only_property_can_not_be_set(self, qt):
        with pytest.raises(AttributeError, match="not writable"):
            qt.QComboBox().count = 3

    def test_a_value_of_the_wrong_type_is_refused(self, qt):
        with pytest.raises(AttributeError, match="does not accept"):
            qt.QSpinBox().value = "five"
        with pytest.raises(AttributeError, match="does not accept"):
            qt.QWidget().font = "Helvetica"

    def test_a_python_class_may_have_attributes_of_its_own(self, qt):
        class Counter(qt.QObject):
            def __init__(self):
                super().__init__()
                self.count = 0

        assert Counter().count == 0

    def test_conversions_are_those_of_pythonqt(self, qt):
        spin, label = qt.QSpinBox(), qt.QLabel()
        spin.value = 7.9
        label.text = 3.5
        label.visible = 0
        assert (spin.value, label.text, label.visible) == (7, "3.5", False)

    def test_a_tool_tip_becomes_rich_text(self, qt):
        button = qt.QPushButton()
        button.toolTip = "Starts & stops"
        assert button.toolTip == "<p>Starts &amp; stops</p>"
        button.setToolTip("<b>rich</b>")
        assert button.toolTip == "<b>rich</b>"

    def test_what_was_a_method_in_qt5_is_a_method(self, qt):
        layout = qt.QVBoxLayout()
        layout.setContentsMargins(1, 2, 3, 4)
        assert layout.contentsMargins().left() == 1

    def test_name_is_the_object_name(self, qt):
        widget = qt.QWidget()
        widget.name = "panel"
        assert widget.objectName == "panel"

    def test_a_dynamic_property_is_an_attribute_once_it_exists(self, qt):
        widget = qt.QWidget()
        assert not hasattr(widget, "SlicerParameterName")
        widget.setProperty("SlicerParameterName", "threshold")
        assert widget.SlicerParameterName == widget.property("SlicerParameterName") == "threshold"

    def test_a_child_is_reachable_by_its_object_name(self, qt):
        parent = qt.QWidget()
        child = qt.QLabel(parent)
        child.objectName = "caption"
        assert parent.caption is child

    def test_exec_is_also_found_with_an_underscore(self, qt):
        assert callable(qt.QDialog().exec_)

    def test_wrong_arguments_are_a_value_error(self, qt):
        with pytest.raises(ValueError, match="setText"):
            qt.QLabel().setText()
        with pytest.raises(ValueError, match="setRange"):
            qt.QSpinBox().setRange("low", "high")

    def test_a_cpp_method_takes_no_keyword_arguments(self, qt):
        with pytest.raises(ValueError, match="does not support kwargs"):
            qt.QSpinBox().setValue(val=3)


class TestModuleContents:
    @pytest.mark.parametrize("name", ["Signal", "Slot", "Property", "QtCore", "qDebug", "pyqtSignal", "SIGNAL"])
    def test_pysides_own_names_are_missing(self, qt, name):
        assert not hasattr(qt, name)

    @pytest.mark.parametrize(
        ("cls", "name"), [("QShortcut", "setKeys"), ("QLayout", "getContentsMargins"), ("QWidget", "setScreen")]
    )
    def test_what_qt6_added_is_missing(self, qt, cls, name):
        assert not hasattr(getattr(qt, cls), name)
        assert not hasattr(qt.QCheckBox(), "checkStateChanged")
        assert not hasattr(qt, "QRhiWidget")

    def test_classes_import_by_name(self, qt):
        from qt import QAction, QProcess, QShortcut, QSortFilterProxyModel

        assert QProcess is qt.QProcess
        assert all((QAction, QShortcut, QSortFilterProxyModel))

    def test_wrapper_classes_do_not_inherit_from_each_other(self, qt):
        button = qt.QPushButton()
        assert not isinstance(button, qt.QWidget)
        assert button.inherits("QWidget")
        assert type(button) is qt.QPushButton


class TestEnumerations:
    def test_an_enumerator_is_an_integer_of_its_own_type(self, qt):
        assert str(qt.Qt.AlignLeft) == repr(qt.Qt.AlignLeft) == "1"
        assert type(qt.Qt.AlignLeft) is not int
        assert isinstance(qt.QSizePolicy.Expanding, int)

    def test_flags_combine_into_an_int_that_methods_take(self, qt):
        both = qt.QMessageBox.Yes | qt.QMessageBox.No
        assert type(both) is int
        box = qt.QMessageBox()
        box.setStandardButtons(both)
        assert box.standardButtons == both
        label = qt.QLabel()
        label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignTop)
        assert label.alignment == int(qt.Qt.AlignRight) + int(qt.Qt.AlignTop)
        assert type(label.alignment) is int

    def test_enumerators_are_found_on_instances_and_in_their_type(self, qt):
        process = qt.QProcess()
        assert process.NotRunning == qt.QProcess.NotRunning == qt.QProcess.ProcessState.NotRunning == 0

    def test_a_role_is_taken_where_an_int_is_wanted(self, qt):
        item = qt.QTableWidgetItem("shown")
        item.setData(qt.Qt.UserRole, (1, 2))
        assert item.data(qt.Qt.DisplayRole) == "shown"
        assert item.data(qt.Qt.UserRole) == (1, 2)


class TestSignals:
    def test_both_ways_to_connect_give_the_first_overload(self, qt):
        button, got = qt.QPushButton(), []
        button.connect("clicked(bool)", got.append)
        button.clicked.connect(lambda checked: got.append(checked))
        button.click()
        assert got == [False, False]

    def test_the_signature_without_arguments_gives_none(self, qt):
        button, got = qt.QPushButton(), []
        button.connect("clicked()", lambda *arguments: got.append(arguments))
        button.click()
        assert got == [()]

    def test_a_receiver_gets_no_more_than_it_takes(self, qt):
        class Panel:
            calls = 0

            def onClicked(self):
                self.calls += 1

        button, panel = qt.QPushButton(), Panel()
        button.clicked.connect(panel.onClicked)
        button.clicked.connect(lambda: panel.onClicked())
        button.click()
        assert panel.calls == 2

    @pytest.mark.parametrize("signature", ["clickd(bool)", "clicked(int)", "clicked", "text"])
    def test_a_signal_that_does_not_exist_is_an_error(self, qt, signature):
        with pytest.raises(ValueError, match="does not exist on QPushButton"):
            qt.QPushButton().connect(signature, print)

    def test_disconnect_takes_the_same_receiver(self, qt):
        button, got = qt.QPushButton(), []
        assert button.clicked.connect(got.append)
        assert button.disconnect("clicked(bool)", got.append)
        assert not button.clicked.disconnect(got.append)
        button.click()
        assert got == []

    def test_calling_or_emitting_a_signal_emits_it(self, qt):
        box, got = qt.QCheckBox(), []
        box.connect("toggled(bool)", got.append)
        box.toggled(True)
        box.toggled.emit(False)
        assert got == [True, False]

    def test_a_signal_can_drive_a_slot_of_another_object(self, qt):
        spin, slider = qt.QSpinBox(), qt.QSlider()
        spin.connect("valueChanged(int)", slider, "setValue(int)")
        spin.value = 42
        assert slider.value == 42
        with pytest.raises(ValueError, match="slot"):
            spin.connect("valueChanged(int)", slider, "setValu(int)")

    def test_an_exception_in_a_receiver_is_printed_and_stops_there(self, qt, recorded, capsys):
        def broken():
            raise RuntimeError("broken receiver")

        button, got = qt.QPushButton(), []
        button.clicked.connect(broken)
        button.clicked.connect(got.append)
        button.click()
        assert got == [False]
        assert "broken receiver" in capsys.readouterr().err
        assert str(recorded.pop()) == "broken receiver"

    def test_arguments_arrive_wrapped_and_lists_as_tuples(self, qt):
        tabs, got = qt.QTabWidget(), []
        tabs.addTab(qt.QLabel("a"), "first")
        tabs.addTab(qt.QLabel("b"), "second")
        tabs.currentChanged.connect(got.append)
        tabs.currentIndex = 1
        assert got == [1]
        assert tabs.currentWidget().text == "b"
        assert isinstance(tabs.children(), tuple)


class TestLifeAndIdentity:
    def test_the_same_object_comes_back_as_the_same_wrapper(self, qt):
        widget = qt.QWidget()
        layout = qt.QFormLayout(widget)
        spin = qt.QSpinBox()
        layout.addRow("Slices:", spin)
        assert widget.layout() is layout
        assert spin.parent() is widget
        assert widget.findChildren(qt.QSpinBox)[0] is spin
        assert layout.itemAt(0, qt.QFormLayout.FieldRole).widget() is spin

    def test_a_destroyed_object_is_false_and_unusable(self, qt):
        label = qt.QLabel("x")
        label.delete()
        assert not label
        with pytest.raises(ValueError, match="destroyed"):
            label.text  # noqa: B018
        with pytest.raises(ValueError, match="destroyed"):
            label.setText("y")

    def test_a_child_dies_with_its_parent(self, qt):
        parent = qt.QWidget()
        child = qt.QLabel(parent)
        parent.delete()
        assert not child

    def test_overrides_of_a_python_class_reach_qt(self, qt, process_events):
        class Filter(qt.QObject):
            def __init__(self):
                super().__init__()
                self.types = []

            def eventFilter(self, watched, event):
                self.types.append((watched, event.type()))
                return False

        button, watcher = qt.QPushButton("x"), Filter()
        button.installEventFilter(watcher)
        button.show()
        process_events()
        assert (button, qt.QEvent.Show) in watcher.types

    def test_an_exception_in_an_override_is_recorded(self, qt, process_events, recorded):
        class Window(qt.QWidget):
            def closeEvent(self, event):
                raise RuntimeError("in closeEvent")

        window = Window()
        window.show()
        window.close()
        assert str(recorded.pop()) == "in closeEvent"


class TestTimersProcessesShortcuts:
    def test_single_shot_calls_back_once(self, qt, process_events):
        got = []
        qt.QTimer.singleShot(0, lambda: got.append("called"))
        process_events()
        process_events()
        assert got == ["called"]

    def test_a_process_streams_its_output_as_bytes(self, qt, wait_until):
        import sys

        process, output, ended = qt.QProcess(), [], []
        process.connect("readyReadStandardOutput()", lambda: output.append(process.readAllStandardOutput().data()))
        process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status)))
        process.start(sys.executable, ["-c", "print('line'); raise SystemExit(3)"])
        wait_until(lambda: ended, seconds=20)
        assert b"".join(output).strip() == b"line"
        assert ended == [(3, qt.QProcess.NormalExit)]

    def test_a_process_that_can_not_start_says_so(self, qt, wait_until):
        process, problems = qt.QProcess(), []
        process.connect("errorOccurred(QProcess::ProcessError)", problems.append)
        process.start("/no/such/program", [])
        wait_until(lambda: problems)
        assert problems == [qt.QProcess.FailedToStart]

    def test_a_shortcut_hears_its_key(self, qt, press_key):
        import slicer

        window, got = slicer.util.mainWindow(), []
        shortcut = qt.QShortcut(qt.QKeySequence("1"), window)
        shortcut.connect("activated()", lambda: got.append("1"))
        press_key(None, "1")
        assert got == ["1"]
        shortcut.delete()

    def test_a_proxy_model_filters_a_table(self, qt):
        model = qt.QStandardItemModel()
        for text in ("entropy", "energy", "kurtosis"):
            model.appendRow(qt.QStandardItem(text))
        proxy = qt.QSortFilterProxyModel()
        proxy.setSourceModel(model)
        proxy.setFilterFixedString("en")
        assert proxy.rowCount() == 2


class TestDialogs:
    def test_an_announced_answer_presses_the_button(self, qt, dialogs):
        dialogs.will_press("No")
        answer = qt.QMessageBox.question(None, "Install", "Install 200 MB?", qt.QMessageBox.Yes | qt.QMessageBox.No)
        assert answer == qt.QMessageBox.No
        assert dialogs.texts == ["Install 200 MB?"]

    def test_an_unannounced_dialog_is_closed_and_recorded(self, qt, dialogs, recorded):
        qt.QMessageBox.information(None, "Done", "Nobody expected this.")
        assert "Nobody expected this." in str(recorded.pop())

    def test_the_file_dialog_returns_one_text(self, qt, dialogs, tmp_path):
        chosen = tmp_path / "volume.nrrd"
        chosen.write_bytes(b"")
        dialogs.will_choose_file(chosen)
        assert qt.QFileDialog.getOpenFileName(None, "Open", str(tmp_path), "NRRD (*.nrrd)") == str(chosen)

    def test_slicers_confirmation_goes_through_a_real_dialog(self, a_slicer_app, dialogs):
        import slicer

        dialogs.will_press("OK")
        assert slicer.util.confirmOkCancelDisplay("Download 5 MB?", windowTitle="Models") is True
        dialogs.will_press("Cancel")
        assert slicer.util.confirmOkCancelDisplay("Download 5 MB?") is False

    def test_an_address_is_recorded_and_not_opened(self, qt):
        from standins.pythonqt import deviations

        qt.QDesktopServices.openUrl(qt.QUrl("https://www.slicer.org"))
        assert deviations.opened_urls == ["https://www.slicer.org"]

    def test_settings_stay_in_the_test_folder(self, qt, a_slicer_app):
        qt.QSettings().setValue("ImageTranslation/device", "cpu")
        assert a_slicer_app.settings().value("ImageTranslation/device") == "cpu"
        assert "application" in a_slicer_app.slicerUserSettingsFilePath
