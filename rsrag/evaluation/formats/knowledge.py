"""RSWK's knowledge records as a task: which category each landmark has. As knowledge they are the source `rswk`."""

from __future__ import annotations

from collections.abc import Iterator

from ..samples import Entry, Sample
from .fields import Fields, text_of


def matches(record: Fields) -> bool:
    return "world knowledge" in record or "remote sensing expert knowledge" in record


def read(where: str, record: Fields) -> Iterator[Entry]:
    known = record.get("world knowledge") or {}
    if not isinstance(known, dict):
        raise ValueError("its world knowledge is no object")
    category = text_of(known.get("Category"), "Category")
    image = text_of(record.get("image_name"), "image_name")
    if not category:
        raise ValueError("gives no Category")
    yield Entry(
        where,
        Sample(
            id=text_of(record.get("ID"), "ID") or "",
            task="classify",
            question="Which category of landmark is this?",
            images=(image,) if image else (),
            references=(category,),
        ),
    )
