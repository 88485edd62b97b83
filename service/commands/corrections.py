"""The command `tagwerk corrections`: lists corrections, counts them, and exports them for training."""

import argparse
import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from service.commands.models import add_row, make_table
from service.errors import ConfigurationError, ModelNotFound, quantity, shortened
from service.files import write_output
from service.settings import Settings
from service.store.corrections import Correction, CorrectionFiles
from service.text.conllu import parse_features, write_sentence
from service.text.interruptible import finish
from service.text.tokens import TokenSpan

UNKNOWN_SPACING = {"spacing": "unknown"}  # a comment for tagwerk-train: no tokenizer learns from these spaces
LONGEST_SHOWN = 60  # characters of a text
MOST_SHOWN = 10  # kinds of changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list the corrections, the latest of each text")
    stats = actions.add_parser("stats", help="count the corrections, and what is corrected most")
    for action in (listed, stats):
        action.add_argument("model", nargs="?", help="tagger-en; by default all models")
    export = actions.add_parser("export", help="write CoNLL-U of a tagger, CSV of a classifier, for tagwerk-train")
    export.add_argument("model", help="tagger-en")
    export.add_argument("--output", type=Path, metavar="FILE", help="by default standard output")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs the command; returns its exit status. Raises ConfigurationError, ModelNotFound."""
    if not settings.feedback_dir:
        raise ConfigurationError("set TAGWERK_FEEDBACK_DIR to the folder of the corrections")
    files = CorrectionFiles(Path(settings.feedback_dir))
    there = files.models()
    if parsed.model not in (None, *there):
        raise ModelNotFound(f"there are no corrections of {parsed.model!r}; there are of: {', '.join(there) or 'none'}")
    read = {model: _read(files, model) for model in (there if parsed.model is None else [parsed.model])}
    if parsed.action == "list":
        list_corrections(one for corrections in read.values() for one in latest(corrections))
    elif parsed.action == "stats":
        for model, corrections in read.items():
            count_corrections(model, corrections)
    else:
        write_output(parsed.output, export(latest(read[parsed.model])))
    return 0


def _read(files: CorrectionFiles, model: str) -> list[Correction]:
    """Returns a model's corrections; names lines that are none."""
    found = list(files.read(model))
    for problem in found:
        if isinstance(problem, str):
            print(f"tagwerk: {problem}", file=sys.stderr)
    return [one for one in found if isinstance(one, Correction)]


def latest(corrections: Iterable[Correction]) -> Sequence[Correction]:
    """Returns the latest correction of each text, in the order of the first."""
    return list({correction.text: correction for correction in corrections}.values())


def export(corrections: Sequence[Correction]) -> str:
    """Returns corrections: of a tagger as CoNLL-U, a document for each text; of a classifier as CSV."""
    conllu: list[bytes] = []
    for number, correction in enumerate(corrections, start=1):
        for i, sentence in enumerate(correction.sentences, start=1):
            comments = {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"sent_id": f"{number}-{i}"} | ({} if correction.spaced else UNKNOWN_SPACING)
            tokens = [TokenSpan(token.text, token.start, token.end, token.continues) for token in sentence]
            columns = [(token.upos, token.xpos, parse_features(token.feats), token.lemma) for token in sentence]
            places = range(len(correction.text) + 1)
            conllu += finish(write_sentence(comments, correction.text, tokens, columns, places))
    if conllu:
        return b"".join(conllu).decode()
    table = io.StringIO(newline="")
    rows = [(correction.text, correction.label) for correction in corrections if correction.label is not None]
    csv.writer(table).writerows([("text", "label"), *rows])
    return table.getvalue()


def list_corrections(corrections: Iterable[Correction]) -> None:
    """Prints corrections, a line each."""
    table = make_table("time", "model", "text", "corrected", "key", "request")
    for one in corrections:
        changes = ", ".join(f"{form} {was} → {right}".strip() for form, _, was, right in one.changes())
        text = shortened(" ".join(one.text.split()), LONGEST_SHOWN)
        facts = (f"{one.time:%Y-%m-%d %H:%M}", f"{one.model}/{one.version}", text, changes or "nothing: it is right")
        add_row(table, *facts, one.key or "", one.request_id or "")
    Console().print(table)


def count_corrections(model: str, corrections: Sequence[Correction]) -> None:
    """Prints how many corrections a model has, and the most frequent changes, of the latest of each text."""
    texts = latest(corrections)
    changes = Counter(change[1:] for one in texts for change in one.changes())
    right = sum(not one.changes() for one in texts)
    numbers = f"{quantity(len(corrections), 'correction')}, {quantity(len(texts), 'text')}"
    print(f"{model}: {numbers}, {right} right as the model has them")
    table = make_table("column", "model's", "right", "times")
    for change, times in changes.most_common(MOST_SHOWN):
        add_row(table, *change, str(times))
    if changes:
        Console().print(table)
