"""CSV to Arrow, in the types of the fields that its columns are read for."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from tabular_bento.data.columns import ARROW_TYPES
from tabular_bento.data.hints import NOT_UTF8
from tabular_bento.data.tables import TableSchema
from tabular_bento.errors import SourceError

MISSING = ("", "NA")
"""How a CSV file writes a missing value."""


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file writes its values.

    Parameters
    ----------
    missing : tuple of str
        Texts that stand for a missing value.
    decimal : str
        What separates the digits of a fraction, `.` or `,`.
    encoding : str
        The encoding of its text, by a name that Python knows.

    Raises
    ------
    SourceError
        Where there is no such encoding, or `decimal` is another.
    """

    missing: tuple[str, ...] = MISSING
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise SourceError(f"decimal: {self.decimal!r} separates no fraction; it is '.' or ','")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise SourceError(f"encoding: {self.encoding!r} is none that Python knows, such as windows-1252") from None


PLAIN = CsvFormat()
"""UTF-8 with decimal points."""

DELIMITERS = ",;\t|"
"""What may separate columns; the one that gives the most declared names is taken, the first of those that are equal."""

_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_BLOCK = 1 << 20
_LINES_A_BLOCK = 64


def read_csv(content: bytes, schema: TableSchema, written: CsvFormat = PLAIN) -> pa.Table:
    """The columns of a schema that a CSV file has.

    Where a value does not fit its column's type they are read as text, so that `check_table` can name the column and
    the rows; where a column is missing or repeated all are read, so that a message can name those that there are.

    Parameters
    ----------
    content : bytes
        The file, with a header.
    schema : TableSchema
        The columns.
    written : CsvFormat
        How its values are written.

    Raises
    ------
    ValueError
        For what is no such file; the message names the line.
    """
    if written.encoding != "utf-8":
        content = content.decode(written.encoding).encode()
    names, delimiter = _header(content, schema)
    times = Counter(names)
    types = {field.name: ARROW_TYPES[field.kind] for field in schema.fields if field.name in times}
    repeated = any(times[name] > 1 for name in types)
    parser = _Parser(content, delimiter, written)
    sound = not repeated and len(types) == len({field.name for field in schema.fields})
    if sound:
        with suppress(pa.ArrowInvalid):
            return parser.parse(types, list(types))
    try:
        return parser.parse(dict.fromkeys(types, pa.string()), list(types) if sound else [])
    except pa.ArrowInvalid as error:
        check_utf8(content)
        raise ValueError(parser.explained(error)) from error


def reader(content: bytes) -> pa.BufferReader:
    """A reader of a copy that Arrow owns.

    Arrow's threads may let go of what they read after the call has returned. If that is memory of Python's, and the
    interpreter is at its end, the process aborts: `PyBuffer` waits for a lock that is no longer given.
    """
    sink = pa.BufferOutputStream()
    sink.write(content)
    return pa.BufferReader(sink.getvalue())


def check_utf8(content: bytes) -> None:
    """Check that a file is text in UTF-8.

    Raises
    ------
    ValueError
        With the line and the byte of the first that is not.
    """
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        place = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        raise ValueError(
            f"line {line}, byte {place} of it, is 0x{content[error.start]:02X}, which is not UTF-8. {NOT_UTF8}"
        ) from None


def _header(content: bytes, schema: TableSchema) -> tuple[list[str], str]:
    """The columns of a file, and what separates them."""
    if content.startswith(_UTF16_MARKS):
        raise ValueError(f"the file is UTF-16. {NOT_UTF8.replace('WINDOWS-1252', 'UTF-16')}")
    text = content[: _BLOCK * 4].removeprefix(_UTF8_MARK)
    try:
        head = text.decode("utf-8", errors="ignore" if len(text) < len(content) else "strict")
    except UnicodeDecodeError:
        head = text.decode("utf-8", errors="replace")
    wanted = {field.name for field in schema.fields}
    found = [(_first_record(head, delimiter), delimiter) for delimiter in DELIMITERS]
    if not found[0][0]:
        raise ValueError("the file is empty, without a header")
    names, delimiter = max(found, key=lambda item: len(wanted.intersection(item[0])))
    if any("\ufffd" in name for name in names):
        check_utf8(content)
    return names, delimiter


def _first_record(head: str, delimiter: str) -> list[str]:
    try:
        return next((record for record in csv.reader(io.StringIO(head), delimiter=delimiter) if record), [])
    except csv.Error as error:
        raise ValueError(f"the header cannot be read: {error}") from error


class _Parser:
    """Arrow's parser of one file."""

    def __init__(self, content: bytes, delimiter: str, written: CsvFormat) -> None:
        self._written = written
        self._content = content if b"\n" in content else content + b"\n"
        self._format = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in content)
        header = content.find(b"\n") + 1
        self._block = max(_BLOCK, _LINES_A_BLOCK * header)

    def parse(self, types: dict[str, pa.DataType], columns: list[str], threads: bool = True) -> pa.Table:
        """The columns of those names in those types; all of them, in types that Arrow infers, where none is named."""
        convert = pa.csv.ConvertOptions(
            column_types=types,
            include_columns=columns,
            null_values=list(self._written.missing),
            strings_can_be_null=True,
            decimal_point=self._written.decimal,
        )
        try:
            return self._read(convert, self._block, threads)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
            return self._read(convert, len(self._content) + 1, threads)

    def explained(self, error: pa.ArrowInvalid) -> str:
        """What is wrong, with the number of the row, which is known where one thread reads."""
        try:
            self.parse({}, [], threads=False)
        except pa.ArrowInvalid as other:
            error = other
        return str(error).removeprefix("CSV parse error: ")

    def _read(self, convert: pa.csv.ConvertOptions, block: int, threads: bool) -> pa.Table:
        options = pa.csv.ReadOptions(block_size=min(block, (1 << 31) - 1), use_threads=threads)
        return pa.csv.read_csv(reader(self._content), options, self._format, convert)
