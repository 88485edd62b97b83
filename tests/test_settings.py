import re

import pytest

from service.__main__ import main
from service.errors import ConfigurationError
from service.settings import Settings, load_settings, unknown_variables
from tests.conftest import ROOT

OPERATIONS = ROOT / "docs" / "operations.md"


def test_lists_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("TAGWERK_BATCH_SIZES", "1, 2,8")
    monkeypatch.setenv("TAGWERK_CORS_ORIGINS", "https://a.org, http://localhost:3000")
    assert load_settings().batch_sizes == (1, 2, 8)
    assert load_settings().cors_origins == ("https://a.org", "http://localhost:3000")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PORT", "http", "a valid integer"),
        ("PORT", "70000", "less than or equal to 65535"),
        ("PROCESSES", "61", "less than or equal to 60"),
        ("DEVICE", "tpu", "'auto', 'cpu' or 'gpu'"),
        ("REQUEST_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("BATCH_SIZES", "0", "greater than or equal to 1"),
        ("BATCH_SIZES", "1,x", "a valid integer"),
        ("BATCH_SIZES", "", "at least 1 item"),
        ("BATCH_SIZES", "1,1", "sizes that rise, each of them once"),
        ("CORS_ORIGINS", "example.org", "match pattern"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_what_is_wrong(monkeypatch, name, value, problem):
    monkeypatch.setenv(f"TAGWERK_{name}", value)
    with pytest.raises(ConfigurationError, match=f"^TAGWERK_{name} is '?{value}'?.*{problem}"):
        load_settings()


def test_a_long_value_is_shortened(monkeypatch):
    monkeypatch.setenv("TAGWERK_PORT", "9" * 10_000)
    with pytest.raises(ConfigurationError) as raised:
        load_settings()
    assert len(str(raised.value)) < 200


def test_the_command_reports_each_in_a_line_and_fails(monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_PORT", "http")
    monkeypatch.setenv("TAGWERK_SLOTS", "none")
    assert main(["serve"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("tagwerk: TAGWERK_PORT is 'http': ")
    assert second.startswith("tagwerk: TAGWERK_SLOTS is 'none': ")


def test_unknown_variables_are_found_with_the_nearest_option():
    names = [
        "TAGWERK_PROT",
        "tagwerk_port",
        "TAGWERK_MAX_ITEM",
        "TAGWERK_MAX_QUEUE_ENTRIES",
        "TAGWERK_XYZZY",
        "TAGWERK_DATA_DIR",
        "HOME",
    ]
    assert unknown_variables(names) == {
        "TAGWERK_MAX_ITEM": "TAGWERK_MAX_ITEMS",
        "TAGWERK_MAX_QUEUE_ENTRIES": "TAGWERK_MAX_QUEUE_TOKENS",
        "TAGWERK_PROT": "TAGWERK_PORT",
        "TAGWERK_XYZZY": None,
    }


@pytest.mark.parametrize("name", ["WORKERS", "ENGINES", "ENGINE_ADDRESS", "ENGINE_METRICS_PORT"])
def test_the_option_that_has_taken_the_place_of_one_of_before_is_named(name):
    assert unknown_variables([f"TAGWERK_{name}"]) == {f"TAGWERK_{name}": "TAGWERK_PROCESSES"}


@pytest.mark.parametrize(
    ("processes", "slots", "entries", "tokens"),
    [(1, 16, 4096, 262_144), (2, 8, 2048, 131_072), (3, 6, 1365, 87_382), (60, 1, 1024, 4370)],
)
def test_what_holds_for_the_whole_service_is_divided_among_its_processes(processes, slots, entries, tokens):
    """Rounded up; the queue of each has room for the largest request, of 1024 texts."""
    own = Settings().of_process(processes)
    assert (own.slots, own.max_queue_sequences, own.max_queue_tokens) == (slots, entries, tokens)
    assert own.max_items == Settings().max_items


def test_every_variable_that_the_repository_reads_is_known():
    folders = ("service", "training", "loadtests", "docker")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc")
    files = [path for path in found if path.is_file()]
    files += [ROOT / "Makefile", ROOT / "tests" / "conftest.py"]
    names = {name for path in files for name in re.findall(rb"TAGWERK_[A-Z_]*[A-Z]", path.read_bytes())}
    assert len(names) > len(Settings.model_fields) / 2
    assert unknown_variables(name.decode() for name in names) == {}


def test_the_documentation_lists_every_option_with_its_default_and_no_other():
    rows = re.findall(r"^\| `TAGWERK_(\w+)` \| `(.*?)` \|", OPERATIONS.read_text(), re.MULTILINE)
    written = {name.lower(): default for name, default in rows}

    def shown(value: object) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    assert written == {name: shown(field.default) for name, field in Settings.model_fields.items()}
