"""CSV to Arrow, in the types of the fields that its columns are read for."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from textwrap import shorten

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tabular_bento.data.columns import ARROW_TYPES
from tabular_bento.data.hints import NOT_UTF8
from tabular_bento.data.tables import TableSchema
from tabular_bento.errors import SourceError
from tabular_bento.schema import Kind

_LONGEST_FAULT = 160
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
    thousands : str
        What separates groups of three digits; nothing by default.
    dates : str
        The order of day, month and year in dates that are not ISO 8601: `DMY`, `MDY` or `YMD`.
    trim : bool
        Whether spaces around a value are no part of it.

    Raises
    ------
    SourceError
        Where there is no such encoding, or another setting is none of those.
    """

    missing: tuple[str, ...] = MISSING
    decimal: str = "."
    encoding: str = "utf-8"
    thousands: str = ""
    dates: str = ""
    trim: bool = False

    def __post_init__(self) -> None:
        if self.decimal not in (".", ","):
            raise SourceError(f"decimal: {self.decimal!r} separates no fraction; it is '.' or ','")
        if self.thousands not in ("", *SEPARATORS) or self.thousands == self.decimal:
            known = ", ".join(repr(mark) for mark in SEPARATORS if mark != self.decimal)
            raise SourceError(f"thousands: {self.thousands!r} separates no digits here; it is one of {known}")
        if self.dates and self.dates not in ORDERS:
            raise SourceError(f"dates: {self.dates!r} is no order of a date; it is one of {', '.join(ORDERS)}")
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise SourceError(f"encoding: {self.encoding!r} is none that Python knows, such as windows-1252") from None

    def plain(self, column: pa.Array, kind: Kind) -> pa.Array:
        """Texts of a column, with numbers and times as Arrow reads them; any other text is left as it is."""
        if self.trim:
            column = pc.utf8_trim_whitespace(column)
            missing = pc.is_in(column, pa.array(self.missing, pa.string()))
            column = pc.if_else(missing, pa.scalar(None, pa.string()), column)
        if kind.is_numeric:
            if self.thousands:
                column = pc.if_else(_matches(column, self._grouped), _removed(column, self.thousands), column)
            if self.decimal == ",":
                column = pc.replace_substring_regex(column, r"^( *[+-]?\d*),(\d+ *)$", r"\1.\2")
        elif kind.is_time and self.dates:
            column = pc.replace_substring_regex(column, *_ISO[self.dates])
            for pattern, padded in _PADDED:
                column = pc.replace_substring_regex(column, pattern, padded)
        return column

    @property
    def _grouped(self) -> str:
        mark, decimal = re.escape(self.thousands), re.escape(self.decimal)
        return rf"^ *[+-]?\d{{1,3}}({mark}\d{{3}})+({decimal}\d+)? *$"


SEPARATORS = (",", ".", " ", "'", "\u00a0", "\u202f")
"""What may separate groups of three digits; the last two are spaces that do not break."""

_DAY, _MONTH, _YEAR = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])", r"(\d{4})"
_CLOCK = r"(?:,?([T ])(\d{1,2}:[\d:.]+(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?))?"
_MARK = "[./-]"
_ISO = {
    "DMY": (rf"^ *{_DAY}{_MARK}{_MONTH}{_MARK}{_YEAR}{_CLOCK} *$", r"\3-\2-\1\4\5"),
    "MDY": (rf"^ *{_MONTH}{_MARK}{_DAY}{_MARK}{_YEAR}{_CLOCK} *$", r"\3-\1-\2\4\5"),
    "YMD": (rf"^ *{_YEAR}{_MARK}{_MONTH}{_MARK}{_DAY}{_CLOCK} *$", r"\1-\2-\3\4\5"),
}
_PADDED = (
    (r"^(\d{4})-(\d)-(\d{1,2}(?:[T ]|$))", r"\1-0\2-\3"),
    (r"^(\d{4}-\d\d)-(\d)([T ]|$)", r"\1-0\2\3"),
    (r"^(\d{4}-\d\d-\d\d[T ])(\d:)", r"\10\2"),
)
"""Months, days and hours of one digit."""

ORDERS = tuple(_ISO)
"""How a date may be written that is not ISO 8601, by its day, month and year."""

PLAIN = CsvFormat()
"""UTF-8 with decimal points and times in ISO 8601."""

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
    parser = _Parser(content, delimiter, written, {field.name: field.kind for field in schema.fields})
    sound = not repeated and len(types) == len({field.name for field in schema.fields})
    if sound:
        with suppress(pa.ArrowInvalid):
            return parser.parse(types, list(types))
    try:
        return parser.parse(dict.fromkeys(types, pa.string()), list(types) if sound else [])
    except pa.ArrowInvalid as error:
        check_utf8(content)
        raise ValueError(parser.explained(error)) from error


def parse_fault(error: pa.ArrowInvalid) -> str:
    """What Arrow says of a CSV file that it cannot parse, in one line, and what is mostly the cause."""
    text = shorten(str(error).removeprefix("CSV parse error: "), _LONGEST_FAULT, placeholder=" ...")
    if not text.startswith("Row #"):
        return text
    return f"{text}. The header is row 1. A value that holds a separator or a line break stands in quotation marks."


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

    def __init__(self, content: bytes, delimiter: str, written: CsvFormat, kinds: Mapping[str, Kind]) -> None:
        self._written = written
        self._kinds = kinds
        self._content = content if b"\n" in content else content + b"\n"
        self._format = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in content)
        header = content.find(b"\n") + 1
        self._block = max(_BLOCK, _LINES_A_BLOCK * header)

    def parse(self, types: dict[str, pa.DataType], columns: list[str], threads: bool = True) -> pa.Table:
        """The columns of those names in those types; all of them, in types that Arrow infers, where none is named.

        What Arrow cannot read as it is written is read as text first.
        """
        rewritten = {name: kind for name, read in types.items() if self._is_rewritten(kind := self._kinds[name], read)}
        convert = pa.csv.ConvertOptions(
            column_types={**types, **dict.fromkeys(rewritten, pa.string())},
            include_columns=columns,
            null_values=list(self._written.missing),
            strings_can_be_null=True,
            decimal_point=self._written.decimal,
        )
        try:
            table = self._read(convert, self._block, threads)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                raise
            table = self._read(convert, len(self._content) + 1, threads)
        for name, kind in rewritten.items():
            texts = self._written.plain(table[name], kind)
            if types[name] != pa.string():
                texts = pc.utf8_trim_whitespace(texts).cast(types[name])
            table = table.set_column(table.column_names.index(name), name, texts)
        return table

    def _is_rewritten(self, kind: Kind, read: pa.DataType) -> bool:
        written = self._written
        as_text = written.thousands or (written.decimal == "," and read == pa.string())
        return bool(written.trim or (kind.is_numeric and as_text) or (kind.is_time and written.dates))

    def explained(self, error: pa.ArrowInvalid) -> str:
        """What is wrong, with the number of the row, which is known where one thread reads."""
        try:
            self.parse({}, [], threads=False)
        except pa.ArrowInvalid as other:
            error = other
        return parse_fault(error)

    def _read(self, convert: pa.csv.ConvertOptions, block: int, threads: bool) -> pa.Table:
        options = pa.csv.ReadOptions(block_size=min(block, (1 << 31) - 1), use_threads=threads)
        return pa.csv.read_csv(reader(self._content), options, self._format, convert)


def _matches(column: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(column, pattern)


def _removed(column: pa.Array, text: str) -> pa.Array:
    return pc.replace_substring(column, text, "")
