"""Corpora of sentiment as tables with the columns label and text, made from the files that their authors publish.

Labels are negative, neutral and positive; "mixed" is a text of both, "ambiguous" an emotion of neither side.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

SIDES = {-1: "negative", 0: "neutral", 1: "positive"}
MIXED = "mixed"
GOEMOTIONS = (
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval "
    "disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief "
    "remorse sadness surprise neutral"
).split()
# The authors' grouping (google-research, goemotions/data/sentiment_mapping.json).
GROUPS = {
    "positive": "amusement excitement joy love desire optimism caring pride admiration gratitude relief approval",
    "negative": "fear nervousness remorse embarrassment disappointment sadness grief disgust anger annoyance "
    "disapproval",
    "ambiguous": "realization surprise curiosity confusion",
    "neutral": "neutral",
}
_GROUP_OF = {emotion: group for group, emotions in GROUPS.items() for emotion in emotions.split()}
_FEATURE_SIGN = re.compile(r"\[([+-]\d+)\]")
_PHRASE = re.compile(r"<(Pros|Cons)>(.*?)</\1>", re.DOTALL)
_BLANKS = re.compile(r"\s+")


def goemotions(file: Path) -> bytes:
    """Returns lines of the group of a comment's emotions, the emotions, id and text."""
    rows = []
    for line in _lines(file.read_bytes().decode()):
        text, numbers, identity = line.split("\t")
        emotions = [GOEMOTIONS[int(number)] for number in numbers.split(",")]
        groups = {_GROUP_OF[emotion] for emotion in emotions}
        label = _common(groups - {"ambiguous"} if groups & {"positive", "negative"} else groups)
        rows.append((label, ",".join(emotions), identity, _joined(text)))
    return _table("label emotions id text", rows)


def senti4sd(file: Path) -> bytes:
    """Returns lines of label and text of `id;label;text`; the text is the longest cell."""
    rows = csv.reader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline=""), delimiter=";")
    return _table("label text", [(row[1], _joined(max(row, key=len))) for row in rows])


def newsmtsc(file: Path) -> bytes:
    """Returns lines: the polarity that the targets share, the polarity of each target, the targets, the sentence."""
    rows = []
    for line in _lines(file.read_bytes().decode()):
        sentence = json.loads(line)
        labels = [SIDES[_sign(target["polarity"] - 4)] for target in sentence["targets"]]  # 2, 4 or 6
        mentions = " | ".join(target["mention"] for target in sentence["targets"])
        rows.append(
            (_common(set(labels)), ",".join(labels), _joined(mentions), _joined(sentence["sentence_normalized"]))
        )
    return _table("label target_labels targets text", rows)


def product_reviews(archive: Path) -> bytes:
    """Returns lines of label, sum, product, tags and text of sentences `picture[+3],price[-1]##text`."""
    rows = []
    for name, content in _members(archive):
        if name == "README":
            continue
        for line in _lines(content):
            tags, mark, text = line.partition("##")
            if not mark or not text.strip():
                continue
            signs = [int(sign) for sign in _FEATURE_SIGN.findall(tags)]
            label = _common({SIDES[_sign(value)] for value in signs} or {"neutral"})
            rows.append((label, str(sum(signs)), name, _joined(tags), _joined(text)))
    return _table("label sum product tags text", rows)


def pros_cons(archive: Path) -> bytes:
    """Returns lines of label and text of phrases `<Pros>text</Pros>`, the negative ones first."""
    rows = []
    for _, content in _members(archive):
        for kind, text in _PHRASE.findall(content):
            if text := _joined(text):
                rows.append(("positive" if kind == "Pros" else "negative", text))
    return _table("label text", rows)


def _members(archive: Path) -> Iterable[tuple[str, str]]:
    """Yields name without ending and content of the text files of a zip file, by name."""
    with zipfile.ZipFile(archive) as files:
        for name in sorted(name for name in files.namelist() if name.endswith(".txt")):
            yield Path(name).stem, files.read(name).decode()


def _lines(content: str) -> list[str]:
    return [line for line in content.replace("\r", "").split("\n") if line]


def _common(labels: set[str]) -> str:
    return labels.pop() if len(labels) == 1 else MIXED


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _joined(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def _table(columns: str, rows: Iterable[Iterable[str]]) -> bytes:
    return "".join("\t".join(cells) + "\n" for cells in (columns.split(), *rows)).encode()
