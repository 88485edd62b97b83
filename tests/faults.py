"""Damages the files of a model version, for the tests of their readers."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from training.run.version_folder import checksums

Harm = Callable[[Path], object]


class Fault(NamedTuple):
    """One way to break a version folder, and what the reason for its refusal must say."""

    name: str
    harm: Harm
    reason: str


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    """Changes members of a manifest."""
    content = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(content | changes))


def with_checksums(harm: Harm) -> Harm:
    """Breaks a file, and lets the manifest list it as it is then: the files are whole, and their contents wrong."""

    def both(folder: Path) -> None:
        harm(folder)
        rewrite_manifest(folder, files=checksums(folder))

    return both


def _replace(name: str, make: Callable[[Path], object]) -> Harm:
    def harm(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return harm


def contents(name: str, content: bytes) -> Harm:
    """Replaces the contents of a file, and its checksum."""
    return with_checksums(lambda folder: (folder / name).write_bytes(content))


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def _client(path: Path) -> None:
    (path.parent / "elsewhere").write_text("{}")
    path.symlink_to("elsewhere")


def of_file(name: str) -> list[Fault]:
    """Returns the faults that any file of a version may have."""
    base = Path(name).name
    return [
        Fault(f"{base} missing", lambda f: (f / name).unlink(), f"{name} is missing"),
        Fault(f"{base} truncated", lambda f: os.truncate(f / name, (f / name).stat().st_size // 2), name),
        Fault(f"{base} empty", lambda f: os.truncate(f / name, 0), name),
        Fault(f"{base} is a folder", _replace(name, Path.mkdir), f"{name} is (missing|a folder)"),
        Fault(f"{base} is a pipe", _replace(name, os.mkfifo), f"{name} is a pipe"),
        Fault(f"{base} is a link", _replace(name, _client), f"{name} is a symbolic link|elsewhere is not listed"),
        Fault(f"{base} is huge", _replace(name, _sparse), "bytes"),
    ]


def of_contents(name: str) -> list[Fault]:
    """Returns the faults of a file of JSON whose checksum is right."""
    wrong = {"a list": b"[]", "a number": b"7", "no JSON": b"{", "nested": b"[" * 100_000, "null": b"null"}
    return [Fault(f"{name} is {what}", contents(name, content), f"{name} cannot be") for what, content in wrong.items()]


def change_labels(folder: Path, **changes: list[str] | None) -> None:
    """Changes the labels of a manifest; None takes a set of them away."""
    labels = json.loads((folder / "manifest.json").read_text())["labels"] | changes
    rewrite_manifest(folder, labels={name: those for name, those in labels.items() if those is not None})


def drop_head(folder: Path, head: str) -> None:
    """Takes a head away, as training does where a treebank has one label for it."""
    change_labels(folder, **{head: None})
    endpoints = json.loads((folder / "manifest.json").read_text())["endpoints"]
    for endpoint in endpoints.values():
        endpoint["outputs"].pop(head, None)
    rewrite_manifest(folder, endpoints=endpoints)


INT32 = {"dtype": "int32", "axes": ["B"]}
OPEN = {"dtype": "float32", "axes": ["B", "T", "K"]}


def change_endpoint(folder: Path, side: str, **tensors: object) -> None:
    """Changes the inputs or outputs of a tagger's endpoint; None takes one away."""
    endpoints = json.loads((folder / "manifest.json").read_text())["endpoints"]
    changed = endpoints["tag"][side] | tensors
    endpoints["tag"][side] = {name: spec for name, spec in changed.items() if spec is not None}
    rewrite_manifest(folder, endpoints=endpoints)


def deep(folder: Path) -> None:
    """Makes a folder in a folder in a folder."""
    folder.joinpath(*["deep"] * 50).mkdir(parents=True)


def many(folder: Path) -> None:
    """Makes more files than a version may have."""
    for number in range(1001):
        (folder / f"file-{number}").touch()


MANIFEST = [
    Fault("manifest is a list", lambda f: (f / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
    Fault("manifest nested", lambda f: (f / "manifest.json").write_text("[" * 100_000), "manifest.json cannot be read"),
    Fault("manifest of another", lambda f: rewrite_manifest(f, name="other"), "but is in"),
    Fault("unknown task", lambda f: rewrite_manifest(f, task="translate"), "task"),
    Fault("no buckets", lambda f: rewrite_manifest(f, length_buckets=[]), "length_buckets"),
    Fault("huge bucket", lambda f: rewrite_manifest(f, length_buckets=[8, 10**9]), "length_buckets"),
    Fault("files outside", lambda f: rewrite_manifest(f, files={"../../other": "0"}), "path inside the folder"),
    Fault("no endpoint", lambda f: rewrite_manifest(f, endpoints={}), "no endpoint"),
    Fault("no vocabularies", lambda f: rewrite_manifest(f, vocabularies={}), "no vocabulary 'words'"),
    Fault("other vocabulary", lambda f: rewrite_manifest(f, vocabularies={"words": "x"}), "x is not among the files"),
    Fault("too many labels", lambda f: change_labels(f, xpos=["A"] * 99), "99 labels of xpos, but the model gives"),
    Fault("no labels", lambda f: change_labels(f, upos=None), "no labels of upos"),
    Fault("no XPOS", lambda f: drop_head(f, "xpos"), "this one has no xpos"),
    Fault(
        "no lengths", lambda f: change_endpoint(f, "inputs", lengths=None), "the endpoint takes char_ids, word_ids; all"
    ),
    Fault("an input more", lambda f: change_endpoint(f, "inputs", more=INT32), "the endpoint takes char_ids, len"),
    Fault("other axes", lambda f: change_endpoint(f, "inputs", word_ids=INT32), "the input word_ids has the axes .B"),
    Fault("open width", lambda f: change_endpoint(f, "outputs", upos=OPEN), "the output upos has the axes .B, T, K"),
    Fault("other type", lambda f: change_endpoint(f, "inputs", word_ids=OPEN), "word_ids is float32; allowed: int32"),
    Fault("large manifest", lambda f: rewrite_manifest(f, description="x" * 2**20), "has more than 1048576 bytes"),
    Fault("nested folders", deep, "nested more than"),
    Fault("many files", many, "more than 1000 files"),
    Fault("a file more", lambda f: (f / "extra.py").touch(), "extra.py is not listed"),
    Fault(
        "other tokenizer", lambda f: rewrite_manifest(f, tokenizer="moses-fr"), "not one of spacy-en, spacy-fr and so"
    ),
]
