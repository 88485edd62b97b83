"""Reads tables: CSV (RFC 4180), and tab-separated values."""

import csv
import io
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from service.commands.annotate.rows import (
    LONGEST_LINE,
    TEXT_COLUMN,
    InputOptions,
    Lines,
    Row,
    UnreadableInput,
    name_taken,
    text_row,
)

DELIMITERS = ",;\t"


class Table:
    """A table whose header has been read.

    Attributes:
        columns: their names.
    """

    def __init__(self, lines: Lines, kind: Literal["csv", "tsv"], head: str, options: InputOptions) -> None:
        """Reads the header. `head` is the beginning of the content.

        Cells of CSV may be quoted, and its delimiter is one of DELIMITERS. In tab-separated values, quotes have no
        meaning. Raises UnreadableInput if there is no text column, or if a column has a name of the result.
        """
        csv.field_size_limit(LONGEST_LINE)
        column = options.text_column or TEXT_COLUMN
        self._lines, self._options = lines, options
        self._form: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
        if kind == "csv":
            self._form = {"delimiter": delimiter_of(head, column), "strict": True}
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
        self._records = csv.reader(lines, **self._form)

    def read(self, longest: int) -> Row:
        """Reads a record; returns a row without cells for a blank line. Raises StopIteration, and BadRow."""
        line = self._lines.position.lines + 1
        try:
            cells = next(self._records)
        except csv.Error as error:
            right = 'put cells with delimiters, quotes or line ends in double quotes, and write a quote in them as ""'
            raise self._lines.error(f"{error}: {right}", line) from None
        if cells and len(cells) != len(self.columns):
            raise self._lines.error(self._miscounted(cells), line)
        return text_row(self._lines, line, cells[self._place] if cells else "", self._options, longest, cells)

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
