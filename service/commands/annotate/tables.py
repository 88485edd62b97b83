"""Reads tables: CSV (RFC 4180), and tab-separated values."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

from service.commands.annotate.rows import (
    LONGEST_LINE,
    TEXT_COLUMN,
    BadRow,
    InputOptions,
    Layout,
    Lines,
    Row,
    UnreadableInput,
    name_taken,
    text_row,
)

DELIMITERS = ",;\t|"
RECORD_BYTES = 2**20  # of a record of several lines, beside the longest text
SEPARATOR = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # a first line that names the delimiter, as Excel writes it


class Table(Iterator[str]):
    """A table whose header has been read. As an iterator, yields the lines of a record while `csv.reader` wants more.

    A bad record ends with its first line, and the next line begins another one: so a quote too many costs one row, not
    those up to the next quote. Each line that is read again for that is a record by itself.
    """

    def __init__(self, lines: Lines, kind: Literal["csv", "tsv"], head: str, options: InputOptions) -> None:
        """Reads the header. `head` is the beginning of the content.

        Cells of CSV may be quoted, and its delimiter is one of DELIMITERS, or named by the options or a line before the
        header. In tab-separated values, quotes have no meaning. Raises UnreadableInput if there is no text column, or
        if a column has a name of the result.
        """
        csv.field_size_limit(LONGEST_LINE)
        column = options.text_column or TEXT_COLUMN
        self._lines, self._options = lines, options
        self._form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
        if kind == "csv":
            named = SEPARATOR.match(head)
            if named:
                next(lines)
            delimiter = options.delimiter or (named[1] if named else delimiter_of(head, column))
            self._form = {"delimiter": delimiter, "strict": True}
        try:
            self.columns = [cell.strip() for cell in next(csv.reader(lines, **self._form), [])]
        except csv.Error as error:
            raise lines.error(str(error), 1) from None
        if column not in self.columns:
            advice = f"name the one with the texts with --text-column; there are: {', '.join(self.columns) or 'none'}"
            raise UnreadableInput(f"{lines.name} has no column {column!r}: {advice}")
        if twice := [name for name in self.columns if name and self.columns.count(name) > 1]:
            raise UnreadableInput(f"{lines.name} has several columns {twice[0]!r}: name each otherwise")
        if taken := [name for name in self.columns if name in options.taken_columns]:
            raise name_taken(f"{lines.name} has a column", taken[0])
        self._place = self.columns.index(column)
        self._records = csv.reader(self, **self._form)
        self._start, self._most = lines.position, RECORD_BYTES  # of the record that is read, and its most bytes

    @property
    def layout(self) -> Layout:
        """The columns, and how their cells are written."""
        return Layout(self.columns, self._place, self._form)

    def read(self, longest: int) -> Row:
        """Reads a record; returns a row without cells for a blank line. Raises StopIteration, and BadRow."""
        lines, is_read_again = self._lines, bool(self._lines.again)
        self._start, self._most = lines.position, RECORD_BYTES + longest
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
            return text_row(lines, line, cells[self._place] if cells else "", self._options, longest, cells)
        lines.keep_first()
        raise lines.error(reason, line)

    def __next__(self) -> str:
        """Returns the next line of a record. Raises BadRow if it cannot belong to it."""
        lines, first = self._lines, self._start.lines + 1
        if lines.row and lines.again:
            raise lines.error("a quote that is not closed in this line", first)
        if lines.row and lines.position.bytes - self._start.bytes > self._most:
            raise lines.error(f"a quote that is not closed within {self._most:,} bytes", first)
        return next(lines)

    def _miscounted(self, cells: Sequence[str]) -> str:
        advice = "quote cells with delimiters" if "strict" in self._form else "if cells are quoted, --input-format csv"
        return f"{len(cells)} cell{'s' * (len(cells) > 1)}, and the header has {len(self.columns)}: {advice}"


def delimiter_of(text: str, column: str) -> str:
    """Returns the delimiter of a table: the one by which the header has a column, or else the most columns."""
    headers = {delimiter: [cell.strip() for cell in header_of(text, delimiter)] for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: (column in headers[delimiter], len(headers[delimiter])))


def header_of(text: str, delimiter: str) -> list[str]:
    """Returns the cells of a table's first row; none if there is none."""
    with suppress(csv.Error, StopIteration):
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    return []
