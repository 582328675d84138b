"""The contract of sources: valid records, the same on every pass, and one bad file costs itself only."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rsrag import BBox, KnowledgeBase, Plugins, Record, RsragError, open_scene
from rsrag.interfaces import Source

from ..encoders import FakeEncoder
from .base import ComponentContract


class SourceContract(ComponentContract):
    """Override `component` with a source over a few real records, and `damaged` where its input can be bad."""

    protocol = Source

    @pytest.fixture
    def damaged(self) -> Any:
        """A source of the same kind over good input with one item that cannot be read."""
        pytest.skip("override the fixture `damaged(self)`: a source over good input plus one unreadable item")

    @pytest.fixture
    def records(self, component: Any) -> list[Record]:
        found = list(component.records())
        assert found, "records() yielded nothing; let `component` return a source over at least one record."
        return found

    def test_it_yields_records(self, records: list[Record]) -> None:
        strange = [type(r).__name__ for r in records if not isinstance(r, Record)]
        assert not strange, f"records() yielded {strange[0]}; yield rsrag.Record."

    def test_every_record_is_complete(self, records: list[Record]) -> None:
        for record in records:
            for field in ("id", "subject", "title"):
                value = getattr(record, field)
                assert isinstance(value, str) and value.strip(), f"record {record.id!r} has no {field}; set it."
            text = record.text.strip() or any(s.text.strip() for s in record.sections)
            assert text or record.images or record.facts, (
                f"record {record.id!r} has neither text nor image nor fact; leave it out and say so in `problems`."
            )

    def test_every_value_can_be_stored(self, records: list[Record]) -> None:
        for record in records:
            where = f"record {record.id!r}"
            for fact in record.facts:
                assert isinstance(fact.value, str | int | float) and fact.value == fact.value, (
                    f"{where}: fact {fact.attribute!r} has the value {fact.value!r}; give a number or a text."
                )
            for key, value in record.facets.items():
                good = isinstance(value, str | int | float | bool) or (
                    isinstance(value, tuple) and all(isinstance(v, str) for v in value)
                )
                assert good, f"{where}: facet {key!r} is {value!r}; give a text, a number, a bool or a tuple of texts."
            assert record.bbox is None or isinstance(record.bbox, BBox), (
                f"{where}: bbox is {record.bbox!r}; give rsrag.BBox(west, south, east, north) in degrees."
            )
            assert record.acquired is None or record.acquired.tzinfo is not None, (
                f"{where}: acquired {record.acquired} has no time zone; give an aware datetime (tzinfo=UTC)."
            )
            for text in (record.title, record.text, *(s.text for s in record.sections)):
                assert text.isascii() or text.encode(errors="ignore").decode() == text, (
                    f"{where}: {text[:40]!a} holds half a character; replace what cannot be encoded as UTF-8."
                )

    def test_ids_are_unique(self, records: list[Record]) -> None:
        twice = [id for id, count in Counter(r.id for r in records).items() if count > 1]
        assert not twice, f"the id {twice[0]!r} was yielded more than once; an id names one record of its source."

    def test_two_passes_are_the_same(self, component: Any, records: list[Record]) -> None:
        again = list(component.records())
        assert again, "the second records() yielded nothing; start from the beginning at every call."
        assert [r.id for r in again] == [r.id for r in records], (
            "the ids differ between two passes; derive an id from the input (a key, a path), not from a counter of "
            "the object's life, a time or a random number."
        )
        changed = [a.id for a, b in zip(records, again, strict=True) if a != b]
        assert not changed, f"record {changed[0]!r} differs between two passes over unchanged input."

    def test_another_instance_gives_the_same_ids(self, twin: Any, records: list[Record]) -> None:
        assert [r.id for r in twin.records()] == [r.id for r in records], (
            "another instance with the same options gives other ids; a store would take every record for a new one."
        )

    def test_images_can_be_opened_or_are_reported(self, component: Any, records: list[Record]) -> None:
        root = Path(getattr(component, "root", "") or ".")
        reported = " ".join(f"{where} {why}" for where, why in getattr(component, "problems", ()))
        for record in records:
            for image in record.images:
                assert "://" in image or not Path(image).is_absolute() or not getattr(component, "root", ""), (
                    f"record {record.id!r}: image {image!r} is absolute; give it relative to `root`."
                )
                try:
                    open_scene(image if "://" in image else root / image, Plugins())
                except RsragError as error:
                    assert image in reported, (
                        f"record {record.id!r}: image {image!r} cannot be opened ({error.message}); leave it out and "
                        "append (image, why) to `problems`."
                    )

    def test_its_role_is_known(self, component: Any) -> None:
        role = getattr(component, "role", "mine")
        assert role in ("reference", "mine"), f'`role` is {role!r}; it is "reference" or "mine".'

    def test_its_problems_are_pairs(self, component: Any, records: list[Record]) -> None:
        for problem in getattr(component, "problems", ()):
            good = isinstance(problem, tuple) and len(problem) == 2 and all(isinstance(p, str) for p in problem)
            assert good, f"`problems` holds {problem!r}; append pairs of texts, (where, why)."

    def test_its_length_is_about_right(self, component: Any, records: list[Record]) -> None:
        if not hasattr(component, "__len__"):
            return
        left = len(records) + len(getattr(component, "problems", ()))
        assert len(records) <= len(component) <= left, (
            f"len() is {len(component)} and {len(records)} records came; count what may become a record."
        )

    def test_adding_it_twice_changes_nothing(self, component: Any, twin: Any, tmp_path: Path) -> None:
        encoder: Any = FakeEncoder()
        with KnowledgeBase(tmp_path / "contract-kb", encoder, plugins=Plugins()) as kb:
            first = kb.add(component, source="contract")
            assert first.added, f"nothing was stored: {first.failed or 'records() yielded nothing'}."
            lost = [p for p in first.failed if p not in set(getattr(component, "problems", ()))]
            assert not lost, f"{lost[0][0]} was refused by the store: {lost[0][1]}"
            second = kb.add(twin, source="contract")
        assert (second.added, second.updated) == (0, 0), (
            f"adding the same input again stored {second.added} new and {second.updated} changed records; keep `id` "
            "and `version` the same for unchanged input."
        )

    def test_a_bad_item_costs_itself_only(self, damaged: Any) -> None:
        try:
            found = list(damaged.records())
        except Exception as error:
            raise AssertionError(
                f"records() raised {type(error).__name__}: {error}; catch it for the one item and append "
                "(where, why) to `problems`."
            ) from error
        assert found, "one bad item cost the good ones; go on with the next item."
        assert getattr(damaged, "problems", ()), (
            "the bad item was left out in silence; append (where, why) to `problems`."
        )
