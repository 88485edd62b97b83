"""Words of CoNLL-U."""

import pytest

from training.data.files import DataFileError
from training.data.treebank import Word, read

TEXT = """\
# sent_id = 1
# text = I can't.
1\tI\tI\tPRON\tPRP\tNumber=Sing\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\tVerbForm=Fin\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\t#\t_\t0\troot\t_\t_

"""


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (
            ["1-2", "2-3"],
            "line 3: the multiword token begins within the one of line 1; right: ranges that have no word in",
        ),
        (["1-3", "2-3"], "line 3: the multiword token begins within the one of line 1"),
        (["1-3", "1-2"], "line 2: the multiword token begins within the one of line 1"),
        (
            ["3-4"],
            "line 3: the multiword token ends at word 4, and the sentence at word 3; right: a range of words that",
        ),
        (["1-9"], "line 1: the multiword token ends at word 9"),
        (["2-1"], "line 2: the ID '2-1'"),
        (["4-5"], "line 4: the multiword token ends at word 5, and the sentence at word 3"),
    ],
)
def test_multiword_tokens_that_overlap_or_go_beyond_the_sentence_are_refused(ranges: list[str], message: str) -> None:
    words = [f"{i}\tword\tword\tNOUN\t_\t_\t_\t_\t_\t_" for i in (1, 2, 3)]
    lines = []
    for i, word in enumerate([*words, None], start=1):
        lines += [f"{span}\twords" + "\t_" * 8 for span in ranges if span.startswith(str(i))]
        lines += [word] if word else []
    for end in ("", "\n\n" + "\n".join(words)):
        with pytest.raises(DataFileError, match=message):
            list(read("\n".join(lines) + end))
    with pytest.raises(DataFileError, match="ends at word 2, and the sentence at word 0"):
        list(read("1-2\twords" + "\t_" * 8 + "\n\n" + "\n".join(words)))


def test_reads_words_and_leaves_ranges_and_empty_nodes_out() -> None:
    first, second = read(TEXT)
    assert first.forms == ("I", "ca", "n't")
    assert first.words[0] == Word("I", "PRON", "PRP", "Number=Sing", "I")
    assert second.forms == ("#",)
