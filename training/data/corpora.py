"""Finds, reads and downloads the files of the corpora, which are not part of the project.

A file is looked up beside this module, then in `$TAGWERK_DATA_DIR`, then in `data/`, plain or gzipped (`.gz`), and
compared with its checksum. Downloads go to `data/`. A machine without a network needs only a folder with the files.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError, TagwerkError
from training.data.catalogue import CORPORA, Corpus, Mapped
from training.data.download import checksum_of, download, open_bytes
from training.data.files import read_content
from training.data.mapping import train_part
from training.folders import replace_file

DOWNLOADS = Path("data")
OWN = Path(__file__).parent  # of corpora that are part of the project
DATA_DIR = "TAGWERK_DATA_DIR"


class CorpusError(TagwerkError):
    """A corpus file is missing or has other content than the published one."""


def path(corpus: str, file: str) -> Path:
    """Returns the path of a file, `path("ewt", "dev")`, plain or `.gz`, after checking it. Raises CorpusError."""
    found = _find(corpus, file)
    if found is None:
        raise CorpusError(f"{_corpus(corpus).files[file].name} is not here; run `tagwerk-train fetch {corpus}`")
    return found


def read(corpus: str, file: str) -> str:
    """Returns the text of a file, `read("ewt", "dev")`. Raises CorpusError."""
    with open_bytes(path(corpus, file)) as stream:
        return stream.read().decode()


def read_table(corpus: str, file: str) -> Iterator[dict[str, str]]:
    """Yields the rows of a tab-separated file by column name. Raises CorpusError."""
    lines = io.StringIO(read(corpus, file), newline="\n")
    yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


def sources(corpus: str) -> tuple[DataSource, ...]:
    """Returns the files of a corpus, "ewt", or one of them, "kjv_sicp/sicp", for a manifest."""
    name, _, part = corpus.partition("/")
    what = _corpus(name)
    return tuple(_source(what, key, _checksum(name, key)) for key in what.files if part in {"", key})


def source(path: Path, licence: str) -> DataSource:
    """Returns the origin of a file for a manifest: the corpus that has the same content, or the file's name alone.

    The checksum is that of its content before gzip. Raises DataFileError.
    """
    sha256 = hashlib.sha256(read_content(path)).hexdigest()
    known = (
        _source(what, key, sha256)
        for what in CORPORA.values()
        for key, file in what.files.items()
        if file.sha256 == sha256
    )
    return next(known, DataSource(name=path.name, address=path.name, sha256=sha256, licence=licence))


def fetch(corpora: Iterable[str]) -> None:
    """Downloads the missing files of corpora, "ewt", or one of them, "ewt/dev", and prints what it does.

    A train split that is mapped is made once the others are there.
    """
    console = Console()
    for corpus in corpora:
        name, _, part = corpus.partition("/")
        what, missing, mapped = _corpus(name), [], False
        for key, file in what.files.items():
            if part not in {"", key}:
                continue
            if found := _find(name, key):
                console.print(f"{name}: {found} is already here", highlight=False, soft_wrap=True)
            elif what.mapped and key == "train":
                mapped = True
            elif file.by_hand:
                target = DOWNLOADS / what.folder / file.name
                say = f"{name}: {target} is made by hand from {file.address}: {file.by_hand}"
                console.print(say, highlight=False, soft_wrap=True)
            else:
                missing.append(file)
        if missing:
            download(missing, DOWNLOADS / what.folder, console)
        if mapped and what.mapped:
            fetch([*what.mapped.tagged, *what.mapped.hints, f"{name}/dev", f"{name}/test"])
            _map(name, what.mapped, console)


def _map(corpus: str, made_of: Mapped, console: Console) -> None:
    """Makes the train split of a corpus of other files. Raises CorpusError if it comes out otherwise than published."""
    tagged = [read(*name.split("/")) for name in made_of.tagged]
    older = [read(name, part) for name in made_of.hints for part in CORPORA[name].files]
    text, agreement = train_part(tagged, older, made_of.contractions, read(corpus, "dev"), read(corpus, "test"))
    file = CORPORA[corpus].files["train"]
    if (checksum := hashlib.sha256(text.encode()).hexdigest()) != file.sha256:
        raise CorpusError(f"{file.name} of {corpus} came out otherwise than published: sha256 {checksum}")
    target = DOWNLOADS / CORPORA[corpus].folder / file.name
    replace_file(target, lambda stream: stream.write(text.encode()))
    say = f"{corpus}: {target} is mapped; of {agreement.words:,} words of test, {agreement} agree with the treebank"
    console.print(say, highlight=False, soft_wrap=True)


def _source(what: Corpus, key: str, sha256: str) -> DataSource:
    address = what.files[key].address
    return DataSource(name=f"{what.title}: {key}", address=address, sha256=sha256, licence=what.licence)


def _corpus(name: str) -> Corpus:
    try:
        return CORPORA[name]
    except KeyError:
        raise CorpusError(f"no corpus is called {name!r}; there are {', '.join(CORPORA)}") from None


def _find(corpus: str, key: str) -> Path | None:
    """Returns the path of a file in the first folder that has it, or None. Raises CorpusError on a wrong checksum."""
    what = _corpus(corpus)
    file = what.files[key]
    for root in _roots():
        plain = root / what.folder / file.name
        for candidate in (plain, plain.with_name(plain.name + ".gz")):
            if candidate.is_file():
                if checksum_of(candidate) not in {file.sha256, file.earlier or file.sha256}:
                    raise CorpusError(f"{candidate} is not the published file; remove it and fetch again")
                return candidate
    return None


def _checksum(corpus: str, key: str) -> str:
    """Returns the checksum of a file as published, or of the earlier one if that is here."""
    file = CORPORA[corpus].files[key]
    found = _find(corpus, key) if file.earlier else None
    return (checksum_of(found) if found else None) or file.sha256


def _roots() -> list[Path]:
    if not (named := os.environ.get(DATA_DIR)):
        return [OWN, DOWNLOADS]
    if not Path(named).is_dir():
        raise ConfigurationError(f"{DATA_DIR}={named} is not a folder")
    return [OWN, Path(named), DOWNLOADS]
