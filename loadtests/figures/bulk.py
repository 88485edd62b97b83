"""Measures `tagwerk annotate --task tag` and spaCy on a large file, with one process and two, in turn."""

import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from dataclasses import astuple, dataclass, replace
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

    sentences: int
    tokens: int
    processor_seconds: float
    seconds: float

    def without(self, start: "Run") -> "Run":
        """Returns it without what another one, of a small file, has and takes."""
        pairs = zip(astuple(self), astuple(start), strict=True)
        return Run(*(whole - part for whole, part in pairs))


def measure(service: Server, plan: Plan) -> list[Figure]:
    """Returns the tokens per second of the processor, of the service and of spaCy; the service waits meanwhile."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        few, many = (_written(scratch / f"{words}.txt", words) for words in (FEW_WORDS, plan.words))
        store = _store(scratch / "store")
        start = [_run(few, store, scratch, 1) for _ in range(2)][1]  # the first may compile
        for processes in (1, 2):
            whole, tagged = _run(many, store, scratch, processes), _run_spacy(many, processes)
            say(f"processes: {processes}; annotated in {figure(whole.seconds)} s, start {figure(start.seconds)} s")
            for name, run in (
                ("tagwerk annotate --task tag", whole.without(start)),
                ("spaCy's pipe, tok2vec, tagger, lemmatizer", tagged),
            ):
                rate = (
                    f"{run.tokens} tokens, {figure(run.sentences / run.seconds)} sentences/s in {figure(run.seconds)} s"
                )
                figure_name = f"{name}, processes: {processes}"
                found.append(Figure(figure_name, run.tokens / run.processor_seconds, None, rate, "tokens a CPU second"))
    return found


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


def _run(path: Path, store: Path, scratch: Path, processes: int) -> Run:
    """Annotates a file."""
    output = scratch / "output.conllu"
    environment = {**os.environ, "TAGWERK_MODEL_STORE": str(store), "TF_CPP_MIN_LOG_LEVEL": "2"}
    options = [str(path), "--task", "tag", "--format", "conllu", "--output", str(output)]
    options += ["--processes", str(processes)]
    before, began = _children(), time.monotonic()
    done = subprocess.run([*service_command("annotate"), *options], env=environment, stderr=subprocess.PIPE, text=True)
    spent = Run(0, 0, _children() - before, time.monotonic() - began)
    if done.returncode:
        raise RuntimeError(f"tagwerk annotate ended with status {done.returncode}:\n{done.stderr}")
    identities = [line.split("\t", 1)[0] for line in output.read_text(encoding="utf-8").splitlines()]
    tokens, sentences = sum(map(str.isdigit, identities)), identities.count("1")
    for file in (output, *scratch.glob(f"{output.name}*")):
        file.unlink(missing_ok=True)
    return replace(spent, sentences=sentences, tokens=tokens)


def _run_spacy(path: Path, processes: int) -> Run:
    """Tags and lemmatizes a file with spaCy's pipeline, each line as a sentence."""
    accuracy()  # raises RuntimeError where it is not trained
    nlp = spacy.load(FOLDER)
    texts = path.read_text(encoding="utf-8").splitlines()
    spent, began = time.process_time() + _children(), time.monotonic()
    tokens = sum(map(len, nlp.pipe(texts, n_process=processes)))
    seconds = time.monotonic() - began
    for child in multiprocessing.active_children():
        child.join()  # so that its processor time is known
    return Run(len(texts), tokens, time.process_time() + _children() - spent, seconds)


def _children() -> float:
    """Returns the processor time of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
