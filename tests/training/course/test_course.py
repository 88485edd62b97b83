"""The course: its code runs, its commands name ladders and rungs that exist, its pages and drawings are there."""

import importlib
import re
import runpy

import pytest

from tests.conftest import ROOT
from training.course import ladder_names, load_ladder
from training.course.results import Results, markdown

COURSE = ROOT / "docs" / "course"
MAP = ROOT / "docs" / "training.md"
PAGES = sorted(COURSE.glob("*.md"))
WITHOUT_LADDERS = ("9-translation", "10-captioning", "11-integers", "12-other-texts")
CHAPTERS = [page for page in PAGES if page.stem not in WITHOUT_LADDERS]

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.stem for chapter in CHAPTERS])


def test_the_examples_of_new_cells_run(tmp_path, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", (COURSE / "2-unrolling.md").read_text(), re.MULTILINE | re.DOTALL)
    file = tmp_path / "cell.py"
    file.write_text("".join(block for block in blocks if block.startswith(("import", "class"))))
    runpy.run_path(str(file))
    said = capsys.readouterr().out
    assert said.count("agrees with the plain loop") == 2
    assert "at each step: [0." in said, "the second output of a cell"


@every_chapter
def test_a_new_rung_can_be_made_as_the_chapter_says(chapter):
    text = chapter.read_text()
    ((base, name, arguments),) = re.findall(r"^\w+ = (\w+)\.then\(\"([\w.-]+)\", (.*)\)$", text, re.MULTILINE)
    (ladder,) = re.findall(rf"tagwerk-train ladder (\w+) .*{re.escape(name)}", text)
    module = importlib.import_module(f"training.course.ladders.{ladder}")
    rung = eval(f'{base}.then("{name}", {arguments})', dict(vars(module)))
    assert name not in {other.name for other in load_ladder(ladder).rungs}
    assert rung.recipe.name == f"{ladder}-{name}"


@pytest.mark.parametrize("page", [MAP, *CHAPTERS], ids=lambda page: page.stem)
def test_commands_name_ladders_and_rungs_that_exist(page):
    text = page.read_text()
    new = set(re.findall(r"\.then\(\"([\w.-]+)\"", text))
    for line in re.findall(r"tagwerk-train ladder ([a-z][^`|\n]*)", text):
        ladder, *rungs = line.partition("--")[0].split()
        assert set(rungs) - new <= {rung.name for rung in load_ladder(ladder).rungs}, line
    for name, rung in re.findall(r"tagwerk-train show (\w+)/([\w-]+)", text):
        load_ladder(name).rung(rung)


def test_every_ladder_has_its_table_in_one_chapter():
    markers = [name for chapter in CHAPTERS for name in re.findall(r"<!-- ladder (\w+) -->", chapter.read_text())]
    assert sorted(markers) == sorted(set(markers))
    assert set(markers) <= set(ladder_names())


@every_chapter
def test_a_table_is_that_of_the_published_runs(chapter):
    for name, shown in re.findall(r"<!-- ladder (\w+) -->\n\n((?:\|.*\n)+)", chapter.read_text()):
        results = Results(COURSE.parent / "ladders" / f"{name}.jsonl")
        assert shown == markdown(results.summaries(load_ladder(name)))


@pytest.mark.parametrize("chapter", PAGES, ids=[page.stem for page in PAGES])
def test_a_chapter_is_in_the_map_and_what_it_links_to_is_there(chapter):
    text = chapter.read_text()
    assert f"(course/{chapter.name})" in MAP.read_text()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (COURSE / target).exists(), target
    for file in re.findall(r"`(training/[\w/]+\.py)`", text):
        assert (ROOT / file).exists() or "update_gate" in file, file
