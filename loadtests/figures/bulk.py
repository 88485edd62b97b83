"""Measures the tokens per second of processor time of `tagwerk annotate --task tag`, and of spaCy, on a large file."""

import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import spacy

from loadtests.aims import Figure
from loadtests.figures.base import Plan
from loadtests.peers.spacy_model import FOLDER, accuracy
from loadtests.rounds import figure, say
from loadtests.servers import Server, service_command
from loadtests.text import endless_text
from service.settings import load_settings
from service.store.serving import served

FEW_WORDS = 2000  # a run of so many, taken off, leaves what a start costs out


@dataclass(frozen=True, slots=True)
class Run:
    """An annotation of a file."""

    tokens: int
    processor_seconds: float
    seconds: float


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the tokens per second of the processor, of the service and of spaCy; the service waits meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        few, many = (_written(scratch / f"{words}.txt", words) for words in (FEW_WORDS, plan.words))
        store = _store(scratch / "store")
        _, start, whole = (_run(path, store, scratch) for path in (few, few, many))  # the first may compile
        tokens = whole.tokens - start.tokens
        rate = tokens / (whole.processor_seconds - start.processor_seconds)
        in_all = whole.tokens / whole.processor_seconds
        details = f"{whole.tokens} tokens in {figure(whole.seconds)} s; {figure(in_all)} with the start"
        say(f"annotated: {figure(whole.seconds)} s, start {figure(start.seconds)} s")
        tagged = _run_spacy(many)
    spacy_rate = tagged.tokens / tagged.processor_seconds
    spacy_details = f"{tagged.tokens} tokens in {figure(tagged.seconds)} s"
    return [
        Figure("tagwerk annotate --task tag", rate, None, details, "tokens a CPU second"),
        Figure("spaCy's pipe, tok2vec, tagger, lemmatizer", spacy_rate, None, spacy_details, "tokens a CPU second"),
    ]


def _written(path: Path, words: int) -> Path:
    """Writes sentences of so many words into a file, one a line; returns it."""
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for sentence in endless_text(random.Random(1)):
            print(sentence, file=file)
            written += len(sentence.split())
            if written >= words:
                return path
    return path


def _store(folder: Path) -> Path:
    """Makes a model store of the taggers; returns it."""
    for version in served(load_settings())[0]:
        if version.manifest.task == "tag":
            shutil.copytree(version.folder, folder / version.key.name / version.key.version)
    return folder


def _run(path: Path, store: Path, scratch: Path) -> Run:
    """Annotates a file."""
    output = scratch / "output.conllu"
    environment = {**os.environ, "TAGWERK_MODEL_STORE": str(store), "TF_CPP_MIN_LOG_LEVEL": "2"}
    options = [str(path), "--task", "tag", "--format", "conllu", "--output", str(output)]
    before, began = _children(), time.monotonic()
    done = subprocess.run([*service_command("annotate"), *options], env=environment, stderr=subprocess.PIPE, text=True)
    spent = Run(0, _children() - before, time.monotonic() - began)
    if done.returncode:
        raise RuntimeError(f"tagwerk annotate ended with status {done.returncode}:\n{done.stderr}")
    with output.open(encoding="utf-8") as lines:
        tokens = sum(line[0].isdigit() and line.split("\t", 1)[0].isdigit() for line in lines)
    for file in (output, *scratch.glob(f"{output.name}*")):
        file.unlink(missing_ok=True)
    return Run(tokens, spent.processor_seconds, spent.seconds)


def _run_spacy(path: Path) -> Run:
    """Tags and lemmatizes a file with spaCy's pipeline."""
    accuracy()  # raises RuntimeError where it is not trained
    nlp = spacy.load(FOLDER)
    texts = path.read_text(encoding="utf-8").splitlines()
    spent, began = time.process_time(), time.monotonic()
    tokens = sum(map(len, nlp.pipe(texts)))
    return Run(tokens, time.process_time() - spent, time.monotonic() - began)


def _children() -> float:
    """Returns the processor time of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
