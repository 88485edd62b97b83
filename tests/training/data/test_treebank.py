"""Words of CoNLL-U."""

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


def test_reads_words_and_leaves_ranges_and_empty_nodes_out() -> None:
    first, second = read(TEXT)
    assert first.forms == ("I", "ca", "n't")
    assert first.words[0] == Word("I", "PRON", "PRP", "Number=Sing", "I")
    assert second.forms == ("#",)
