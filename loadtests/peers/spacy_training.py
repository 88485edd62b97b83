"""Trains spaCy's tok2vec, tagger (UPOS) and trainable lemmatizer on EWT, and keeps the pipeline in `.cache/`.

    python -m loadtests.peers.spacy_training

The corpus is taken from TAGWERK_DATA_DIR, or downloaded. The epoch counts that is best on the dev part. It takes some
five minutes of a core.
"""

import random
import sys
from collections.abc import Sequence

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch

from loadtests.peers.spacy_model import FOLDER, TAGGER, TOK2VEC
from training.data import corpora
from training.data.treebank import NOTHING, Tree, read

EPOCHS = 8
BATCH = 64  # sentences
DROPOUT = 0.1
SEED = 1
UPOS, LEMMAS = "UPOS", "lemmas"


def main() -> int:
    """Trains, measures and writes the pipeline; returns the exit status."""
    corpora.fetch(["ewt"])
    trees = {part: list(read(corpora.read("ewt", part))) for part in ("train", "dev", "test")}
    fix_random_seed(SEED)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
    nlp.add_pipe("tagger", config={"model": TAGGER})
    nlp.add_pipe("trainable_lemmatizer", config={"model": TAGGER})
    examples = [Example(document(nlp, tree), document(nlp, tree, gold=True)) for tree in trees["train"]]
    optimizer = nlp.initialize(lambda: examples)
    best, kept = 0.0, b""
    for epoch in range(1, EPOCHS + 1):
        random.shuffle(examples)
        for batch in minibatch(examples, BATCH):
            nlp.update(batch, sgd=optimizer, drop=DROPOUT)
        found = accuracies(nlp, trees["dev"])
        print(
            f"epoch {epoch}: " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in found.items()), flush=True
        )
        if sum(found.values()) > best:
            best, kept = sum(found.values()), nlp.to_bytes()
    nlp.from_bytes(kept)
    nlp.meta["performance"] = accuracies(nlp, trees["test"])
    FOLDER.parent.mkdir(exist_ok=True)
    nlp.to_disk(FOLDER)
    print(f"test: {nlp.meta['performance']}")
    return 0


def document(nlp: Language, tree: Tree, *, gold: bool = False) -> Doc:
    """Returns a sentence of the treebank in its own tokens; with the gold tags and lemmas where that is wanted."""
    spaces: list[bool] = []
    for token in tree.tokens:
        spaces += [False] * (token.words - 1) + [token.space_after]
    made = Doc(nlp.vocab, words=list(tree.forms), spaces=spaces)
    if gold:
        for token, word in zip(made, tree.words, strict=True):
            token.tag_ = word.upos
            if word.lemma != NOTHING:
                token.lemma_ = word.lemma
    return made


def accuracies(nlp: Language, trees: Sequence[Tree]) -> dict[str, float]:
    """Returns the share of right tags and lemmas; a word without a lemma in the treebank is right with any."""
    docs = nlp.pipe(document(nlp, tree) for tree in trees)
    pairs = [pair for doc, tree in zip(docs, trees, strict=True) for pair in zip(doc, tree.words, strict=True)]
    return {
        UPOS: sum(token.tag_ == word.upos for token, word in pairs) / len(pairs),
        LEMMAS: sum(word.lemma in (token.lemma_, NOTHING) for token, word in pairs) / len(pairs),
    }


if __name__ == "__main__":
    sys.exit(main())
