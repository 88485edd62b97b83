"""Reads tables: CSV (RFC 4180), and tab-separated values."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from service.commands.annotate.job import LONGEST_LINE, InputFormat, Job
from service.commands.annotate.rows import BadRow, Lines, Row, UnreadableInput

DELIMITERS = ",;\t|"
RECORD_BYTES = 2**20  # of a record of several lines, beside the longest text
SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # a first line that names the delimiter, as Excel writes it


class Table(Iterator[str]):
    """A table whose header has been read. As an iterator, yields the lines of a record while `csv.reader` wants more.

    A bad record ends with its first line, and the next line begins another one: so a quote too many costs one row, not
    those up to the next quote. Each line that is read again for that is a record by itself.

    Attributes:
        columns: of the header.
        names: of the cells of a row: those of the columns, which may have none.
        csv: arguments of `csv.reader` and `csv.writer`.
    """

    def __init__(self, lines: Lines, kind: InputFormat, head: str, job: Job) -> None:
        """Reads the header. `head` is the beginning of the content.

        Cells of CSV may be quoted, and its delimiter is one of DELIMITERS, or named by the job or a line before the
        header. In tab-separated values, quotes have no meaning. Raises UnreadableInput if there is no text column.
        """
        csv.field_size_limit(LONGEST_LINE)
        self._lines, self._job = lines, job
        self.csv: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
        if kind == "csv":
            named = SEPARATOR.match(head)
            if named:
                lines.read()
            delimiter = job.delimiter or (named[1] if named else delimiter_of(head, job.text_column))
            self.csv = {"delimiter": delimiter, "strict": True}
        self._start, self._most = lines.position, LONGEST_LINE  # of the record that is read, and its most bytes
        lines.row.clear()
        try:
            self.columns = [cell.strip() for cell in next(csv.reader(self, **self.csv), [])]
        except csv.Error as error:
            raise lines.error(str(error), 1) from None
        self._place = column_of(self.columns, job.text_column, lines.name)
        self.names = [name or f"column_{i}" for i, name in enumerate(self.columns, 1)]
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise UnreadableInput(f"{lines.name} has several columns {twice[0]!r}: name each otherwise")
        self._records = csv.reader(self, **self.csv)

    def read(self) -> Row:
        """Reads a record; for a blank line returns a row that keeps nothing. Raises StopIteration, and BadRow."""
        lines, is_read_again = self._lines, bool(self._lines.again)
        self._start, self._most = lines.position, RECORD_BYTES + self._job.longest_text
        line = self._start.lines + 1
        try:
            cells = next(self._records)
            if cells and len(cells) != len(self.columns):
                raise lines.error(self._miscounted(cells), line)
            if is_read_again and sum(one.content.count(b'"') for one in lines.row) % 2:
                raise lines.error("a quote that is not closed, or was opened in an earlier line", line)
        except csv.Error as error:
            right = 'put cells with delimiters, quotes or line ends in double quotes, and write a quote in them as ""'
            reason = f"{error}: {right}"
        except BadRow as error:
            reason = error.reason if error.line == line else f"{error.reason}, in line {error.line}"
        else:
            kept = dict(zip(self.names, cells, strict=False))
            return lines.text_row(line, cells[self._place] if cells else "", self._job, kept)
        lines.keep_first()
        raise lines.error(reason, line)

    def __next__(self) -> str:
        """Returns the next line of a record. Raises BadRow if it cannot belong to it."""
        lines, first = self._lines, self._start.lines + 1
        if lines.row and lines.again:
            raise lines.error("a quote that is not closed in this line", first)
        if lines.row and lines.position.bytes - self._start.bytes > self._most:
            raise lines.error(f"a quote that is not closed within {self._most:,} bytes", first)
        return lines.read()

    def _miscounted(self, cells: Sequence[str]) -> str:
        advice = "quote cells with delimiters" if "strict" in self.csv else "if cells are quoted, --input-format csv"
        return f"{len(cells)} cell{'s' * (len(cells) > 1)}, and the header has {len(self.columns)}: {advice}"


def column_of(columns: Sequence[str], name: str, source: str) -> int:
    """Returns the place of the column with the texts. Raises UnreadableInput if `source` has none of this name."""
    if name not in columns:
        advice = f"name the one with the texts with --text-column; there are: {', '.join(columns) or 'none'}"
        raise UnreadableInput(f"{source} has no column {name!r}: {advice}")
    return columns.index(name)


def delimiter_of(text: str, column: str) -> str:
    """Returns the delimiter that splits the header so that it has a column, or else into the most columns."""
    headers = {delimiter: [cell.strip() for cell in header_of(text, delimiter)] for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: (column in headers[delimiter], len(headers[delimiter])))


def header_of(text: str, delimiter: str) -> list[str]:
    """Returns the cells of a table's first row; none if there is none."""
    with suppress(csv.Error, StopIteration):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return []
