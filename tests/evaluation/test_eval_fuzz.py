"""Whatever a file holds, reading and scoring it end in figures, in problems that are listed, or in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsrag import UsageError
from rsrag.builtin.sources.rswk import RswkSource
from rsrag.evaluation.formats import load
from rsrag.evaluation.report import result_json, results_csv
from rsrag.evaluation.samples import TASKS
from rsrag.evaluation.scoring import Options, score_file

KEYS = st.sampled_from(
    [
        *"""id messages conversations role content from value images image task prediction response answer caption label
        labels reference references ground_truth ground_truth_option options options_list prompts predicted_answers
        question question_id qa_pairs gpt_output image_name ID Name sentences raw filename split relevant ranking size
        evidence answerable declined status confidence Category ALBEDO_2019_1 Location""".split(),
        "world knowledge",
        "remote sensing expert knowledge",
    ]
)
TEXT = st.sampled_from(
    ["", "a", "A", "B. two", "[1, 2, 3, 4]", "user", "assistant", "5 mm", "A. x B. y", "[1]", "é\x1b["]
)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.lists(st.dictionaries(KEYS, VALUE, min_size=1, max_size=6) | VALUE, min_size=1, max_size=4)
CONVERSATION = st.fixed_dictionaries(
    {"messages": st.just([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "a pier"}])},
    optional={"prediction": TEXT, "options": VALUE, "task": st.sampled_from([*TASKS, "?"]), "images": VALUE},
)
OWN = st.fixed_dictionaries(
    {"reference": TEXT, "prediction": TEXT},
    optional={
        "id": st.integers(0, 3),
        "task": st.sampled_from(TASKS),
        "options": st.just(["one", "two"]),
        "relevant": st.just(["a"]),
        "ranking": st.lists(TEXT, max_size=3),
        "evidence": st.lists(TEXT, max_size=2),
        "answerable": st.booleans(),
        "declined": st.booleans(),
        "confidence": st.floats(0, 1),
        "labels": st.just(["a", "b"]),
    },
)
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(params=["json", "jsonl"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"file.{request.param}"


def put(path: Path, records: list[Any]) -> None:
    text = json.dumps(records) if path.suffix == ".json" else "".join(json.dumps(r) + "\n" for r in records)
    path.write_text(text, encoding="utf-8")


@QUICK
@given(records=RECORDS)
def test_reading_ends_well(path: Path, records: list[Any]) -> None:
    put(path, records)
    try:
        loaded = load(path)
    except UsageError as error:
        assert "\n" not in error.message and error.hint
    else:
        assert loaded.entries or loaded.problems
        assert all(isinstance(text, str) for e in loaded.entries for text in (*e.sample.references, *e.sample.images))


@QUICK
@given(
    records=st.lists(CONVERSATION, min_size=1, max_size=4) | st.lists(OWN, min_size=1, max_size=5),
    convention=st.sampled_from(["standard", "rsrag-paper"]),
    task=st.none() | st.sampled_from(TASKS),
    skip=st.booleans(),
)
def test_scoring_ends_well(path: Path, records: list[Any], convention: Any, task: Any, skip: bool) -> None:
    put(path, records)
    try:
        results = score_file(path, options=Options(convention=convention, task=task, skip_bad=skip, skip_missing=skip))
    except UsageError as error:
        assert "\n" not in error.message
        return
    assert results_csv(results)
    for result in results:
        assert json.loads(json.dumps(result_json(result), allow_nan=False))["n"] == result.n > 0
        for name, score in result.scores.items():
            top = 10 if name == "CIDEr" else 1
            assert math.isnan(score.value) or -1e-9 <= score.value <= top + 1e-9, name


@QUICK
@given(records=RECORDS)
def test_the_source_ends_well(path: Path, records: list[Any]) -> None:
    put(path, records)
    source, whole = RswkSource(path), RswkSource(path, embed_figures=True)
    try:
        found = list(source.records())
    except UsageError:
        return
    assert len({r.subject for r in found}) + len({where for where, _ in source.problems}) >= len(whole)
    assert len(found) <= len(source)
