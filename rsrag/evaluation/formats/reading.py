"""Records out of JSON and JSON lines, whatever their encoding says it is; with where each stands."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from ...errors import UsageError

# UTF-32's mark begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


_FENCED: Final = re.compile(r"```(?:json)?\s*([\[{].*?)\s*(?:```|\Z)", re.IGNORECASE | re.DOTALL)
_WRAPPED: Final = ("results", "data", "predictions", "records", "samples", "annotations")


def decode(data: bytes, name: str) -> str:
    """Text in the encoding of its byte-order mark, else UTF-8. Raises `UsageError` naming the line that is not."""
    encoding = next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not {encoding.removesuffix('-sig').upper()}.",
            "Save the file as UTF-8, or as UTF-16 with a byte-order mark.",
        ) from error


def parse(text: str) -> Any:
    """The value of JSON. Raises `ValueError` with a plain reason, also for NaN, infinity and endless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON: {error.msg}, column {error.colno}") from error
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"holds {constant}, which is no number that can be scored")


def records(path: Path) -> tuple[list[tuple[str, Any]], Any]:
    """(where, value or the `ValueError` it gave) of each record, and the whole of a file that is one JSON value.

    A JSON list holds records, and so do the lines of JSON lines; a record that is a text is read as JSON once more.
    Raises `UsageError` when the file cannot be read, is empty, or is neither.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).", "Check the path.") from error
    text = decode(data, path.name)
    if not text.strip():
        raise UsageError(f"{path} is empty.", "It should hold one JSON record per line, or a JSON list of records.")
    whole = None
    opening = text.lstrip()[0]
    if opening in "[{":
        try:
            whole = parse(text)
        except ValueError as error:
            as_lines = path.suffix.lower() in (".jsonl", ".ndjson") or "column" in str(error)
            if opening == "[" or not as_lines:
                raise UsageError(
                    f"{path.name} {_line_of(error)}.", "Correct it, or write one record per line."
                ) from error
    if whole is not None:
        found = _listed(whole)
        return [(f"{path.name}, record {n}", _again(value)) for n, value in enumerate(found, 1)], whole
    return list(_lines(text, path.name)), None


def _listed(whole: Any) -> list[Any]:
    """The records of a file that is one value: a list, a list under a name such as "results", or itself."""
    if isinstance(whole, dict):
        lists = [whole[key] for key in _WRAPPED if isinstance(whole.get(key), list)]
        if len(lists) == 1 and all(isinstance(each, dict | str) for each in lists[0]):
            return list(lists[0])
    return whole if isinstance(whole, list) else [whole]


def _line_of(error: ValueError) -> str:
    cause = error.__cause__
    return f"{error} of line {cause.lineno}" if isinstance(cause, json.JSONDecodeError) else str(error)


def _lines(text: str, name: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = _again(parse(line))
            except ValueError as error:
                value = error
            yield f"{name}:{number}", value


def _again(value: Any) -> Any:
    """A record written as a JSON text inside JSON."""
    if not isinstance(value, str):
        return value
    try:
        return parse(unfenced(value))
    except ValueError as error:
        return error


def unfenced(text: str) -> str:
    """JSON that a model wrote, without the code fence around it and what it said before and after."""
    text = text.strip()
    if text[:1] not in ("[", "{") and (match := _FENCED.search(text)):
        text = match[1]
    return text.strip()
