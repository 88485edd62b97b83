"""What is said about a new version: that it serves, or which one was chosen instead."""

import json
from pathlib import Path

import pytest

from training.from_files.run import how_it_serves


@pytest.mark.parametrize("content", [None, "{", "{}", '{"models": {"topics": {"canary": null}}}', '{"models": []}'])
def test_a_new_version_serves_unless_another_was_chosen(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "serving.json").write_text(content)
    assert how_it_serves(tmp_path, "topics") == 'served as "model": "topics"'


def test_a_version_that_was_chosen_is_named(tmp_path: Path) -> None:
    (tmp_path / "serving.json").write_text(json.dumps({"models": {"topics": {"version": "4"}}}))
    told = "not served, since version 4 was chosen: tagwerk models use topics follows the newest again"
    assert how_it_serves(tmp_path, "topics") == told
