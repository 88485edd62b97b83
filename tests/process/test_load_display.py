"""The progress of a start: a bar on a terminal, otherwise lines of the log."""

import io
import logging

import pytest
from rich.console import Console

from service.engine.loader import LoadProgress
from service.process.load_display import LoadDisplay, shows_progress
from service.settings import Settings
from service.types import ModelKey
from tests.fakes import Clock

KEY = ModelKey("tagger-en", "6")


def test_a_terminal_shows_what_compiles_how_far_and_how_long():
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    with LoadDisplay(True, console=console) as display:
        display._bar.refresh()
        display.show(LoadProgress(KEY, 2, 4))
        display._bar.refresh()
        display.show(LoadProgress(KEY, 2, 4, 3, 7))
        display._bar.refresh()
        shown = file.getvalue()
        display.show(LoadProgress(KEY, 2, 4, 7, 7))
        display.show(LoadProgress(ModelKey("sentiment-en", "5"), 3, 4))
        (line,) = display._bar.tasks
        assert (line.completed, line.total, line.finished) == (0, None, False), "the next version begins anew"
    assert "starts TensorFlow" in shown
    assert "loads tagger-en/6 (2 of 4)" in shown
    assert "3/7" in shown
    assert "0:00:00" in shown
    assert "\x1b[?25h" in file.getvalue(), "the cursor is back"


def test_a_log_has_a_line_every_ten_seconds(caplog):
    clock = Clock()
    display = LoadDisplay(False, clock, Console(file=io.StringIO()))
    with caplog.at_level(logging.INFO, "tagwerk"), display:
        display.show(LoadProgress(KEY, 1, 2))
        for number in range(1, 8):
            clock.now += 4
            display.show(LoadProgress(KEY, 1, 2, number, 7))
    assert caplog.messages == [f"tagger-en/6 (1 of 2): {number} of 7 executables are ready" for number in (3, 6)]


@pytest.mark.parametrize(
    ("terminal", "form", "shown"), [(True, "console", True), (True, "json", False), (False, "console", False)]
)
def test_a_bar_is_for_a_terminal_with_plain_lines(monkeypatch, terminal, form, shown):
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", stderr)
    assert shows_progress(Settings(log_format=form)) is shown
