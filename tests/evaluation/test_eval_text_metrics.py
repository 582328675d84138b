"""Text metrics against the tools they stand for: NLTK, rouge_score and pycocoevalcap, item by item."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsrag.evaluation.conventions import texts_paper, texts_standard
from rsrag.evaluation.metrics import bleu, meteor, rouge
from rsrag.evaluation.metrics.cider import cider
from rsrag.evaluation.metrics.tokens import ptb

GOLDEN = json.loads((Path(__file__).parent.parent / "data" / "coco_scores.json").read_text())
WEIGHTS = [(1, 0, 0, 0), (0.5, 0.5, 0, 0), (0.33, 0.33, 0.33, 0), (0.25, 0.25, 0.25, 0.25)]
WORDS = st.sampled_from(["a", "b", "c", "The", "the", "runs", "running", "harbours", "harbour's", "12.5", "é"])
SENTENCE = st.lists(WORDS, max_size=12).map(" ".join)
FULL = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)


def split(texts: Sequence[str]) -> list[list[str]]:
    return [text.split() for text in texts]


class FakeWordNet:
    """Just enough of NLTK's reader: groups of synonyms."""

    def __init__(self, *groups: Sequence[str]) -> None:
        self.groups = groups

    def synsets(self, word: str) -> list[Any]:
        def synset(group: Sequence[str]) -> Any:
            lemmas = [SimpleNamespace(name=lambda name=name: name) for name in group]
            return SimpleNamespace(lemmas=lambda: lemmas)

        return [synset(group) for group in self.groups if word in group]

    def synonyms(self, word: str) -> frozenset[str]:
        return frozenset(name for group in self.groups if word in group for name in group if "_" not in name)


# -- sentence BLEU: NLTK ------------------------------------------------------------------------------


@given(hypothesis=SENTENCE, references=st.lists(SENTENCE, min_size=1, max_size=3))
def test_sentence_bleu_is_nltks(hypothesis: str, references: list[str]) -> None:
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    found = bleu.matches(hypothesis.split(), split(references))
    for weights in WEIGHTS:
        theirs = sentence_bleu(
            split(references), hypothesis.split(), weights=weights, smoothing_function=SmoothingFunction().method1
        )
        assert bleu.sentence_bleu(found, weights) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "weights", "value"),
    [
        ("a b c d", "a b c d", (0.25,) * 4, 1.0),
        ("a b", "a b c d", (1, 0, 0, 0), math.exp(-1)),  # brevity alone
        ("a a a a", "a b", (1, 0, 0, 0), 0.25),  # clipped
        ("a", "a", (0.25,) * 4, 0.1**0.75),  # no longer n-gram exists: 0.1 of at least one
        ("x y", "a b", (1, 0, 0, 0), 0.0),
        ("", "a b", (1, 0, 0, 0), 0.0),
    ],
)
def test_sentence_bleu_by_hand(hypothesis: str, reference: str, weights: tuple[float, ...], value: float) -> None:
    found = bleu.matches(hypothesis.split(), [reference.split()])
    assert bleu.sentence_bleu(found, weights) == pytest.approx(value)


# -- ROUGE-L: rouge_score -----------------------------------------------------------------------------


@given(prediction=st.text(max_size=60) | SENTENCE, reference=st.text(max_size=60) | SENTENCE)
def test_rouge_l_is_rouge_scores(prediction: str, reference: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rougeL"], use_stemmer=True).score(reference, prediction)["rougeL"].fmeasure
    assert rouge.rouge_l(prediction, reference) == pytest.approx(theirs, abs=1e-12)


@given(a=st.lists(st.sampled_from("abcde"), max_size=40), b=st.lists(st.sampled_from("abcde"), max_size=40))
def test_the_common_subsequence_is_as_long_as_the_table_says(a: list[str], b: list[str]) -> None:
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(before[j + 1], row[j])
    assert rouge.lcs_length(a, b) == row[-1] == rouge.lcs_length(b, a)


# -- METEOR: NLTK -------------------------------------------------------------------------------------

NETS = [FakeWordNet(), FakeWordNet(["a", "b", "x_y"], ["c", "the", "run"]), FakeWordNet(["harbour", "run"], ["a", "é"])]


@given(hypothesis=SENTENCE, references=st.lists(SENTENCE, min_size=1, max_size=3), net=st.sampled_from(NETS))
def test_meteor_is_nltks(hypothesis: str, references: list[str], net: FakeWordNet) -> None:
    from nltk.translate.meteor_score import meteor_score

    theirs = meteor_score(split(references), hypothesis.split(), wordnet=net)  # type: ignore[arg-type]
    synonyms = net.synonyms if net.groups else None  # without synonyms it is exact and stem alone
    assert meteor.meteor(hypothesis.split(), split(references), synonyms) == pytest.approx(theirs, abs=1e-12)


def test_meteor_by_hand() -> None:
    # Four of four words of six: P 1, R 4/6; one break: 2 chunks.
    value = meteor.meteor("a b d e".split(), ["a b c d e f".split()])
    mean = (1 * 4 / 6) / (0.9 * 1 + 0.1 * 4 / 6)
    assert value == pytest.approx((1 - 0.5 * (2 / 4) ** 3) * mean)


def test_without_wordnet_meteor_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor, "wordnet", lambda: None)
    assert {"METEOR-exact-stem"} == {name for name in texts_paper(["a b"], [["a b"]]) if "METEOR" in name}
    monkeypatch.setattr(meteor, "wordnet", lambda: FakeWordNet(["pier", "quay"]).synonyms)
    found = texts_paper(["a pier"], [["a quay"]])
    assert "METEOR-exact-stem" not in found and found["METEOR"].value == pytest.approx(1 - 0.5 / 8)


def tiny_wordnet(folder: Path) -> None:
    """WordNet's files with one synset, quay and wharf, which NLTK's own reader can open."""
    home = folder / "corpora" / "wordnet"
    home.mkdir(parents=True)
    for name in ("cntlist.rev", "index.sense", "adj.exc", "adv.exc", "noun.exc", "verb.exc"):
        (home / name).write_text("")
    for pos in ("adj", "adv", "noun", "verb"):
        (home / f"index.{pos}").write_text("")
        (home / f"data.{pos}").write_text("")
    (home / "lexnames").write_text("".join(f"{n:02}\tnoun.kind{n}\t1\n" for n in range(7)))
    (home / "data.noun").write_text("00000000 06 n 02 quay 0 wharf 0 000 | where ships lie  \n")
    (home / "index.noun").write_text("quay n 1 0 1 0 00000000  \nwharf n 1 0 1 0 00000000  \n")


def test_meteor_reads_an_installed_wordnet(tmp_path: Path) -> None:
    """In a process of its own: NLTK looks for its data once."""
    tiny_wordnet(tmp_path)
    code = (
        "from rsrag.evaluation.conventions import texts_paper\n"
        "from nltk.translate.meteor_score import meteor_score\n"
        "print(texts_paper(['a wharf'], [['a quay']])['METEOR'].value, meteor_score([['a', 'quay']], ['a', 'wharf']))"
    )
    environment = {**os.environ, "NLTK_DATA": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = map(float, done.stdout.split())
    assert ours == theirs == pytest.approx(1 - 0.5 / 8)


# -- corpus BLEU, ROUGE-L and CIDEr: pycocoevalcap ----------------------------------------------------


def coco(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    right = [split(group) for group in references]
    found = [bleu.matches(h, group) for h, group in zip(split(hypotheses), right, strict=True)]
    return {
        "BLEU": [bleu.corpus_bleu(found, n) for n in (1, 2, 3, 4)],
        "ROUGE-L": [rouge.rouge_l_coco(h, group) for h, group in zip(split(hypotheses), right, strict=True)],
        "CIDEr": cider(split(hypotheses), right),
    }


def test_scores_are_those_that_pycocoevalcap_gave() -> None:
    ours = coco(GOLDEN["hypotheses"], GOLDEN["references"])
    assert list(ours["CIDEr"].items) == pytest.approx(GOLDEN["CIDEr"], abs=1e-9)
    assert ours["CIDEr"].value == pytest.approx(GOLDEN["CIDEr mean"], abs=1e-9)
    assert [score.value for score in ours["BLEU"]] == pytest.approx(GOLDEN["BLEU"], abs=1e-12)
    assert list(ours["BLEU"][3].items) == pytest.approx(GOLDEN["BLEU-4"], abs=1e-12)
    assert ours["ROUGE-L"] == pytest.approx(GOLDEN["ROUGE-L"], abs=1e-12)


@given(
    pairs=st.lists(st.tuples(FULL, st.lists(FULL, min_size=1, max_size=3)), min_size=1, max_size=12),
)
def test_scores_are_pycocoevalcaps(pairs: list[tuple[str, list[str]]]) -> None:
    cider_module = pytest.importorskip(
        "pycocoevalcap.cider.cider", reason="NOT COMPARED with pycocoevalcap itself: pip install pycocoevalcap"
    )
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    hypotheses, references = [h for h, _ in pairs], [group for _, group in pairs]
    right = {str(i): group for i, group in enumerate(references)}
    said = {str(i): [h] for i, h in enumerate(hypotheses)}
    ours = coco(hypotheses, references)
    _, items = cider_module.Cider().compute_score(right, said)
    assert list(ours["CIDEr"].items) == pytest.approx(list(items), abs=1e-9)
    values, lists = Bleu(4).compute_score(right, said, verbose=0)
    assert [score.value for score in ours["BLEU"]] == pytest.approx(values, abs=1e-12)
    assert [list(score.items) for score in ours["BLEU"]] == [pytest.approx(each, abs=1e-12) for each in lists]
    assert ours["ROUGE-L"] == pytest.approx(list(Rouge().compute_score(right, said)[1]), abs=1e-12)


def test_cider_of_one_item_is_nothing() -> None:
    assert cider([["a", "b"]], [[["a", "b"]]]).value == 0.0


# What Stanford's tokeniser and pycocoevalcap's list of punctuation make of these.
TOKENS = {
    "A harbour, with two long moles.": "a harbour with two long moles",
    "The city's harbour isn't far; it's near (about 3 km).": "the city 's harbour is n't far it 's near -lrb- about 3 "
    "km -rrb-",
    "Wind speed is 6.72m/s at -0.08, i.e. low.": "wind speed is 6.72 m/s at -0.08 i.e. low",
    "A state-of-the-art terminal and/or a depot": "a state-of-the-art terminal and/or a depot",
    "1904–1905: 1,250 houses at 2:30 p.m.": "1904 1905 1,250 houses at 2:30 p.m.",
    'They cannot see "it" -- or can\'t they?': "they can not see it or ca n't they",
    "150-200 boats, 23.16°C and 612.78mm": "150-200 boats 23.16 ° c and 612.78 mm",
    "Don’t, won't, they're; the planes' wings": "do n't wo n't they 're the planes wings",
    "LC_Type1 is 13 [see B8A]": "lc_type1 is 13 -lsb- see b8a -rsb-",
    "U.S. parks & a 20th-century fort in the 1980s": "u.s. parks & a 20th-century fort in the 1980s",
}


@pytest.mark.parametrize(("text", "words"), TOKENS.items())
def test_tokens(text: str, words: str) -> None:
    assert ptb(text) == words.split()


# -- properties ---------------------------------------------------------------------------------------

PAIRS = st.lists(st.tuples(FULL, FULL), min_size=2, max_size=10)


@pytest.mark.parametrize("scorer", [texts_paper, texts_standard])
@given(pairs=PAIRS, order=st.randoms(use_true_random=False))
def test_every_metric_is_bounded_and_blind_to_order(scorer: Any, pairs: list[tuple[str, str]], order: Any) -> None:
    first = scorer([h for h, _ in pairs], [[r] for _, r in pairs])
    shuffled = pairs[:]
    order.shuffle(shuffled)
    second = scorer([h for h, _ in shuffled], [[r] for _, r in shuffled])
    for name, score in first.items():
        top = 10 if name == "CIDEr" else 1
        assert all(-1e-12 <= v <= top + 1e-9 for v in (score.value, *score.items)), name
        assert score.value == pytest.approx(second[name].value, abs=1e-12)


@pytest.mark.parametrize("scorer", [texts_paper, texts_standard])
def test_the_oracle_has_all_and_nonsense_nothing(scorer: Any) -> None:
    references = [list(group) for group in GOLDEN["references"]]
    best = scorer([group[0] for group in references], [group[:1] for group in references])
    for name in ("BLEU-1", "BLEU-2", "BLEU-4", "ROUGE-L"):
        assert best[name].value == pytest.approx(1.0, abs=1e-6)
    meteor_name = next(name for name in best if "METEOR" in name)
    assert best[meteor_name].value > 0.99 and best["CIDEr"].value == pytest.approx(10, abs=1e-6)
    worst = scorer(["zzz qqq"] * len(references), references)
    assert [score.value for score in worst.values()] == pytest.approx([0.0] * len(worst), abs=1e-6)


def test_published_size_is_scored_at_least_twice_as_fast_as_by_the_tools() -> None:
    """5,242 pairs with all metrics; NLTK and rouge_score are timed on a tenth of them."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    from rouge_score.rouge_scorer import RougeScorer

    rng = random.Random(5)
    vocabulary = [w for group in GOLDEN["references"] for text in group for w in text.split()]
    texts = [" ".join(rng.choices(vocabulary, k=rng.randint(3, 40))) for _ in range(2 * 5242)]
    predictions, references = texts[:5242], texts[5242:]
    start = time.process_time()
    texts_paper(predictions, [[r] for r in references])
    ours = time.process_time() - start
    smoothing, scorer = SmoothingFunction().method1, RougeScorer(["rougeL"], use_stemmer=True)
    start = time.process_time()
    for prediction, reference in zip(predictions[:524], references[:524], strict=True):
        for weights in WEIGHTS:
            sentence_bleu([reference.split()], prediction.split(), weights=weights, smoothing_function=smoothing)
        scorer.score(reference, prediction)
    theirs = 10 * (time.process_time() - start)
    assert ours < theirs / 2, f"{ours:.2f} s against {theirs:.2f} s for BLEU and ROUGE-L alone"
    assert ours < 30
