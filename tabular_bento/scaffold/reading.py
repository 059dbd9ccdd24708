"""Reading a table that nothing is known of, batch by batch: a CSV or Parquet file, a folder of them, or a query."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tabular_bento.data.csv_files import DELIMITERS, PLAIN, SEPARATORS, CsvFormat, parse_fault
from tabular_bento.data.database import VARIABLE, clean, database
from tabular_bento.data.raw import open_uri
from tabular_bento.data.storage import RemoteFile, driver_of, failure
from tabular_bento.data.uris import DATABASES, check_uri, shown
from tabular_bento.errors import SourceError
from tabular_bento.scaffold.locking import is_locked
from tabular_bento.schema import Kind

CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".tsv", ".txt")
SUFFIXES = (*CSV_SUFFIXES, ".parquet")
_HEAD, _CHUNK = 64 << 10, 1 << 20
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_DATE = re.compile(r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})(?![\d.])")
_QUERY = re.compile(r"(\s|\(|--[^\n]*\n|/\*(?:(?!\*/).)*\*/)*(select|with)\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class TableInput:
    """Where a table is.

    Parameters
    ----------
    location : str
        A path, a URI, or the text of a query.
    query : bool
        Whether it is a query.
    delimiter : str
        What separates the values of a CSV file.
    written : CsvFormat
        How a CSV file writes them.
    """

    location: str
    query: bool = False
    delimiter: str = ","
    written: CsvFormat = PLAIN

    @classmethod
    def of(cls, text: str) -> TableInput:
        """The table that `--from` names: a query begins with SELECT or WITH, or is in a file that ends with `.sql`.

        Comments may stand before it.

        Raises
        ------
        SourceError
            Where there is no such file, or it is of another format.
        """
        if text.endswith(".sql") and "://" not in text:
            path, text = text, _text_of(Path(text))
            if not _QUERY.match(text):
                raise SourceError(f"{path}: the file holds no query. A query begins with SELECT or WITH.")
        if _QUERY.match(text):
            return cls(clean(text), query=True)
        if text.partition("://")[0] in (*DATABASES, "sqlite"):
            raise SourceError(
                f"{shown(text)} is a database: give a query to --from, and name the database by the "
                f"environment variable {VARIABLE}."
            )
        check_uri(text)
        table = cls(text if "://" in text else str(Path(text).expanduser().absolute()))
        if not table.is_csv:
            return table
        with table._reporting():
            encoding, head = table._decoded()
        if not head.strip():
            raise SourceError(f"{text}: the file is empty.")
        if "\0" in head:
            raise SourceError(f"{text}: the file is no text, whatever its name says.")
        delimiter = _delimiter(head)
        rows = list(csv.reader(_whole_lines(head), delimiter=delimiter))
        values = [value.strip() for row in rows for value in row]
        decimal = _decimal(values)
        written = CsvFormat(
            decimal=decimal,
            encoding=encoding,
            thousands=_thousands(values, decimal),
            dates=_dates(values),
            trim=_is_padded(rows),
        )
        return cls(table.location, delimiter=delimiter, written=written)

    @property
    def is_csv(self) -> bool:
        """Whether its values are texts, whose kinds are to be found out."""
        return not self.query and self.location.lower().endswith(CSV_SUFFIXES)

    @property
    def path(self) -> Path | None:
        """The file or folder, where it is one of this machine."""
        return None if self.query or "://" in self.location else Path(self.location)

    @property
    def driver(self) -> str | None:
        """The package that opens it, where that is not one of every project."""
        return None if self.query else driver_of(self.location)

    @contextmanager
    def batches(self) -> Iterator[Iterator[pa.RecordBatch]]:
        """The rows, in batches; only one is held at a time.

        Raises
        ------
        SourceError
            Where the table cannot be read, has no columns, or has two of one name.
        """
        with self._reporting():
            if self.query:
                with database().reading() as session:
                    yield _named_alike(session.batches(self.location), "the query")
            elif self.is_csv:
                names = self._header()
                check_names(names, self.location)
                with self._csv() as file:
                    yield self._csv_batches(file, names)
            else:
                yield self._parquet_batches()

    def remarks(self) -> list[str]:
        """What was guessed of how a file is written, for a reader to look at."""
        found = []
        if self.written.encoding != PLAIN.encoding:
            words = self._foreign_words()
            example = f"; see whether {', '.join(map(repr, words))} {'is' if len(words) == 1 else 'are'} right"
            found.append(
                f"The text is not UTF-8, and is read as {self.written.encoding}{example if words else ''}. "
                "`encoding` in training/source.py names another."
            )
        if self.written.decimal != PLAIN.decimal:
            found.append("Numbers have a decimal comma. Requests are JSON, in which they have a point.")
        if mark := self.written.thousands:
            found.append(f"Groups of three digits are separated by {mark!r}. Requests are JSON, in which they are not.")
        if self.written.trim:
            found.append("Each value has a space before it, which is no part of it. Requests hold values without.")
        if order := self.written.dates:
            words = [{"D": "day", "M": "month", "Y": "year"}[letter] for letter in order]
            found.append(
                f"Dates are read as {words[0]}, {words[1]}, {words[2]}. Requests hold them in ISO 8601, such as "
                "2024-05-17. `dates` in training/source.py names another order."
            )
        if self.driver and not is_locked(self.driver):
            protocol = self.location.partition("://")[0]
            found.append(
                f"requirements.txt does not hold {self.driver}, which opens {protocol}://: add it, by version and hash."
            )
        return found

    def _foreign_words(self) -> list[str]:
        """Some words that are spelt otherwise in another encoding."""
        with self._csv() as file:
            text = file.read(_HEAD).decode(self.written.encoding, errors="replace")
        words = (word for word in re.findall(r"\w+", text) if not word.isascii())
        return list(islice(dict.fromkeys(words), 3))

    def _decoded(self) -> tuple[str, str]:
        """The encoding of a CSV file, and the beginning of its text.

        What is not UTF-8 is taken for Windows-1252 if it can be, which holds all texts of Latin-1.
        """
        with self._csv() as file:
            head = file.read(_HEAD)
        candidates = ["utf-16"] if head.startswith(_UTF16_MARKS) else ["utf-8", "windows-1252"]
        for number, encoding in enumerate(candidates, start=1):
            try:
                with self._csv() as file:
                    for _ in codecs.iterdecode(iter(partial(file.read, _CHUNK), b""), encoding):
                        pass
            except UnicodeDecodeError:
                if number == len(candidates):
                    raise
            else:
                break
        return encoding, codecs.getincrementaldecoder(encoding)().decode(head).removeprefix("\ufeff")

    @contextmanager
    def _reporting(self, path: str = "") -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, UnicodeError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile) as error:
            raise SourceError(_unreadable(path or self.location, error)) from error

    @contextmanager
    def _csv(self) -> Iterator[Any]:
        """The bytes of a CSV file, unpacked."""
        with self._open(self.location) as file:
            lower = self.location.lower()
            if lower.endswith(".gz"):
                with gzip.open(file) as unpacked:
                    yield unpacked
            elif lower.endswith(".zip"):
                with zipfile.ZipFile(file) as archive:
                    names = [name for name in archive.namelist() if name.lower().endswith(CSV_SUFFIXES)]
                    if len(names) != 1:
                        raise SourceError(f"{self.location}: the archive holds {len(names)} CSV files; give it one.")
                    with archive.open(names[0]) as unpacked:
                        yield unpacked
            else:
                yield file

    def _csv_batches(self, file: Any, names: list[str]) -> Iterator[pa.RecordBatch]:
        convert = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        options = pa.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)
        encoding = self.written.encoding
        read = pa.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False, encoding=encoding)
        try:
            reader = pa.csv.open_csv(file, read_options=read, convert_options=convert, parse_options=options)
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            raise
        with reader:
            yield from map(self._plain, reader)

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Texts of a CSV file, with numbers and times as all other readers expect them."""
        columns = batch.columns
        for kind in (Kind.NUMBER, Kind.LOCAL_TIME):
            columns = [self.written.plain(column, kind) for column in columns]
        return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def _header(self) -> list[str]:
        with self._csv() as file:
            encoding = "utf-8-sig" if self.written.encoding == "utf-8" else self.written.encoding
            text = io.TextIOWrapper(file, encoding=encoding, newline="")
            return next(csv.reader(text, delimiter=self.delimiter), [])

    def _parquet_batches(self) -> Iterator[pa.RecordBatch]:
        for path in self._files():
            with self._reporting(path), self._open(path) as file, pa.parquet.ParquetFile(file) as table:
                check_names(table.schema_arrow.names, path)
                yield from table.iter_batches()

    def _files(self) -> list[str]:
        system, root = open_uri(self.location)
        try:
            if not system.isdir(root):
                files = [root]
            else:
                files = sorted(path for path in system.find(root) if path.endswith(".parquet"))
        except Exception as error:  # each driver has errors of its own
            raise SourceError(f"{failure(self.location, error, 'it cannot be listed')}.") from error
        if not files or not files[0].endswith(".parquet"):
            raise SourceError(f"{self.location}: it ends with none of {', '.join(SUFFIXES)}, so its format is unknown.")
        return [str(system.unstrip_protocol(path)) if "://" in self.location else path for path in files]

    @contextmanager
    def _open(self, location: str) -> Iterator[Any]:
        system, path = open_uri(location)
        try:
            file = system.open(path, "rb")
        except Exception as error:  # each driver has errors of its own
            raise SourceError(f"{failure(location, error, 'it cannot be opened')}.") from error
        if "://" in location:
            file = RemoteFile(location, file)
        with file as opened:
            yield opened


def check_names(names: list[str], where: str) -> None:
    """Refuse a table without columns, or with two of one name.

    Raises
    ------
    SourceError
        Naming the columns.
    """
    if not names:
        raise SourceError(f"{where}: the table has no columns.")
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        shown = ", ".join(f"{name!r} ({names.count(name)} times)" for name in repeated[:5])
        raise SourceError(f"{where}: columns have the same name: {shown}. Rename or drop all but one of each.")


def _unreadable(location: str, error: Exception) -> str:
    text = str(error)
    if isinstance(error, UnicodeDecodeError) or "UTF8" in text or "utf-8" in text:
        name = Path(location).name
        return (
            f"{location}: the text is not UTF-8. Convert it first, for example with "
            f"`iconv -f WINDOWS-1252 -t UTF-8 {name} > utf8-{name}`."
        )
    return f"{location}: the table cannot be read: {parse_fault(error)}"


def _named_alike(batches: Iterator[pa.RecordBatch], where: str) -> Iterator[pa.RecordBatch]:
    for number, batch in enumerate(batches):
        if not number:
            check_names(batch.schema.names, where)
        yield batch


def _decimal(values: list[str]) -> str:
    """What separates the digits of fractions: a comma, where more of the first values have one than a point.

    A comma before three digits may separate thousands, so it is none that counts, and nor does such a point.
    """
    commas = sum(bool(re.fullmatch(r"-?(\d+|\d{1,3}(\.\d{3})+),(\d{1,2}|\d{4,})", value)) for value in values)
    points = sum(bool(re.fullmatch(r"-?(\d+|\d{1,3}(,\d{3})+)\.\d+", value)) for value in values)
    return "," if commas > points else "."


def _thousands(values: list[str], decimal: str) -> str:
    """What separates groups of three digits: what does so beyond doubt in a value, by two groups or a fraction."""
    for mark in SEPARATORS:
        group, fraction = rf"{re.escape(mark)}\d{{3}}", rf"{re.escape(decimal)}\d+"
        certain = re.compile(rf"-?\d{{1,3}}(({group}){{2,}}({fraction})?|{group}{fraction})")
        if mark != decimal and any(map(certain.fullmatch, values)):
            return mark
    return ""


def _is_padded(rows: list[list[str]]) -> bool:
    """Whether all values but the first of each of the first rows have a space before them."""
    later = [value for row in rows for value in row[1:]]
    return bool(later) and all(value[:1] == " " for value in later)


def _dates(values: list[str]) -> str:
    """The order of a date that is not ISO 8601, where the first values leave no doubt of it.

    A number above 12 is no month; with points the day comes first everywhere.
    """
    orders = set()
    for match in filter(None, map(_DATE.match, values)):
        first, mark, second, third = match.groups()
        if len(first) == 4 and len(third) <= 2:
            orders |= {"YMD"} if mark != "-" or len(second) + len(third) < 4 else set()
        elif len(third) == 4 and len(first) <= 2:
            day_first, month_first = int(first) > 12 or mark == ".", int(second) > 12
            orders |= {"DMY"} if day_first else {"MDY"} if month_first else set()
    return orders.pop() if len(orders) == 1 else ""


def _whole_lines(head: str) -> list[str]:
    lines = head.splitlines()
    return lines[:-1] if len(lines) > 1 and len(head.encode()) >= _HEAD - 4 else lines


def _delimiter(head: str) -> str:
    """The one of `DELIMITERS` that cuts the first lines into the most columns, as many in each."""
    lines = _whole_lines(head)[:20]

    def columns(delimiter: str) -> int:
        counts = {len(row) for row in csv.reader(lines, delimiter=delimiter) if row}
        return counts.pop() if len(counts) == 1 else 1

    return max(DELIMITERS, key=columns)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: the query cannot be read: {error}") from error
