"""The comparison of identifiers of languages."""

import io

import pytest
from rich.console import Console

from training.metrics import languages
from training.models.languages import Identify, accuracies

SHORT, LONG = "They were playing outside.", "They were playing outside, in the garden, and then it began to rain."
ADDRESSES = ("https://example.org/the-garden/of-the-children", "=" * 80)


def test_sentences_are_measured_by_length_and_those_without_letters_are_left_out() -> None:
    asked = []

    def identify(text: str) -> str:
        asked.append(text)
        return "en" if "garden" in text else "fr"

    table = accuracies({"one": identify}, {"en": [SHORT, LONG, *ADDRESSES, "Short."], "fr": [SHORT, LONG]})
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert [row[1:-1] for row in cells] == [
        ("20 to 59", "0.00", "100.00", "50.00"),
        ("60 or more", "100.00", "0.00", "50.00"),
    ]
    assert {*asked} == {SHORT, LONG}


def test_libraries_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Identify:
        raise ModuleNotFoundError("No module named 'none'")

    monkeypatch.setattr(languages, "sentences_of", lambda corpus, split: [SHORT, LONG])
    monkeypatch.setattr(languages, "LIBRARIES", {"rich": lambda: lambda text: "de", "numpy": missing, "none": missing})
    console = Console(file=io.StringIO(), width=160)
    languages.compare(console)
    said = console.file.getvalue()  # type: ignore[attr-defined]  # of StringIO
    assert "numpy is left out, No module named 'none': pip install numpy\nnone is left out, " in said
    rows = [line.split("│")[1:-1] for line in said.splitlines() if line.startswith("│ ")]
    assert [row[0].split()[0] for row in rows] == ["tagwerk", "tagwerk", "rich", "rich"]
    assert [[cell.strip() for cell in row[2:10]] for row in rows][::2] == [
        ["100.00", *["0.00"] * 7],
        [*["0.00"] * 4, "100.00", *["0.00"] * 3],
    ]
