"""The command `tagwerk corrections`: lists corrections, counts them, and exports them for training."""

import argparse
import csv
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from service.commands.models import add_row, make_table
from service.corrections.files import CorrectionFiles
from service.corrections.records import Correction
from service.errors import ConfigurationError, ModelNotFound, shortened
from service.files import write_whole
from service.settings import Settings
from service.text.conllu import Columns, write_sentence
from service.text.slices import finish

UNKNOWN_SPACING = {"spacing": "unknown"}  # the comment by which tagwerk-train teaches the tokenizer nothing
LONGEST_SHOWN = 60  # characters of a text
MOST_SHOWN = 10  # kinds of changes


def add_parser(commands: Any) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser("corrections", help="list, count and export the corrections in TAGWERK_FEEDBACK_DIR")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="list the corrections, the latest of each text")
    listed.add_argument("model", nargs="?", help="tagger-en; by default all models")
    stats = actions.add_parser("stats", help="count the corrections, and what is corrected most")
    stats.add_argument("model", nargs="?", help="tagger-en; by default all models")
    export = actions.add_parser("export", help="write CoNLL-U of a tagger, CSV of a classifier, for tagwerk-train")
    export.add_argument("model", help="tagger-en")
    export.add_argument("--output", type=Path, metavar="FILE", help="where to write; by default standard output")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs the command; returns its exit status. Raises ConfigurationError, ModelNotFound."""
    if not settings.feedback_dir:
        raise ConfigurationError("set TAGWERK_FEEDBACK_DIR to the folder of the corrections")
    files = CorrectionFiles(Path(settings.feedback_dir))
    there = files.models()
    if parsed.model not in (None, *there):
        raise ModelNotFound(f"there are no corrections of {parsed.model!r}; there are of: {', '.join(there) or 'none'}")
    models = there if parsed.model is None else [parsed.model]
    if parsed.action == "export":
        content = export(latest(files, parsed.model).values())
        if parsed.output is None:
            sys.stdout.buffer.write(content.encode())
            return 0
        try:
            write_whole(parsed.output, content)
        except OSError as error:
            raise ConfigurationError(f"{parsed.output} cannot be written: {error.strerror}") from None
    elif parsed.action == "list":
        list_corrections(files, models)
    else:
        count_corrections(files, models)
    return 0


def latest(files: CorrectionFiles, model: str) -> dict[str, Correction]:
    """Returns the latest correction of each text, in the order of the first; names lines that are none."""
    found: dict[str, Correction] = {}
    for correction in _read(files, model):
        found[correction.text] = correction
    return found


def _read(files: CorrectionFiles, model: str) -> Iterator[Correction]:
    for correction in files.read(model):
        if isinstance(correction, Correction):
            yield correction
        else:
            print(f"tagwerk: {correction}", file=sys.stderr)


def export(corrections: Iterable[Correction]) -> str:
    """Returns corrections of a tagger as CoNLL-U, a document for each text; those of a classifier as CSV."""
    conllu: list[bytes] = []
    table = io.StringIO(newline="")
    rows = csv.writer(table)
    for number, correction in enumerate(corrections, start=1):
        if correction.label is not None:
            if not table.tell():
                rows.writerow(["text", "label"])
            rows.writerow([correction.text, correction.label])
        for i, sentence in enumerate(correction.sentences or (), start=1):
            comments = {"newdoc id": str(number)} if i == 1 else {}
            comments |= {"sent_id": f"{number}-{i}"} | ({} if correction.spaced else UNKNOWN_SPACING)
            columns = (Columns(token.upos, token.xpos, token.feats, token.lemma) for token in sentence)
            tokens = [token.token() for token in sentence]
            places = range(len(correction.text) + 1)
            conllu += finish(write_sentence(comments, correction.text, tokens, columns, places))
    return b"".join(conllu).decode() or table.getvalue()


def list_corrections(files: CorrectionFiles, models: Iterable[str]) -> None:
    """Prints the latest correction of each text."""
    table = make_table("time", "model", "text", "corrected", "key", "request")
    for model in models:
        for text, correction in latest(files, model).items():
            changes = ", ".join(f"{form} {was} → {right}".strip() for form, _, was, right in correction.changes())
            add_row(
                table,
                f"{correction.time:%Y-%m-%d %H:%M}",
                f"{model}/{correction.version}",
                shortened(" ".join(text.split()), LONGEST_SHOWN),
                changes or "nothing: it is right",
                correction.key or "",
                correction.request_id or "",
            )
    Console().print(table)


def count_corrections(files: CorrectionFiles, models: Iterable[str]) -> None:
    """Prints the number of corrections, of different texts and of those that are right; and the most frequent changes.

    Changes are those of the latest correction of each text.
    """
    totals = make_table("model", "corrections", "texts", "right", "tokens", "changed")
    often = make_table("model", "column", "model's", "right", "times")
    for model in models:
        every = list(_read(files, model))
        found = {correction.text: correction for correction in every}.values()
        changes = Counter((column, was, right) for one in found for _, column, was, right in one.changes())
        right = sum(not any(one.changes()) for one in found)
        tokens = sum(len(sentence) for one in found for sentence in one.sentences or ())
        add_row(totals, model, *map(str, (len(every), len(found), right, tokens, changes.total())))
        for (column, was, instead), times in changes.most_common(MOST_SHOWN):
            add_row(often, model, column, was, instead, str(times))
    Console().print(totals)
    if often.row_count:
        Console().print("", often)
