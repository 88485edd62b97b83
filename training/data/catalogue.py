"""The corpora: title, licence, citation, and the address and checksum of each file, from `catalogue.toml`."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from training.data import django_messages, imdb, masc, sentiment_tables
from training.data.download import File
from training.data.unimorph import Contractions, UnimorphWord

MAKERS: dict[str, Callable[..., bytes]] = {  # of a file that is not used as it is published
    "masc": masc.plain_text,
    "django_messages": django_messages.table,
    "goemotions": sentiment_tables.goemotions,
    "senti4sd": sentiment_tables.senti4sd,
    "newsmtsc": sentiment_tables.newsmtsc,
    "product_reviews": sentiment_tables.product_reviews,
    "pros_cons": sentiment_tables.pros_cons,
}


class Mapped(NamedTuple):
    """What the train split of a treebank is made of by `training.data.mapping`.

    Attributes:
        tagged: files with UniMorph tags, "sigmorphon_2019/da_ddt-train".
        hints: corpora with an older version of the treebank.
        contractions: the words that the tagged files have as one, by what they have.
    """

    tagged: tuple[str, ...]
    hints: tuple[str, ...] = ()
    contractions: Contractions = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus: its folder, its files by split or part, and what a model card has to state.

    Its train split is made of other files where `mapped` says which.
    """

    title: str
    folder: str
    licence: str
    citation: str
    files: dict[str, File]
    mapped: Mapped | None = None


def _corpus(entry: dict[str, Any]) -> Corpus:
    """Reads an entry of the catalogue. What it has beside the fields of a corpus, all of its files have."""
    files, about = entry.pop("files"), {key: entry.pop(key) for key in ("title", "folder", "licence", "citation")}
    mapped = _mapped(**entry.pop("mapped")) if "mapped" in entry else None
    return Corpus(**about, files={key: _file(key, **entry, **file) for key, file in files.items()}, mapped=mapped)


def _mapped(
    tagged: Sequence[str], hints: Sequence[str] = (), contractions: Mapping[str, Sequence[str]] | None = None
) -> Mapped:
    words = {form: [UnimorphWord(*word.split(" ")) for word in found] for form, found in (contractions or {}).items()}
    return Mapped(tuple(tagged), tuple(hints), words)


def _file(key: str, *, name: str, address: str, published: str = "", made: str = "", **others: Any) -> File:
    """Reads a file of the catalogue. published: its name at the address, if that is another one."""
    maker = partial(imdb.table, part=key) if made == "imdb" else MAKERS.get(made)
    return File(name=name, address=address.replace("{}", published or name), made=maker, **others)


CORPORA = {
    name: _corpus(entry)
    for name, entry in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()
}
