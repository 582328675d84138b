"""Our own JSON lines: one record per question with the keys of a `Sample` and of a `Prediction`.

{"id", "task", "question", "images", "reference" or "references", "labels", "options", "size",
 "prediction", "cited", "status" or "declined", "answerable", "confidence", "evidence": {"1": "..."} or ["..."],
 "relevant": [ids], "ranking": [ids], "paths": ["wide/narrow"], "item_paths": {id: ["wide/narrow"]}, "check": {...},
 "subjects": [of the evidence cited]}. All are optional; a file may hold only questions or only predictions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..samples import TASKS, Entry, Prediction, Sample
from .fields import Fields, answer_keys, first, images_of, number_of, said_of, task_of, text_of, texts_of
from .geobench import boxes_of, choice_of, options_of

_IDS = ("id", "question_id", "image_id", "filename", "file_name", "ID")
_IMAGES = ("images", "image", "image_name", "image_path", "file")


def matches(record: Fields) -> bool:
    return bool(record) and ("relevant" in record or "ranking" in record or any(answer_keys_of(record)))


def answer_keys_of(record: Fields) -> tuple[str, str]:
    try:
        return answer_keys(record, has_reference=False)
    except ValueError:
        return ("prediction", "reference")


def read(where: str, record: Fields) -> Iterator[Entry]:
    named = record.get("task")
    task = named if named in TASKS else task_of(named)
    prediction, reference = answer_keys(record, has_reference=False)
    if (
        reference in ("answer", "response", "caption")
        and not prediction
        and task not in TASKS
        and "question" not in record
    ):
        prediction, reference = reference, ""  # an id and an answer: nothing was asked here
    options = options_of(record)
    truth = record.get(reference) if reference else None
    paths, others = paths_of(record.get("paths"), "paths"), _item_paths(record.get("item_paths"))
    if "relevant" in record or others:
        task, references = "retrieve", texts_of(record.get("relevant"), "relevant")
        references = references or tuple(id for id, own in others.items() if not set(own).isdisjoint(paths))
    elif options and truth is not None:
        given = texts_of(truth, reference)
        task, references = "choice", (choice_of(None, given[0] if given else "", options),)
    elif task == "detect":
        references = (_wanted(truth),) if truth is not None else ()
    else:
        references = texts_of(truth, reference)
    if reference == "label" and not task:
        task = "classify"
    labels = record.get("labels")
    meta: dict[str, object] = {}
    if (answerable := record.get("answerable")) is not None:
        meta["answerable"] = _flag(answerable, "answerable")
    if isinstance(check := record.get("check"), dict):
        meta["check"] = check
    if (size := record.get("size")) is not None:
        meta["size"] = _size(size)
    if paths and others:
        meta |= {"paths": paths, "item_paths": others}
    ranking = texts_of(first(record, ("ranking", "retrieved")), "ranking")
    text = _said(record[prediction], prediction) if prediction else None
    declined = _declined(record)
    answered = text is not None or ranking or declined
    yield Entry(
        where,
        Sample(
            id=text_of(first(record, _IDS), "id") or "",
            task=task,  # type: ignore[arg-type]
            question=text_of(first(record, ("question", "prompt")), "question") or "",
            images=images_of(first(record, _IMAGES)),
            references=references,
            labels=texts_of(labels, "labels") if isinstance(labels, list) else (),
            options=options,
            meta=meta,
        ),
        Prediction(
            text=text or "",
            ranking=ranking,
            declined=declined,
            confidence=number_of(record.get("confidence"), "confidence"),
            evidence=_evidence(record.get("evidence")),
            cited=text_of(record.get("cited"), "cited") or "",
            subjects=texts_of(record.get("subjects"), "subjects"),
        )
        if answered
        else None,
    )


def record(sample: Sample, prediction: Prediction | None = None) -> dict[str, Any]:
    """A sample with its prediction as one of our own records, which `read` reads back as they are.

    What is empty or unknown is left out; other values of `meta` than size, answerable, check and label paths are
    not kept.
    """
    right = {"retrieve": "relevant", "choice": "reference", "detect": "reference"}.get(sample.task, "references")
    found: dict[str, Any] = {
        "id": sample.id,
        "task": sample.task,
        "question": sample.question,
        "images": list(sample.images),
        right: next(iter(sample.references), "") if right == "reference" else list(sample.references),
        "labels": list(sample.labels),
        "options": list(sample.options),
        "size": list(size) if isinstance(size := sample.meta.get("size"), tuple) else None,
    }
    found = {key: value for key, value in found.items() if value}
    found |= {key: sample.meta[key] for key in ("answerable", "check") if key in sample.meta}
    if isinstance(others := sample.meta.get("item_paths"), dict):
        found |= {"paths": _joined(sample.meta["paths"])}
        found |= {"item_paths": {id: _joined(paths) for id, paths in others.items()}}
    if prediction is not None:
        found["prediction"] = prediction.text
        given = {
            "cited": prediction.cited,
            "ranking": list(prediction.ranking),
            "evidence": dict(prediction.evidence),
            "subjects": list(prediction.subjects),
        }
        found |= {key: value for key, value in given.items() if value}
        judged = {"declined": prediction.declined, "confidence": prediction.confidence}
        found |= {key: value for key, value in judged.items() if value is not None}
    return found


def paths_of(value: object, key: str) -> tuple[tuple[str, ...], ...]:
    """Labels of a hierarchy, "transport/airport/runway" from the widest to the narrowest."""
    texts = texts_of(value, key)
    parts = (tuple(part.strip() for part in text.split("/") if part.strip()) for text in texts)
    return tuple(filter(None, parts))


def _item_paths(value: object) -> dict[str, tuple[tuple[str, ...], ...]]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("item_paths is no object of label paths by id")
    return {str(id): paths_of(paths, "item_paths") for id, paths in value.items()}


def _joined(paths: Any) -> list[str]:
    return ["/".join(path) for path in paths]


def _wanted(value: Any) -> str:
    found = boxes_of(value)
    if not found:
        raise ValueError(f"the right boxes are not understood: {str(value)[:40]}")
    return found


def _said(value: Any, key: str) -> str | None:
    """A prediction's text; boxes may be given as lists."""
    return (boxes_of(value) if isinstance(value, list) else "") or said_of(value, key)


def _declined(record: Fields) -> bool | None:
    if record.get("declined") is not None:
        return _flag(record["declined"], "declined")
    status = record.get("status")
    return None if status is None else str(status).lower() == "declined"


def _flag(value: object, key: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}; it should be true or false")
    return value


def _size(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(v) is int and v > 0 for v in value):
        return (value[0], value[1])
    raise ValueError(f"size is {value!r}; it should be [width, height] in pixels")


def _evidence(value: object) -> dict[str, str]:
    """Texts by their number; a list is numbered from 1; items may be `rsrag ask --json`'s, with number and text."""
    if value is None:
        return {}
    if isinstance(value, dict):
        return {str(number): text_of(text, "evidence") or "" for number, text in value.items()}
    if not isinstance(value, list):
        raise ValueError("evidence is neither a list of texts nor an object of them by number")
    found = {}
    for place, item in enumerate(value, 1):
        number, text = (item.get("number", place), item.get("text")) if isinstance(item, dict) else (place, item)
        found[str(number)] = text_of(text, "evidence") or ""
    return found
