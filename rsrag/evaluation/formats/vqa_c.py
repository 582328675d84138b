"""RS-RAG's vqa_c: one record per image with many questions.

{"image_name": "...", "gpt_output": [{"question", "answer"}]} or {"ID", "Name", "qa_pairs": [...]}; records, lists and
pairs may each be written as a JSON text, in a code fence or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..samples import Entry, Prediction, Sample
from .fields import Fields, answer_keys, first, said_of, text_of
from .reading import parse, unfenced

_PAIRS = ("qa_pairs", "gpt_output")


def matches(record: Fields) -> bool:
    return any(key in record for key in _PAIRS)


def read(where: str, record: Fields) -> Iterator[Entry]:
    pairs = _unpacked(first(record, _PAIRS))
    if isinstance(pairs, dict):  # {"qa_pairs": [...]} once more
        pairs = _unpacked(first(pairs, (*_PAIRS, "questions")))
    if not isinstance(pairs, list):
        raise ValueError("its questions are no list")
    names = [text for key in ("image_name", "Name", "ID") if (text := text_of(record.get(key), key))]
    if not names:
        raise ValueError("names no image: it has neither image_name nor Name nor ID")
    number = text_of(record.get("ID"), "ID") or names[0]
    for ordinal, given in enumerate(pairs):
        pair = _unpacked(given)
        if not isinstance(pair, dict) or "question" not in pair:
            raise ValueError(f"its question {ordinal + 1} is not {{question, answer}}")
        prediction, reference = answer_keys(pair, has_reference=False)
        answer = text_of(pair[reference], reference) if reference else None
        text = said_of(pair[prediction], prediction) if prediction else None
        yield Entry(
            where,
            Sample(
                id=f"{number}/{ordinal}",
                task="vqa",
                question=text_of(pair["question"], "question") or "",
                images=(names[0],),
                references=(answer,) if answer else (),
            ),
            None if text is None else Prediction(text),
        )


def _unpacked(value: Any) -> Any:
    return parse(unfenced(value)) if isinstance(value, str) else value
