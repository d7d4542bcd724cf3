"""The Reader study panel: choose study and reader, read case after case, leave. Imports `qt`.

The reading is `readerstudy.session`'s behind `readingdesk`, the images `mrml.reading`'s, the locked application
`readinglock`'s, the inputs `readingform`'s. Every answer is on the disk before anything else happens.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Optional

import qt
import slicer
from slicer.i18n import tr as _

from ..errors import ImageTranslationError, InputError
from ..mrml.reading import ReadingViews
from ..mrml.readingmarks import OUTLINES, POINTS, Marks
from ..readerstudy.replay import form as whole_form
from . import readingkeys, readinglock, readingwords, ui
from .process import QtTicker
from .readingdesk import Desk
from .readingform import Form
from .signal import Signal

if TYPE_CHECKING:
    from ..volume import Volume

WATCH_MS = 500
# Images that could not be shown are looked for again every four seconds.
LOOKS_BETWEEN = 8
FOLDER_KEY, READER_KEY = "ImageTranslation/readingFolder", "ImageTranslation/readingReader"


class ReadingPanel:
    """Face of one `Desk`. began, ended: emitted when a reading is opened and after it was left.

    module: name of the module that the panel stands in, "" for a window of its own.
    """

    def __init__(self, module: str = "") -> None:
        readinglock.release_left_over()
        self.widget, self.ui = ui.load("ReadingPanel")
        self.began, self.ended = Signal(), Signal()
        self.desk: Optional[Desk] = None
        self.views: Optional[ReadingViews] = None
        self.form = Form(self.ui.formFrame)
        self.form.answered.connect(self.onAnswered)
        self._module = module
        self._lock: Optional[readinglock.ApplicationLock] = None
        self._shortcuts: list[Any] = []
        self._marks: list[Marks] = []
        self._watch = qt.QTimer()
        self._watch.setInterval(WATCH_MS)
        self._watch.connect("timeout()", self.onWatch)
        self._seen: Any = None
        self._given_up: tuple[str, ...] = ()
        # How often was looked for images that cannot be shown; 0 where none are missing.
        self._missing = 0
        settings = qt.QSettings()
        self.ui.readingPath.currentPath = str(settings.value(FOLDER_KEY) or "")
        self.ui.readerEdit.text = str(settings.value(READER_KEY) or "")
        for button, receiver in (
            (self.ui.startButton, self.onStart), (self.ui.takeOverButton, self.onTakeOver),
            (self.ui.nextButton, self.onNext), (self.ui.backButton, self.onBack), (self.ui.saveButton, self.onSave),
            (self.ui.pauseButton, self.onPause), (self.ui.leaveButton, self.onLeave),
            (self.ui.skipButton, self.onSkip),
        ):  # fmt: skip
            button.connect("clicked(bool)", receiver)
        # Unfolding a section may show what was hidden in it while it was folded.
        self.ui.readingSection.connect("contentsCollapsed(bool)", self.onFolded)
        self._notice("")
        self._update()

    @property
    def reading(self) -> bool:
        """Whether a reading is open here."""
        return self.desk is not None

    def setParameterNode(self, parameters: Any) -> None:
        """Nothing of a reading is part of the scene."""

    def close(self) -> None:
        """The panel goes: end the reading, give everything back."""
        self.leave()
        self._watch.stop()

    def onFolded(self, *_arguments: object) -> None:
        """The section was folded or unfolded."""
        self._update()

    def onStart(self, *_arguments: object) -> None:
        """The button."""
        self._start(take_over=False)

    def onTakeOver(self, *_arguments: object) -> None:
        """The button that comes up where another window has the reader."""
        self._start(take_over=True)

    def onLeave(self, *_arguments: object) -> None:
        """The button; where an answer could not be saved, it has to be pressed a second time."""
        self.form.commit()
        if self.desk is not None and self.desk.unsaved and self.desk.unsaved != self._given_up:
            try:
                self.desk.retry()
            except ImageTranslationError as error:
                self._given_up = self.desk.unsaved
                again = _("Press Leave the reading again to leave without this answer.")
                self._notice(f"{error} {again}")
                return
        self.leave()

    def leave(self, said: str = "") -> None:
        """End the reading; its nodes go, views and modules come back. said: what stands in the panel afterwards."""
        desk, self.desk = self.desk, None
        self._given_up = ()
        if desk is None:
            return
        self._watch.stop()
        for shortcut in self._shortcuts:
            if shortcut:
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._shortcuts = []
        lost = desk.close()
        try:
            if self.widget:
                self.form.clear()
            for marks in self._marks:
                marks.clear()
        finally:
            self._marks = []
            self._restore()
        if self.widget:
            self._notice(said or lost)
            self._update()
        self.ended()

    def onAnswered(self, key: str, value: Any) -> None:
        """The reader has answered, or taken an answer back."""
        if self.desk is not None:
            self._attempt(functools.partial(self.desk.answer, key, value))
            self._showForm()

    def onNext(self, *_arguments: object) -> None:
        """The button."""
        self._go("next")

    def onEnter(self) -> None:
        """The key: what stands half typed in a field is kept first, then it is Next."""
        if self.form.typing:
            self.form.commit()
        else:
            self.onNext()

    def onBack(self, *_arguments: object) -> None:
        """The button."""
        self._go("back")

    def onSkip(self, *_arguments: object) -> None:
        """The button that comes up where a case cannot be shown."""
        self._go("skip")

    def onSave(self, *_arguments: object) -> None:
        """The button."""
        if self.desk is not None:
            self.form.commit()
            if self._attempt(self.desk.save):
                self._notice(_("Saved."))

    def onPause(self, *_arguments: object) -> None:
        """The button: pause, or go on."""
        if self.desk is None or self.views is None:
            return
        self.form.commit()
        act = self.desk.resume if self.desk.session.paused else self.desk.pause
        if self._attempt(act):
            paused = self.desk.session.paused
            self.views.hide(paused)
            for marks in self._marks:
                marks.show(not paused)
            self._update()

    def onDigit(self, digit: str) -> None:
        """A number key."""
        if self.ui.formFrame.visible:
            self.form.press(digit)

    def onArrow(self, down: int, right: int) -> None:
        """An arrow key."""
        if down:
            self.form.step(down)
        else:
            self.form.move(right)

    def onWatch(self) -> None:
        """Twice a second: did the reader do anything; is this window still the reader's; do the views stand."""
        if not self.widget:  # taken away without a word: the next panel clears up
            self._watch.stop()
            return
        if self.desk is None or self.views is None:
            return
        place = qt.QCursor.pos()
        now = (place.x(), place.y(), self.views.state())
        if now != self._seen:
            self._seen = now
            self.desk.activity()
        self.desk.touch()
        if self.desk is not None:
            self._showProgress()
            self._lookAgain()

    def onArrived(self) -> None:
        """The images of the case on the screen are there."""
        if self.desk is None or self.desk.trial is None:
            return
        try:
            images = self.desk.images()
            if images is not None:
                self._showImages(images)
            self._missing = 0
        except InputError as error:
            self._missing = 1
            self._notice(str(error))
        except Exception:
            # Whatever went wrong: the application must not stay locked.
            self.leave(_("The case could not be shown; the error is in the log. Your answers are kept."))
            raise
        self._update()

    def onFit(self) -> None:
        """The views have got their size."""
        if self.views is not None and self.desk is not None:
            self.views.fit()
            self.form.look()

    def onLost(self, sentence: str) -> None:
        """Another window has taken the reader over."""
        qt.QTimer.singleShot(0, functools.partial(self.leave, sentence))

    # ---- inside ----

    def _start(self, take_over: bool) -> None:
        folder, reader = self.ui.readingPath.currentPath.strip(), self.ui.readerEdit.text.strip()
        self.ui.takeOverButton.visible = False
        try:
            readingwords.require_ready(folder, reader)
            self.views = ReadingViews(
                slicer.mrmlScene, slicer.app.applicationLogic().GetSliceLogic, slicer.app.layoutManager()
            )
            self.desk = Desk(folder, reader, QtTicker(), self.views.state, take_over)
        except ImageTranslationError as error:
            self.views = None
            self._notice(str(error))
            self.ui.takeOverButton.visible = readingwords.held_elsewhere(folder, reader)
            return
        settings = qt.QSettings()
        settings.setValue(FOLDER_KEY, folder)
        settings.setValue(READER_KEY, reader)
        try:
            self._enter()
        except Exception:
            # Whatever went wrong: the application must not stay locked.
            self.leave(_("The reading could not be opened; the error is in the log."))
            raise

    def _enter(self) -> None:
        assert self.desk is not None
        assert self.views is not None
        self.desk.arrived.connect(self.onArrived)
        self.desk.lost.connect(self.onLost)
        self._lock = readinglock.ApplicationLock(self._module, self.views.hold_layout, self._orphaned)
        self._shortcuts = readingkeys.shortcuts(self)
        self.began()
        self._showCase()
        self._watch.start()

    def _orphaned(self) -> bool:
        """Whether the panel on the screen is gone; then the reading is ended and everything given back."""
        if self.widget:
            return False
        self.leave()
        return True

    def _restore(self) -> None:
        """Views first, then the application, whatever happens to either."""
        try:
            if self.views is not None:
                self.views.leave()
        finally:
            self.views = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _showCase(self) -> None:
        """Show what the session has on the screen now, or that it is over."""
        assert self.desk is not None
        assert self.views is not None
        self.form.clear()
        self._dropMarks()
        self._missing = 0
        self._notice("\n".join(self.desk.session.warnings))
        if self.desk.trial is None:
            self.views.clear()
        else:
            self.desk.fetch()
            if not self.desk.shelf.ready(self.desk.trial):
                self.views.clear()
            self.onArrived()
        self._update()

    def _showImages(self, images: dict[str, Volume]) -> None:
        assert self.desk is not None
        assert self.desk.trial is not None
        assert self.views is not None
        session = self.desk.session
        reading = session.reading
        self.views.show(self.desk.trial.token, images, reading.window, reading.inverted, reading.layout)
        self.views.hide(session.paused)
        self._buildForm()
        self.onFit()
        # The views get their size when the event loop has laid them out.
        qt.QTimer.singleShot(0, self.onFit)
        self._notice("\n".join(session.warnings))

    def _buildForm(self) -> None:
        assert self.desk is not None
        assert self.desk.trial is not None
        self.form.build(whole_form(self.desk.session.reading, self.desk.trial), self._marksFor)
        self.form.update([item.key for item in self.desk.session.form], self.desk.answers, fresh=True)

    def _marksFor(self, item: Any, changed: Any) -> Marks:
        assert self.views is not None
        kind = OUTLINES if item.question.type == "roi" else POINTS
        made = Marks(slicer.mrmlScene, kind, item.slot, self.views.slots, self.views.slot_under_cursor, changed)
        self._marks.append(made)
        return made

    def _dropMarks(self) -> None:
        for marks in self._marks:
            marks.clear()
        self._marks = []

    def _lookAgain(self) -> None:
        """Now and then: are images there by now that could not be shown."""
        if self._missing:
            self._missing += 1
            if self._missing % LOOKS_BETWEEN == 0 and self.desk is not None:
                self.desk.fetch()

    def _go(self, where: str) -> None:
        if self.desk is None or not getattr(self.ui, f"{where}Button").enabled:
            return
        self.form.commit()
        if self._attempt(getattr(self.desk, where)):
            self._showCase()

    def _attempt(self, act: Any) -> bool:
        """Do it, and say why not where it cannot be."""
        try:
            act()
        except ImageTranslationError as error:
            logging.getLogger(__name__).info("%s", error)
            self._notice(str(error))
            return False
        self._notice("")
        return True

    def _showForm(self) -> None:
        if self.desk is not None:
            self.form.update([item.key for item in self.desk.session.form], self.desk.answers)
            self._showProgress()

    def _showProgress(self) -> None:
        assert self.desk is not None
        progress = self.desk.session.progress
        self.ui.progressLabel.text = readingwords.progress_text(self.desk)
        self.ui.progressBar.maximum = progress.total
        self.ui.progressBar.value = progress.done

    def _notice(self, text: str) -> None:
        self.ui.readingNotice.text = text
        self.ui.readingNotice.visible = bool(text)

    def _update(self) -> None:
        """What is shown and can be used now."""
        on = self.desk is not None
        self.ui.chooseFrame.visible = not on
        self.ui.readFrame.visible = on
        self.ui.readingNotice.visible = bool(self.ui.readingNotice.text)
        if self.desk is None:
            self.ui.takeOverButton.visible = self.ui.skipButton.visible = False
            return
        session = self.desk.session
        shown = session.trial is not None and bool(self.form.shown)
        self.ui.titleLabel.text = session.reading.title
        self.ui.instructionsLabel.text = session.reading.instructions
        self.ui.instructionsLabel.visible = bool(session.reading.instructions)
        self.ui.formFrame.visible = shown and not session.paused
        self.ui.nextButton.enabled = shown and not session.paused
        self.ui.saveButton.enabled = shown and not session.paused
        self.ui.skipButton.visible = self.ui.skipButton.enabled = bool(self._missing) and not session.paused
        self.ui.backButton.visible = session.reading.allow_back
        self.ui.backButton.enabled = session.can_go_back and not session.paused
        self.ui.pauseButton.enabled = session.trial is not None
        self.ui.pauseButton.text = _("Resume") if session.paused else _("Pause")
        self._showProgress()
