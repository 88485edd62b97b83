"""Mistakes in files and arguments: each is one line that says what would be right, and leaves nothing behind."""

import re
from pathlib import Path

import pytest

from tests.training.tiny import conllu, sentence

CSV = "text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(60))
PHAGS_PA_WORDS = "".join(map(chr, range(0xA840, 0xA855)))
PHAGS_PA = "text,label\n" + "".join(
    f"{PHAGS_PA_WORDS}{chr(0xA840 + i % 30) * 2} {i},{'ab'[i % 2]}\n" for i in range(60)
)
TREEBANK = conllu(sentence(i) for i in range(60))
ALIKE = "text,label\n" + "".join(f"text,{'ab'[i % 2]}\n" for i in range(60))
HALF = "text,label\n" + "".join(f"text {i},a\ntext,b\n" for i in range(30))
NO_AFFIXES = "--set sizes.linear=false --set sizes.affix_embedding=0"
UNTAGGED = re.sub("NOUN|DET|VERB|ADV", "_", TREEBANK)


@pytest.mark.parametrize(
    ("kind", "content", "arguments", "message"),
    [
        ("classifier", CSV[: CSV.index("text 12")], "", "data.csv: 12 examples in all; right: 50 at least"),
        ("classifier", f"{CSV}x,rare\n", "", "data.csv, line 62: the label 'rare' occurs once; right: 3 times"),
        ("classifier", CSV.replace(",b", ",a"), "", "data.csv: 1 label; right: 2 to 1,000: is it the right column?"),
        ("classifier", CSV, "--label-column topic", "data.csv, line 2: no column 'topic'; right: one of text, label"),
        ("classifier", CSV, "--dev other.csv", "other.csv, line 2: the label 'c' does not occur in data.csv"),
        ("classifier", CSV, "--dev data.csv", "data.csv: texts of train that dev or test have as well: 54 of 54"),
        ("classifier", CSV, "--test data.csv", "data.csv: texts of dev that test has as well: 6 of 6"),
        ("classifier", CSV, "--dev same.csv --test same.csv", "same.csv: texts of dev that test has as well: 2 of 2"),
        ("classifier", ALIKE, "", "data.csv: texts of dev that test has as well: 6 of 6; right: 1 other at least"),
        ("classifier", HALF, "", "line 15: the label 'b' has no text in train that dev and test do not"),
        ("tagger", TREEBANK, "--dev data.conllu", "data.conllu: sentences of train that dev or test have as well: 54"),
        ("tagger", TREEBANK[: TREEBANK.index("\n\n") + 2] * 60, "", "sentences of dev that test has as well: 6 of 6"),
        ("classifier", CSV, "--set epoch=2", "--set epoch: no such setting; right: limits, seed, epochs,"),
        ("classifier", CSV, "--set sizes.units=many", "--set sizes.units=many; right: a whole number, such as 128"),
        ("classifier", CSV, "--set balanced=1", "--set balanced=1; right: true or false"),
        ("classifier", CSV, "--name ../x", "--name '../x'; right: letters, digits"),
        ("classifier", CSV, "--language English", "--language 'English'; right: a tag of BCP 47"),
        ("classifier", PHAGS_PA, "--language mn", "data.csv: words of 23 characters on average"),
        ("tagger", TREEBANK[: TREEBANK.index("\n\n")], "", "data.conllu: 1 sentence; right: 30 at least"),
        ("tagger", UNTAGGED, "", "same UPOS"),
        ("tagger", TREEBANK, "--set chosen_by=best", "chosen_by=best; right: one of UPOS, UFeats, AllTags"),
        ("tagger", TREEBANK, "--set sizes.affix_embedding=0", "=0; right: at least 1, or sizes.linear=false"),
        ("tagger", TREEBANK, "--lexicon none.tsv", "none.tsv: cannot be read: No such file or directory; right: "),
        ("tagger", TREEBANK, "--lexicon other.csv", "other.csv, line 1: 'text,label'; right: a word, a tab, and"),
        ("tagger", TREEBANK, "--lexicon cane.tsv", "cane.tsv: has no word of data.conllu; right: a lexicon of its lan"),
        ("tagger", TREEBANK, f"--lexicon dog.tsv {NO_AFFIXES}", "sizes.affix_embedding=0; right: at least 1, or no le"),
        ("tagger", TREEBANK, "--related none.conllu", "none.conllu: cannot be read: No such file or directory; right:"),
        ("tagger", TREEBANK, "--related data.conllu", "data.conllu: no word has a tag that the data could have; right"),
        ("tagger", TREEBANK, "--teacher multilingual", "--teacher alone: a teacher labels unlabelled text; right:"),
        ("tagger", TREEBANK, "--unlabelled other.csv", "--unlabelled alone: a teacher labels unlabelled text; right:"),
        ("tagger", TREEBANK, "--quick --teacher multilingual --unlabelled other.csv", "--quick: a teacher takes"),
        ("tagger", TREEBANK, "--teacher multilingual --unlabelled none.txt", "none.txt: cannot be read: No such file"),
        ("language-model", "To be, or not to be.", "", "data.txt: 20 characters; right: 10,000 at least"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_nothing_is_written(run, capsys, kind, content, arguments, message):
    file = {"classifier": "data.csv", "tagger": "data.conllu", "language-model": "data.txt"}[kind]
    Path(file).write_text(content)
    Path("other.csv").write_text("text,label\nx,c\n")
    Path("same.csv").write_text("text,label\nx,a\ny,b\n")
    for word in ("cane", "dog"):
        Path(f"{word}.tsv").write_text(f"{word}\tnoun\n")
    assert run("train", kind, "--name", "model", "--data", file, *arguments.split()) == 1
    error = capsys.readouterr().err
    assert error.startswith("tagwerk-train: ")
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in Path().iterdir()} == {file, "other.csv", "same.csv", "cane.tsv", "dog.tsv"}
