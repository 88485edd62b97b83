"""A recipe as it is shown: every setting, which differ from the defaults, every weight."""

import io
from dataclasses import fields

from rich.console import Console

from tests.training.tiny import tagging
from training.report.recipe import TEXT, show
from training.tasks.recipe import TeacherSettings


def test_every_setting_and_every_weight_is_shown_in_80_columns():
    console = Console(file=io.StringIO(), width=80)
    task = tagging(teaching=TeacherSettings(epochs=7), clip_norm=1.0)
    show(task, console, ", a remark")
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    rows = {name: rest for name, *rest in cells}
    assert {name.partition(".")[0] for name in rows} >= {field.name for field in fields(task.recipe)} - {*TEXT}
    assert rows["clip_norm"] == ["1.0", "*"]
    assert rows["teaching.epochs"] == ["7", "*"]
    assert rows["teaching.count"] == ["1", ""]
    assert rows["upos/kernel"] == ["24 x 4", "96"]
    assert rows["in all"] == ["", f"{task.network().count_params():,}"]
    assert "Tagger, a remark" in lines
    assert lines[0] == "tagger-tiny: A tiny task"
    assert max(map(len, lines)) <= 80
