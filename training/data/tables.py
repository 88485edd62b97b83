"""Reads labelled texts from tables: CSV, tab-separated values, JSON Lines, Parquet."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow
import pyarrow.parquet

from service.errors import quantity
from training.data.files import DataFileError, read_content, read_text

LONGEST_CELL = 2**24  # characters
PARQUET_ROWS = 1024  # that are read at a time
OTHER_DELIMITERS = re.compile(r"[;|\t,]")  # which a header of a single column may have instead
Rows: TypeAlias = Iterator[tuple[int, dict[str, str]]]  # the line that a row begins in, and its cells by column


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text with its label, the line of the file where it begins, and the group by which results are counted."""

    text: str
    label: str
    line: int
    group: str = ""


def read_labelled(path: Path, text_column: str, label_column: str, group_column: str = "") -> list[LabelledText]:
    """Returns the texts of a table with their labels and, of a column that is named, groups. Raises DataFileError."""
    texts = []
    for line, row in _rows(path):
        if missing := [column for column in (text_column, label_column, group_column) if column not in {"", *row}]:
            raise DataFileError(path, line, f"no column {missing[0]!r}", f"one of {', '.join(row)}")
        text, label = row[text_column], row[label_column].strip()
        for column, cell in ((text_column, text), (label_column, label)):
            if not cell or cell.isspace():
                raise DataFileError(path, line, f"{column} is empty", "a value, or no such row at all")
        texts.append(LabelledText(text, label, line, row.get(group_column, "").strip()))
    return texts


def _rows(path: Path) -> Rows:
    suffix = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if suffix.lower() not in READERS:
        raise DataFileError(path, None, f"is called {path.name}", f"a name that ends in {', '.join(READERS)}, or .gz")
    return READERS[suffix.lower()](path)


def _cells(path: Path, **form: Any) -> Rows:
    """Reads cells that a delimiter divides. form: of `csv.reader`."""
    reader = csv.reader(io.StringIO(read_text(path)), **form)
    csv.field_size_limit(LONGEST_CELL)
    columns: list[str] = []
    end = 0  # of the row before, a line
    try:
        for cells in reader:
            line, end = end + 1, reader.line_num
            if not cells:
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                if len(columns) == 1 and (other := OTHER_DELIMITERS.search(columns[0])):
                    right = "commas, or in a file called .tsv tabs"
                    raise DataFileError(path, line, f"{other[0]!r} between the columns", right)
                continue
            if len(cells) != len(columns):
                right = f"{len(columns)} as in the first line: {', '.join(columns)}"
                raise DataFileError(path, line, quantity(len(cells), "cell"), right)
            yield line, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        right = 'cells with commas, line ends or quotes in double quotes, and a quote in them as ""'
        raise DataFileError(path, end + 1, str(error), right) from None


def _json_lines(path: Path) -> Rows:
    for line, content in enumerate(read_text(path).split("\n"), start=1):
        if not content or content.isspace():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            raise DataFileError(path, line, f"is not JSON: {error}", "a JSON object in each line") from None
        if not isinstance(row, dict):
            raise DataFileError(path, line, f"is a {type(row).__name__}", "a JSON object in each line")
        yield line, {name: _cell(value) for name, value in row.items()}


def _parquet(path: Path) -> Rows:
    """Reads a Parquet file; a row's number stands for its line."""
    try:
        batches = pyarrow.parquet.ParquetFile(io.BytesIO(read_content(path))).iter_batches(PARQUET_ROWS)
        rows = (row for batch in batches for row in batch.to_pylist())
        for number, row in enumerate(rows, start=1):
            yield number, {name: _cell(value) for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        raise DataFileError(path, None, f"is not Parquet: {error}", "a whole Parquet file") from None


def _cell(value: object) -> str:
    """Returns a value of JSON or Parquet as a cell; nothing for null."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, default=str)


READERS: dict[str, Callable[[Path], Rows]] = {
    ".csv": partial(_cells, strict=True),  # RFC 4180: cells with commas, quotes or line ends are in double quotes
    ".tsv": partial(_cells, delimiter="\t", quoting=csv.QUOTE_NONE),  # no tabs or line ends; quotes mean nothing
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
