"""The commands of docs/correcting.md, run in their order: on tiny models of the same names, trained for one epoch."""

import json
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from service.__main__ import main
from service.artifact.manifest import read_manifest
from service.store.corrections import CorrectionFiles
from tests.conftest import CACHE, ROOT, SMALL, start_server
from tests.store.test_corrections import tagged, token
from tests.training.from_files.test_further import write_plain
from tests.training.from_files.test_served import said
from training.from_files import further_tagger
from training.run import export

PAGE = (ROOT / "docs" / "correcting.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]
OLD, NEW = (int(number) for number in re.findall(r"tagger-en/([0-9]+)", PAGE)[:2])  # it compares these versions
BASES = {f"tagger-en/{OLD}": "tagger-xx/1", "sentiment-en/1": "topics/1"}  # models that stand for the page's
UNLABELLED = ("--unlabelled", "plain.txt")  # the corpora of the page's models are no part of the project
XPOS = '"xpos": "UH", '  # which the tiny model has not
ONE_EPOCH = ("--set", "epochs=1")
ZUM = {"text": "zum", "start": 13, "end": 16, "first": 3, "last": 4}


@pytest.fixture
def store(made, monkeypatch):
    """Returns a store with the models that the page begins with, beside the files that it names.

    The tagger's tag of numbers is called INTJ, which the page's dictionary gives.
    """
    monkeypatch.setattr(export, "check_version", lambda folder: None)
    monkeypatch.setattr(further_tagger, "LEAST_REHEARSED", 500)
    write_plain()
    unlike = (f"{word} a{i} b{i} c{i} d{i}\n" for i in range(40) for word in ("team", "court"))
    Path("texts.txt").write_text("".join(unlike))
    Path("test.conllu").write_text("".join(f"{s}\n\n" for s in Path("bank.conllu").read_text().split("\n\n")[:12]))
    found = Path("model_store").absolute()
    for new, old in BASES.items():
        (found / new).parent.mkdir()
        (found / old).rename(found / new)
        (found / old).parent.rmdir()
        path = found / new / "manifest.json"
        name, version = new.split("/")
        manifest = json.loads(path.read_text()) | {"name": name, "version": version}
        path.write_text(json.dumps(manifest).replace('"NUM"', '"INTJ"'))
    return found


def store_corrections(folder: Path) -> None:
    """Stores corrections of twenty texts beside that of the page; XPOS is of another kind than the model's."""
    files = CorrectionFiles(folder, create=True)
    for number in range(20):
        the = token("the", 0, "ADV", lemma="der", was={"upos": "DET", "lemma": "the"})
        words = (the, token("dog", 4, "VERB", was={"upos": "NOUN"}), token(str(number), 8, "INTJ"))
        files.append(tagged(f"the dog {number}", *words))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, with NumPy 2
def test_the_commands_of_the_page_do_what_it_says(run, store, capsys, monkeypatch, tmp_path):
    for name, value in SMALL.items() | {"TAGWERK_XLA_CACHE": str(CACHE), "TAGWERK_LOAD": "tagger-en"}.items():
        monkeypatch.setenv(name, value)
    store_corrections(tmp_path / "feedback")
    done: list[tuple[str, list[str]]] = []
    trained = set()
    for line, after in pairwise((*COMMANDS, "")):
        words = shlex.split(line)
        if words[0] == "curl":
            continue  # sent to the service that the line before starts
        if not any(word.startswith("tagwerk") for word in words):
            subprocess.run(["sh", "-c", line], check=True)
            continue
        settings = dict(word.split("=", 1) for word in words if word.startswith("TAGWERK_"))
        program, *arguments = words[len(settings) :]
        if program == "tagwerk-train" and arguments[0] == "train":
            added = ONE_EPOCH if "--unlabelled" in arguments else (*UNLABELLED, *ONE_EPOCH)
            if (command := (*arguments, *added)) not in trained:  # with them, two of the page are the same
                capsys.readouterr()
                assert run(*command) == 0, line
                assert "XPOS" not in capsys.readouterr().out
                trained.add(command)
        elif program == "tagwerk-train":
            found = said(run, capsys, *arguments)
            assert [row[1] for row in found if row[:1] == ["upos"]] == [
                f"tagger-en/{OLD}",
                f"tagger-en/{NEW}",
                "difference",
            ]
        elif arguments == ["serve"]:
            folders = {name: str(tmp_path / folder) for name, folder in settings.items()}
            few = {"TAGWERK_MODEL_STORE": str(store), "TAGWERK_BATCH_SIZES": "8"}  # each is compiled
            with start_server(tmp_path / "log", **few, **folders) as server:
                server.wait_until_ready()
                if after.startswith("curl"):
                    curl = shlex.split(after.replace("localhost:8000", server.url).replace(XPOS, ""))
                    sent = json.loads(subprocess.run(curl, capture_output=True, check=True).stdout)
                    assert (sent["model"], sent["version"]) == ("tagger-en", str(OLD))
                else:
                    answer = httpx.post(f"{server.url}/tag", json={"text": "the dog sees zum lol"}, timeout=60).json()
                    (tagged,) = answer["results"][0]["sentences"]
                    assert [one["text"] for one in tagged["tokens"]] == ["the", "dog", "sees", "zu", "dem", "lol"]
                    assert tagged["multiword_tokens"] == [ZUM]
                    assert all(one["lemma"] for one in tagged["tokens"])
                    last = tagged["tokens"][-1]
                    assert (last["upos"], last["source"]) == ("INTJ", "dictionary")
        else:
            with monkeypatch.context() as patch:
                if "classify" in arguments:
                    patch.delenv("TAGWERK_LOAD")
                for name, value in settings.items():
                    patch.setenv(name, value)
                assert main(arguments) == 0, line
            if "export" in arguments:
                assert "\n1\tmeh\tmeh\tINTJ\t" in Path(arguments[-1]).read_text(), "what was sent"
        done.append((program, arguments))
    assert len(done) == len([line for line in COMMANDS if "tagwerk" in line.split("/")[0]])
    newest = {name: max(int(path.name) for path in (store / name).iterdir()) for name in ("tagger-en", "sentiment-en")}
    assert newest == {"tagger-en": NEW, "sentiment-en": 2}
    old, new = (read_manifest(store / "tagger-en" / str(version)) for version in (OLD, NEW))
    assert new.data[-1].name == "plain.txt"
    assert (new.labels, new.length_buckets) == (old.labels, old.length_buckets)
    for name in ("words.json", "characters.json", "tokenizer.json"):
        assert new.files[name] == old.files[name]
