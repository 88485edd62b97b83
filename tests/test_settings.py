import re
from pathlib import Path

import pytest

from service.__main__ import main
from service.errors import ConfigurationError
from service.settings import Settings, load_settings

OPERATIONS = Path(__file__).parents[1] / "docs" / "operations.md"


def test_lists_are_read_from_the_environment(monkeypatch):
    monkeypatch.setenv("TAGWERK_BATCH_SIZES", "1, 2,8")
    assert load_settings().batch_sizes == (1, 2, 8)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "http", "TAGWERK_PORT: .*integer"),
        ("PORT", "70000", "TAGWERK_PORT: .*65535"),
        ("DEVICE", "tpu", "TAGWERK_DEVICE: .*'auto', 'cpu' or 'gpu'"),
        ("LENGTH_BUCKETS", "8,4", "length_buckets must rise"),
        ("BATCH_SIZES", "1,1", "batch_sizes must rise"),
        ("BATCH_SIZES", "0", "TAGWERK_BATCH_SIZES: .*greater than or equal to 1"),
        ("MAX_QUEUE_ENTRIES", "3", "max_queue_entries must be at least max_items"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_allowed(monkeypatch, name, value, reason):
    monkeypatch.setenv(f"TAGWERK_{name}", value)
    with pytest.raises(ConfigurationError, match=reason):
        load_settings()


def test_the_command_reports_it_in_one_line_and_fails(monkeypatch, capsys):
    monkeypatch.setenv("TAGWERK_PORT", "http")
    assert main(["serve"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("tagwerk: TAGWERK_PORT: ")
    assert "Traceback" not in error


def test_the_documentation_lists_every_option_with_its_default_and_no_other():
    rows = re.findall(r"^\| `TAGWERK_(\w+)` \| `(.*?)` \|", OPERATIONS.read_text(), re.MULTILINE)
    written = {name.lower(): default for name, default in rows}

    def shown(value: object) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    assert written == {name: shown(field.default) for name, field in Settings.model_fields.items()}
