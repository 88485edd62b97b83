"""Plots draw labels of any script, and as many as there are, without a warning, which here is an error."""

from pathlib import Path

import numpy as np

from training.report import plots


def test_labels_that_no_font_can_draw_are_numbers(tmp_path: Path) -> None:
    labels = ["好", "坏", "neutral", "\U0010fffd", "café"]
    assert plots.drawable(labels) == ["#1", "#2", "neutral", "#4", "café"]
    plots.save(plots.confusion(labels, np.eye(5, dtype=int)), tmp_path / "confusion.png")


def test_a_matrix_of_many_labels_shows_the_most_frequent() -> None:
    figure = plots.confusion([f"label {i}" for i in range(1000)], np.eye(1000, dtype=int))
    assert max(figure.get_size_inches()) < 25
    assert len(figure.axes[0].get_xticklabels()) == plots.CONFUSED_LABELS
