"""Train splits that are made of lemmas and UniMorph tags: words, spacing and tags as in the treebank, and no leak."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.tiny import conllu
from training.data import corpora, unimorph
from training.data.catalogue import Corpus, Mapped
from training.data.corpora import CorpusError
from training.data.download import File
from training.data.mapping import Agreement, train_part
from training.data.treebank import SurfaceToken, Tree, Word, read
from training.data.unimorph import UnimorphWord

NOUNS = ["hund", "kat", "fugl", "by", "vej", "hus", "bil", "bog", "sten", "sky"]
FINITE = "Tense=Pres|VerbForm=Fin"
# Form, lemma and UniMorph tag; UPOS, features and lemma in the treebank.
HAS, HAS_DONE = (("har", "have", "V;FIN;PRS", upos, FINITE, "have") for upos in ("VERB", "AUX"))
SEES = ("ser", "seer", "FIN;V;PRS", "VERB", FINITE, "se")
EATEN = ("spist", "spise", "V;V.PTCP", "VERB", "VerbForm=Part", "spise")
STOP = (".", ".", "_", "PUNCT", "_", ".")
CONTRACTIONS = {"del": (UnimorphWord("de", "de", "ADP"), UnimorphWord("el", "el", "DET"))}


def tagged(rows: Iterable[Sequence[str]], text: str) -> str:
    lines = [f"{i}\t{form}\t{lemma}\t_\t_\t{tag}\t_\t_\t_\t_" for i, (form, lemma, tag) in enumerate(rows, start=1)]
    return "\n".join([f"# sent_id = {text}", f"# text = {text}", *lines]) + "\n\n"


def both(noun: str, other: str) -> list[tuple[str, str]]:
    """Returns sentences with UniMorph tags and in CoNLL-U: "har" is AUX before a participle, and VERB otherwise."""
    subject, seen, had = (
        (form, form.lower(), tag, "NOUN", "Number=Sing", form.lower())
        for form, tag in ((noun.title(), "N;SG"), (other, "N;SG"), (other, "SG;N"))
    )
    found = []
    for rows in ((subject, HAS, had, STOP), (subject, HAS_DONE, EATEN, STOP), (subject, SEES, seen, STOP)):
        text = " ".join(form for form, *_ in rows[:3]) + "."
        tree = Tree(tuple(Word(form, upos, "_", feats, lemma) for form, _, _, upos, feats, lemma in rows))
        found.append((tagged([row[:3] for row in rows], text), conllu([tree])))
    return found


def parts() -> dict[str, list[tuple[str, str]]]:
    pairs = [pair for noun in NOUNS for other in NOUNS for pair in both(noun, other)]
    unique = list(dict(pairs).items())
    return {"train": unique[:100], "dev": unique[100:160], "test": unique[160:]}


def test_words_are_tagged_as_the_treebank_does_and_no_sentence_of_dev_or_test_is_left():
    made = parts()
    published = "".join(own for found in made.values() for own, _ in found)
    dev, test = ("".join(tree for _, tree in made[split]) for split in ("dev", "test"))
    text, agreement = train_part([published], [], {}, dev, test)
    assert agreement == Agreement(4 * len(made["test"]), 100.0, 100.0, 100.0)
    wanted = [tree for _, own in made["train"] for tree in read(own)]
    trees = list(read(text))
    assert [tree.words for tree in trees] == [tree.words for tree in wanted]
    assert all(tree.tokens[-2:] == (SurfaceToken(tree.forms[-2], 1, False), SurfaceToken(".")) for tree in trees)
    assert train_part([published], [], {}, dev, test)[0] == text


def test_words_whose_tags_are_not_told_are_neither_learned_from_nor_measured_nor_kept():
    made = parts()
    untold = "Hund\thund\t_\nhar\thave\tV;FIN;PRS\n\n"
    own = "1\tHund\thund\tX\t_\t_\t_\t_\t_\t_\n2\thar\thave\tVERB\t_\tTense=Pres|VerbForm=Fin\t_\t_\t_\t_\n\n"
    published = "".join(found for split in made.values() for found, _ in split) + untold
    dev, test = ("".join(tree for _, tree in made[split]) for split in ("dev", "test"))
    text, agreement = train_part([published], [], {}, dev, test + own)
    assert agreement.words == 4 * len(made["test"]) + 1
    assert all(tree.forms != ("Hund", "har") for tree in read(text))
    text, _ = train_part([published], [], {}, dev + own, test)
    assert "\tX\t" not in text
    text, _ = train_part([published], [], {}, dev, test)
    assert all(tree.forms != ("Hund", "har") for tree in read(text))


def test_an_older_annotation_says_what_the_tags_do_not():
    """Of the same form, lemma and tag, one is a name."""
    names = [f"1\t{form}\t{form}\t{upos}\t_\t_\t_\t_\t_\t_\n2\t{mark}\t{mark}\tPUNCT\t_\t_\t_\t_\t_\t_\n\n"
             for form in NOUNS for mark, upos in ((".", "NOUN"), ("!", "PROPN"), ("?", "NOUN"))]  # fmt: skip
    published = "".join(name.replace("NOUN\t_\t_", "_\t_\tN").replace("PROPN\t_\t_", "_\t_\tN") for name in names)
    dev, test = "".join(names[:21]), "".join(names[21:])
    older = "".join(names).replace("PROPN", "NAME")
    _, agreement = train_part([published], [older], {}, dev, test)
    assert agreement.upos == 100.0


@pytest.mark.parametrize(
    ("forms", "text", "wanted"),
    [
        ("in dem Haus .", "im Haus.", [("im", 2, True), ("Haus", 1, False), (".", 1, True)]),
        ("haber se quedado", "haberse quedado", [("haberse", 2, True), ("quedado", 1, True)]),
        ("da me lo !", "dámelo !", [("dámelo", 3, True), ("!", 1, True)]),
        ("( den )", "(den)", [("(", 1, False), ("den", 1, False), (")", 1, True)]),
        ("2005 -1", "2005-1", [("2005", 1, False), ("-1", 1, True)]),
        ("another sentence", "A sentence", None),
        ("one", "one more", None),
    ],
)
def test_tokens_are_those_of_the_text(forms, text, wanted):
    found = unimorph.tokens(forms.split(), text)
    assert found == (None if wanted is None else tuple(SurfaceToken(*token) for token in wanted))


def test_a_contraction_stands_for_its_words_and_empty_nodes_for_nothing():
    rows = [("Del", "del", "ADP"), ("mar", "mar", "SG;N")]
    content = tagged(rows, "Del mar").replace("2\tmar", "1.1\tx\tx\t_\t_\t_\t_\t_\t_\t_\n2\tmar")
    (sentence,) = unimorph.read(content, CONTRACTIONS)
    assert sentence.forms == ("De", "el", "mar")
    assert sentence.words[-1].tag == "N;SG"
    (tree,) = read(unimorph.conllu(sentence, [("de", "ADP", "_"), ("el", "DET", "_"), ("mar", "NOUN", "_")]))
    assert tree.tokens == (SurfaceToken("Del", 2), SurfaceToken("mar"))
    (tree,) = read(unimorph.conllu(sentence._replace(text="El mar azul"), [("_", "X", "_")] * 3))
    assert not tree.spaced


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """Makes a treebank with a mapped train split the only corpus, beside what it is made of; all else is here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAGWERK_DATA_DIR", raising=False)
    made = parts()
    contents = {"tagged": "".join(own for found in made.values() for own, _ in found)}
    contents |= {split: "".join(tree for _, tree in made[split]) for split in ("dev", "test")}
    contents["train"], _ = train_part([contents["tagged"]], [], {}, contents["dev"], contents["test"])
    files = {}
    for name, content in contents.items():
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        files[name] = File(f"{name}.conllu", "http://127.0.0.1:9/", size=len(content), sha256=sha256)
        if name != "train":
            (tmp_path / "data" / "toys").mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / "toys" / f"{name}.conllu").write_text(content)
    about: dict[str, Any] = {"title": "Toys", "folder": "toys", "licence": "MIT", "citation": "Nobody (2000)"}
    source = Corpus(**about, files={"tagged": files.pop("tagged")})
    toys = Corpus(**about, files=files, mapped=Mapped(("source/tagged",)))
    monkeypatch.setattr(corpora, "CORPORA", {"toys": toys, "source": source})
    return toys


def test_fetching_makes_the_train_part_and_says_how_well_it_agrees(published, capsys):
    corpora.fetch(["toys"])
    assert "200 words of test, 100.00 % of UPOS, 100.00 of features" in " ".join(capsys.readouterr().out.split())
    assert corpora.path("toys", "train").is_file()
    corpora.fetch(["toys"])
    assert "train.conllu is already here" in " ".join(capsys.readouterr().out.split())


def test_another_result_than_published_is_refused_and_an_earlier_one_used(published):
    file = published.files["train"]
    published.files["train"] = replace(file, sha256="0" * 64)
    with pytest.raises(CorpusError, match=r"train\.conllu of toys came out otherwise than published: sha256"):
        corpora.fetch(["toys"])
    assert not Path("data/toys/train.conllu").exists()
    Path("data/toys/train.conllu").write_text("earlier")
    earlier = hashlib.sha256(b"earlier").hexdigest()
    published.files["train"] = replace(file, earlier=earlier)
    assert corpora.read("toys", "train") == "earlier"
    assert corpora.sources("toys/train")[0].sha256 == earlier
