"""Caption datasets in the form of RSICD, UCM-Captions, Sydney-Captions and RSITMD: {"images": [{"filename", "split",
"sentences": [{"raw"}]}]}."""

from __future__ import annotations

from collections.abc import Iterator

from ..samples import Entry, Prediction, Sample
from .fields import Fields, answer_keys, first, text_of

QUESTION = "Describe this image in one sentence."


def matches(record: Fields) -> bool:
    return isinstance(record.get("sentences"), list)


def read(where: str, record: Fields) -> Iterator[Entry]:
    name = text_of(first(record, ("filename", "file_name", "image")), "filename")
    if not name:
        raise ValueError("names no image: it has no filename")
    sentences = []
    for given in record["sentences"]:
        raw = given.get("raw") if isinstance(given, dict) else given
        if raw is None and isinstance(given, dict) and isinstance(given.get("tokens"), list):
            raw = " ".join(map(str, given["tokens"]))
        if sentence := (text_of(raw, "a sentence") or "").strip():
            sentences.append(sentence)
    if not sentences:
        raise ValueError("has no sentence")
    prediction, _ = answer_keys(record, has_reference=True)
    text = text_of(record[prediction], prediction) if prediction else None
    yield Entry(
        where,
        Sample(
            id=name,
            task="caption",
            question=QUESTION,
            images=(name,),
            references=tuple(sentences),
            meta={"split": str(record.get("split") or "")},
        ),
        None if text is None else Prediction(text),
    )
