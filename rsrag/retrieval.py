"""Run the lanes, join what they found by subject, fuse, and say how each lane ended."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import confidence
from .chunking import NAME_PARTS
from .completing import complete
from .errors import RsragError, UsageError
from .fusion import rrf, subject_ranks, weighted
from .lookup import with_facts, with_listed, with_parts
from .types import Filter, Hit, LaneReport, Query, Retrieval, SceneVote

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase


@dataclasses.dataclass(frozen=True, slots=True)
class Traits:
    """What a fusion must know of a lane: does it speak for subjects, are its scores cosines, how much it counts."""

    votes: bool = False
    cosine: bool = False
    weight: float = 1.0


Fuse = Callable[[Mapping[str, Sequence[Hit]], Mapping[str, Traits]], list[Hit]]
"""(hits by lane, traits by lane) -> fused hits."""

DEPTH = 50
"""How many hits each lane is asked for."""

NEAR_WEIGHT = 4.0
"""What the near-by lane counts when a place was given: more than meaning, words and pictures together."""

JOINED_SUBJECTS = 3
"""The texts of so many subjects, best first, are fetched when the scene speaks for them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rrf:
    """Reciprocal rank fusion over the join; see `rsrag.fusion.rrf`."""

    def __call__(self, lanes: Mapping[str, Sequence[Hit]], traits: Mapping[str, Traits]) -> list[Hit]:
        return rrf(lanes, {n for n, t in traits.items() if t.votes}, {n: t.weight for n, t in traits.items()})


@dataclasses.dataclass(frozen=True, slots=True)
class Weighted:
    """RS-RAG's formula over the join; see `rsrag.fusion.weighted`."""

    alpha: float

    def __call__(self, lanes: Mapping[str, Sequence[Hit]], traits: Mapping[str, Traits]) -> list[Hit]:
        measured = {n for n, t in traits.items() if t.cosine}
        return weighted(lanes, {n for n, t in traits.items() if t.votes}, self.alpha, measured=measured)


def fusion(name: str, alpha: float = 0.7) -> Fuse:
    """The fusion called "rrf", or "weighted" with its alpha (0..1)."""
    if name == "rrf":
        return Rrf()
    if name == "weighted":
        if not 0 <= alpha <= 1:
            raise UsageError(f"alpha is {alpha:g}; it must lie in 0..1.")
        return Weighted(alpha)
    raise UsageError(f"there is no fusion called '{name}'.", "There are: rrf, weighted.")


def retrieve(
    query: Query,
    kb: KnowledgeBase,
    lanes: Sequence[Any],
    fuse: Fuse,
    *,
    votes: Sequence[SceneVote] = (),
    reranker: Any = None,
    depth: int = DEPTH,
    join: bool = True,
) -> Retrieval:
    """Everything the lanes find for a query, fused.

    A lane that fails is named in the reports and the others go on; when every lane that could run failed, the
    first failure is raised: an answer without knowledge nobody asked for is worse than none.
    """
    found: dict[str, Sequence[Hit]] = {}
    reports: list[LaneReport] = []
    failures: list[Exception] = []
    voting = {lane.name for lane in lanes if getattr(lane, "votes", False)}
    for lane in lanes:
        report, hits, failure = _run(lane, query, kb, depth)
        reports.append(report)
        if failure is not None:
            failures.append(failure)
        if hits:
            found[report.name] = hits
    if failures and not found:
        first = failures[0]
        if isinstance(first, RsragError):
            raise first
        raise RsragError(f"every retrieval lane failed; the first said: {first}.", "Run with --debug to see where.")
    subjects = _subjects(found, voting, votes)
    named = [hit.chunk.subject for hit in found.get("named", ())]
    traits = {lane.name: _traits(lane, query) for lane in lanes}
    if join and isinstance(fuse, Weighted):
        _complete(query, kb, lanes, found, traits, fuse.alpha, depth)
    if join and (joined := _join(query, kb, subjects)):
        found["subject"] = joined
    hits = fuse(found, {"subject": Traits(cosine=True), **traits})
    if join:
        # Where nothing is named or seen, the first hits show whether the figure is that of one subject or of many.
        meant = [*named, *(s for s, _ in subjects)]
        hits = with_facts(query, kb, hits, meant or [hit.chunk.subject for hit in hits[:5]], guessed=not meant)
        hits = with_listed(query, kb, with_parts(query, kb, hits, meant), named)
    warnings: tuple[str, ...] = ()
    if reranker is not None:
        try:
            hits = list(reranker.rerank(query, hits))
        except Exception as error:  # the fused order stands
            detail = error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
            warnings = (f"reranker {reranker.name} failed: {detail}",)
    return Retrieval(tuple(hits), tuple(reports), subjects, warnings)


def _complete(
    query: Query,
    kb: KnowledgeBase,
    lanes: Sequence[Any],
    found: dict[str, Sequence[Hit]],
    traits: Mapping[str, Traits],
    alpha: float,
    depth: int,
) -> None:
    """Where one lane compares pictures and one compares texts, give each the hits that the formula's top needs."""
    cosine = [lane for lane in lanes if lane.name in found and traits[lane.name].cosine]
    images, texts = [n for n in cosine if traits[n.name].votes], [n for n in cosine if not traits[n.name].votes]
    if len(images) == len(texts) == 1:
        image, text = images[0], texts[0]
        found[image.name], found[text.name] = complete(
            query,
            kb,
            (image.name, found[image.name], lambda k: image.retrieve(query, kb, k)),
            (text.name, found[text.name], lambda k: text.retrieve(query, kb, k)),
            alpha,
            depth,
        )


def _run(lane: Any, query: Query, kb: KnowledgeBase, depth: int) -> tuple[LaneReport, Sequence[Hit], Exception | None]:
    """One lane: how it ended, what it found, and what it raised."""
    missing = [need for need in getattr(lane, "needs", ()) if not _has(query, need)]
    if missing:
        return LaneReport(lane.name, "skipped", detail=f"the question has no {' and no '.join(missing)}"), (), None
    start = time.perf_counter()
    try:
        hits = lane.retrieve(query, kb, depth)
    except Exception as error:  # a third party's lane may raise anything; it costs itself
        detail = error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
        return LaneReport(lane.name, "failed", 0, time.perf_counter() - start, detail), (), error
    return LaneReport(lane.name, "ok" if hits else "empty", len(hits), time.perf_counter() - start), hits, None


def _traits(lane: Any, query: Query) -> Traits:
    # A place that was asked for ranks; one that a scene merely has is one hint among others.
    asked = NEAR_WEIGHT if query.near and "place" in getattr(lane, "needs", ()) else 1.0
    return Traits(
        bool(getattr(lane, "votes", False)),
        getattr(lane, "score", "") == "cosine",
        float(getattr(lane, "weight", 1.0)) * asked,
    )


def _has(query: Query, need: str) -> bool:
    if need == "text":
        return bool(query.text.strip())
    if need == "scene":
        return bool(query.scenes)
    return query.near is not None or any(scene.bbox for scene in query.scenes)


def _subjects(
    found: Mapping[str, Sequence[Hit]], voting: set[str], votes: Sequence[SceneVote]
) -> tuple[tuple[str, float], ...]:
    """Whose texts to bring: those a scene was named as, else the most voted for."""
    scores: dict[str, float] = {}
    for vote in votes:
        chosen = [vote.subjects[0]] if vote.label else vote.subjects[:JOINED_SUBJECTS]
        for subject, _, share in chosen:
            scores[subject] = max(share, scores.get(subject, 0.0))
    if not votes:
        for name in voting & set(found):
            for subject, rank in subject_ranks(found[name]).items():
                scores[subject] = scores.get(subject, 0.0) + 1 / (60 + rank)
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ranked[: max(JOINED_SUBJECTS, len(votes))])


def _join(query: Query, kb: KnowledgeBase, subjects: Sequence[tuple[str, float]]) -> list[Hit]:
    """The texts of the subjects, ranked by the question; in their own order when there is none."""
    if not subjects:
        return []
    chunks = [c for c in kb.chunks_of([s for s, _ in subjects], query.where) if c.part != "label"]
    chunks = [c for c in chunks if c.provenance.record not in query.exclude]
    if query.text.strip():
        return kb.score_chunks(query, chunks, "subject")
    return [Hit(c, 0.0, {"subject": (rank, 0.0)}) for rank, c in enumerate(chunks, 1)]


def vote_scenes(query: Query, kb: KnowledgeBase) -> list[SceneVote]:
    """What each scene of a query shows, by its nearest images and names.

    Needs an encoder; its vectors are remembered, so that the lanes after it cost nothing more.
    """
    votes = []
    for letter, scene in query.lettered:
        alone = query.with_(scenes=(scene,), letters=(letter,))
        images = kb.search_vectors(alone, "images", "scene", DEPTH, "image-image")
        names = kb.search_vectors(alone, "names", "scene", DEPTH, "image-name")
        why_not = confidence.unsuitable(scene, getattr(kb.encoder, "max_gsd_m", None))
        why_not = why_not or confidence.unphotographic(scene.rgb(512))
        others = _knows_others(kb, query.where, {hit.chunk.subject for hit in (*images, *names)})
        vote = confidence.vote(letter, images, names, unsuitable=why_not, others=others)
        titles = kb.titles([subject for subject, _, _ in vote.subjects])
        named = tuple((subject, titles.get(subject, title), share) for subject, title, share in vote.subjects)
        votes.append(dataclasses.replace(vote, subjects=named))
    return votes


def _knows_others(kb: KnowledgeBase, where: Filter, subjects: Collection[str]) -> bool:
    """Whether there are images or names of other subjects than those found: where many images of each are known, the
    nearest are easily of one alone. A filter may have left nothing else, so that nothing is claimed."""
    named = sorted(s for s in subjects if s and not s.startswith(confidence.OWN_SUBJECT))
    if len(named) != 1 or where:
        return len(named) > 1
    parts = ", ".join("?" * len(NAME_PARTS))
    row = kb.catalog.db.execute(
        f"""SELECT EXISTS (SELECT 1 FROM chunks c JOIN records r ON r.rowid = c.record
            WHERE (c.kind = 'image' OR c.part IN ({parts})) AND r.vectors
              AND r.subject NOT IN ('', ?) AND r.subject NOT LIKE ?)""",
        (*NAME_PARTS, named[0], f"{confidence.OWN_SUBJECT}%"),
    ).fetchone()
    return bool(row[0])
