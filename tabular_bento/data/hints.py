"""What to do about a value that is not as its kind is written."""

from __future__ import annotations

import re

import pyarrow as pa

from tabular_bento.schema import Kind

NOT_UTF8 = "Write the table as UTF-8, such as with `iconv -f WINDOWS-1252 -t UTF-8`"

_NOT_ISO = re.compile(r"\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})\b")
_OFFSET = re.compile(r"\d(?:Z|[+-]\d{2}:?\d{2})$")
_HAS_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d")
_LOCAL = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+)?$")
_COMMA = re.compile(r"\s*[+-]?\d+,\d+$")


def hint_of_text(kind: Kind, text: str) -> str:
    """How a text that cannot be read should have been written; empty where nothing better is known than the message."""
    if kind.is_time:
        return _hint_of_time(kind, text)
    if kind.is_numeric and _COMMA.match(text):
        return f"Numbers have a decimal point: {text.strip().replace(',', '.')}"
    if kind is Kind.BOOLEAN:
        return "Booleans are written as true and false, or as 1 and 0"
    return ""


def hint_of_type(kind: Kind, found: pa.DataType) -> str:
    """What to do about a column of a type that is not that of its field."""
    if pa.types.is_timestamp(found) and kind is Kind.LOCAL_TIME:
        return "The column has a time zone: declare the field as an instant, or convert it to the clock of the place"
    if pa.types.is_timestamp(found) and kind is Kind.INSTANT:
        return "The column has no time zone: declare the field as a local time, or say which zone it is in"
    if pa.types.is_integer(found) and kind is Kind.INSTANT:
        return "If they are seconds or milliseconds since 1970, give `epochs` to the source of the table"
    if pa.types.is_binary(found):
        return "The column holds bytes"
    return ""


def _hint_of_time(kind: Kind, text: str) -> str:
    found = _NOT_ISO.match(text)
    if found:
        first, second = int(found[1]), int(found[2])
        if first > 12:
            what = "this one has the day first"
        elif second > 12:
            what = "this one has the month first"
        else:
            what = "of this one it is not known which is the day"
        return f"Dates are read in ISO 8601, such as 2024-03-31; {what}. Convert the column"
    if kind is Kind.INSTANT and _LOCAL.match(text):
        return f"An instant has an offset, such as {text}Z; without one, declare the field as a local time"
    if kind is Kind.LOCAL_TIME and _OFFSET.search(text):
        return "A local time has no offset: declare the field as an instant, or leave the offset out"
    if kind is Kind.DATE and _HAS_TIME.match(text):
        return "A date has no time of day: declare the field as a local time, or leave it out"
    return "Times are read in ISO 8601, such as 2024-03-31 or 2024-03-31T17:45:00"
