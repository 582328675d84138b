"""Look up what search alone does not bring: facts by attribute and time, parts of a record, all subjects of a kind."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .answering import listing, spelling
from .answering.aspects import aspect, belongs
from .answering.candidates import pieces
from .answering.facts import Asked, fitting
from .answering.lexicon import lexicon
from .answering.mentions import index, mentions, names_of, without
from .answering.questions import foreign, kinds_of
from .answering.words import cover, keys, plain_letters, question_words
from .types import Chunk, Fact, Filter, Hit, Query

if TYPE_CHECKING:
    from .store.knowledge_base import KnowledgeBase

_NO_WORD = "qzxjvkq"
_LONGEST_READ = 400  # characters of a question that are mended
_FIRST_PARTS = ("definition", "overview", "appearance", "meaning")
_MOST_NAMES = 20_000
_PLACE_ALIKE = 0.87
MOST_SUBJECTS = 12
MOST_FACTS = 6  # of one attribute of one subject
MOST_LISTED = 12
FACT_LANE = "fact"
PART_LANE = "part"
LIST_LANE = "list"
_ENOUGH = 0.69  # of what is asked of each that is listed; a synonym counts seven tenths


def read_as(text: str, kb: KnowledgeBase) -> tuple[str, spelling.Read]:
    """The question with what is misspelt as the store and the lexicon spell it, and what was read as what."""
    names, words = _names_in(kb)
    places = places_asked_for(text)

    def known(word: str) -> bool:
        # A gazetteer's names are no words of the index; who asks for a place means one of them.
        return _known_word(kb, word) or _has_name(kb, word)

    read, changed = spelling.respelt(text[:_LONGEST_READ], names, known, words)
    if places and not changed:
        read, changed = _place_respelt(read, kb, known)
    return read + text[_LONGEST_READ:], changed


def _known_word(kb: KnowledgeBase, word: str) -> bool:
    """Whether any passage has the word."""
    idf = kb.idf([word, _NO_WORD])
    return idf[word] < idf[_NO_WORD]


def places_asked_for(text: str) -> bool:
    return bool({"where", "near"} & set(kinds_of(text)))


def _has_name(kb: KnowledgeBase, word: str) -> bool:
    row = kb.catalog.db.execute(
        "SELECT EXISTS (SELECT 1 FROM names WHERE name = ? OR (name > ? AND name < ?))", (word, f"{word} ", f"{word}!")
    ).fetchone()
    return bool(row[0])


def _place_respelt(text: str, kb: KnowledgeBase, known: Callable[[str], bool]) -> tuple[str, spelling.Read]:
    """The one word that no index has, as the place of nearly that name."""
    for match in re.finditer(r"[^\W\d_]{7,}", text):
        word = match.group()
        folded = plain_letters(word).lower()
        if folded in spelling.vocabulary() or known(folded):
            continue
        rows = kb.catalog.db.execute(
            "SELECT DISTINCT name FROM names WHERE name >= ? AND name < ?", (folded[:3], f"{folded[:3]}\uffff")
        )
        near = difflib.get_close_matches(folded, [name for (name,) in rows], n=2, cutoff=_PLACE_ALIKE)
        if near:
            better = near[0].title()
            return text[: match.start()] + better + text[match.end() :], ((word, better),)
    return text, ()


_names: dict[tuple[str, int], tuple[dict[str, str], frozenset[str]]] = {}


def _names_in(kb: KnowledgeBase) -> tuple[dict[str, str], frozenset[str]]:
    """(index of the names of what has text, the words they are made of); kept until the store changes."""
    key = (str(kb.path), kb.catalog.generation())
    if key not in _names:
        rows = kb.catalog.db.execute(
            "SELECT title, aliases FROM records WHERE vectors GROUP BY subject LIMIT ?", (_MOST_NAMES,)
        )
        names = [n for title, aliases in rows for n in names_of(title, filter(None, aliases.split(" | ")))]
        words = frozenset(w for n in names for w in re.findall(r"[^\W\d_]{5,}", plain_letters(n).lower()))
        for old in [k for k in _names if k[0] == key[0]]:
            del _names[old]
        _names[key] = (index(names), words)
    return _names[key]


def with_facts(
    query: Query, kb: KnowledgeBase, hits: Sequence[Hit], subjects: Sequence[str], *, guessed: bool = False
) -> list[Hit]:
    """The hits, led by the chunks that hold what the question asks of `subjects`, each with those facts.

    A fact stands on the chunk of its record that says it, else on the record's first. Where nobody named the subjects
    and they are only `guessed` from the hits, a figure of one is joined by that of another that has it too: then the
    reader sees that it is not the figure of one alone.
    """
    found = _with_facts(query, kb, hits, subjects)
    led = [hit for hit in found if FACT_LANE in hit.lanes]
    if guessed and led and len({hit.chunk.subject for hit in led}) == 1:
        own = led[0].chunk.subject
        holders = kb.holders_of(led[0].facts[0].attribute, query.where, query.exclude)
        if others := [subject for subject in holders if subject != own]:
            return _with_facts(query, kb, hits, [own, others[0]])
    return found


def _with_facts(query: Query, kb: KnowledgeBase, hits: Sequence[Hit], subjects: Sequence[str]) -> list[Hit]:
    subjects = list(dict.fromkeys(s for s in subjects if s))[:MOST_SUBJECTS]
    if not query.text.strip() or not subjects:
        return list(hits)
    led: list[Hit] = []
    known = kb.facts_of(subjects, query.where)
    for subject, names, facts in known:
        others = [name for s, those, _ in known if s != subject for name in those]
        asked = Asked.of(query.text, names, others)
        # Where the figure is known for other times only, the reader must know that, lest it takes one of those.
        wanted = [pair for one in asked.each for pair in fitting(one, facts)[:MOST_FACTS]]
        if not wanted and asked.wanted and foreign(query.text, lambda word: not _known_word(kb, word.key)):
            wanted = fitting(dataclasses.replace(asked, words=(), plain=()), facts)[:MOST_FACTS]
        wanted = wanted or fitting(asked.at_any_time, facts)[:1]
        if not wanted:
            continue
        chunks = _chunks(query, kb, subject)
        for fact, fit in wanted:
            chunk = max(chunks, key=lambda c: _says(c.text, fact), default=None)  # the first of equals
            if chunk is not None:
                led.append(Hit(chunk, lanes={FACT_LANE: (len(led) + 1, fit)}, facts=(fact,)))
    return leading(led, hits)


def with_parts(query: Query, kb: KnowledgeBase, hits: Sequence[Hit], subjects: Sequence[str]) -> list[Hit]:
    """The hits, led by the passages of the named subjects that answer what is asked of them: those with most of the
    question's words in one sentence, and the parts that tell it, as "confusion" tells what something is taken for."""
    led: list[Hit] = []
    for subject in list(dict.fromkeys(subjects))[:2]:
        chunks = [c for c in _chunks(query, kb, subject) if c.part != "fact"]
        if len(chunks) < 2:
            continue
        found = mentions(query.text, names_of(chunks[0].title, chunks[0].aliases))
        rest = without(query.text, found)
        words = [w for w in Asked.of(rest, ()).words if w.key != "band"]
        words = words or [w for w in question_words(rest) if w.key not in lexicon().idle]
        titled = set(
            keys(re.split(r"\s*[,(]", chunks[0].title)[0])
        )  # another name of a subject is explained where it stands
        words += [w for m in found for w in question_words(m.name) if w.key not in titled]
        parts = aspect(rest) or _FIRST_PARTS
        even = {w.key: 1.0 for w in words}
        best = {c.id: max((cover(words, even, keys(s)) for s in pieces(c.text)), default=0.0) for c in chunks}
        chunks.sort(key=lambda c: -best[c.id] - 0.34 * belongs(c.part, parts))
        chosen = [c for c in chunks[:3] if best[c.id] or belongs(c.part, parts)]
        first = [c for c in chunks if c.part in _FIRST_PARTS and c not in chosen]
        chosen += sorted(first, key=lambda c: _FIRST_PARTS.index(c.part))[:1]
        led += [Hit(c, lanes={PART_LANE: (rank, best[c.id])}) for rank, c in enumerate(chosen, 1)]
    return leading(led, hits, first=False)


def with_listed(query: Query, kb: KnowledgeBase, hits: Sequence[Hit], named: Sequence[str] = ()) -> list[Hit]:
    """The hits, led by a chunk of every subject that belongs into the list that is asked for.

    Where a title, a facet or a fact of some says it, what others only mention does not count. `named` are the subjects
    that the question calls by name: of one of these it does not ask for its likes.
    """
    asked = listing.wanted(query.text)
    if asked is None or any(subject.startswith(f"{asked.kind}/") for subject in named):
        return list(hits)
    chunks, facts = _of_kind(kb, asked.kind, query.where)
    led: list[tuple[float, Hit]] = []
    for subject, own in chunks.items():
        held = facts.get(subject, [])
        if asked.bound:
            if inside := listing.within(asked, held):
                chunk = max(own, key=lambda c: _says(c[0].text, inside[0]))[0]
                led.append((1.0, Hit(chunk, facts=tuple(inside))))
            continue
        share, chunk = max((_supported(asked, chunk, told) for chunk, told in own), key=lambda pair: pair[0])
        named_so = max((listing.covers(asked.words, keys(f.attribute)) for f in held), default=0.0)
        titled = listing.covers(
            asked.words, [*keys(own[0][0].title), *keys(" ".join(map(str, own[0][0].facets.values())))]
        )
        themed = listing.covers(asked.words, keys(" ".join(map(str, own[0][0].facets.values()))))
        titled = max(titled, 1.5 * themed)
        if share >= _ENOUGH or max(named_so, titled) >= _ENOUGH:
            led.append((share + 2 * max(named_so, titled), Hit(chunk)))
    places = {subject: place for place, subject in reversed(list(enumerate(h.chunk.subject for h in hits)))}
    led.sort(key=lambda pair: (-round(pair[0], 1), places.get(pair[1].chunk.subject, len(hits))))
    surely = [pair for pair in led if pair[0] >= 2 * _ENOUGH]
    led = surely if len(surely) > 1 else led
    found = [dataclasses.replace(hit, lanes={LIST_LANE: (rank, share)}) for rank, (share, hit) in enumerate(led, 1)]
    return leading(found[:MOST_LISTED], hits)


def leading(led: Sequence[Hit], hits: Sequence[Hit], *, first: bool = True) -> list[Hit]:
    """The hits with some before them, or after the first ones that lead already; what is among both is joined."""
    known = {hit.chunk.id: hit for hit in hits}
    joined: dict[str, Hit] = {}
    for hit in led:
        old = joined.get(hit.chunk.id) or known.get(hit.chunk.id) or Hit(hit.chunk)
        facts = tuple(dict.fromkeys((*old.facts, *hit.facts)))
        joined[hit.chunk.id] = dataclasses.replace(old, lanes={**hit.lanes, **old.lanes}, facts=facts)
    top = max((hit.score for hit in hits), default=0.0)
    ahead = [dataclasses.replace(hit, score=max(hit.score, top)) for hit in joined.values()]
    rest = [hit for hit in hits if hit.chunk.id not in joined]
    before = [] if first else [hit for hit in rest if FACT_LANE in hit.lanes]
    return [*before, *ahead, *(hit for hit in rest if hit not in before)]


def _chunks(query: Query, kb: KnowledgeBase, subject: str) -> list[Chunk]:
    chunks = kb.chunks_of([subject], query.where)
    return [c for c in chunks if c.provenance.record not in query.exclude and c.part != "label"]


Told = list[tuple[str, frozenset[str]]]
_kinds: dict[tuple[str, int, str], tuple[dict[str, list[tuple[Chunk, Told]]], dict[str, list[Fact]]]] = {}


def _of_kind(
    kb: KnowledgeBase, kind: str, where: Filter
) -> tuple[dict[str, list[tuple[Chunk, Told]]], dict[str, list[Fact]]]:
    """(chunks with the keys of their sentences, facts) of all subjects "kind/..." by subject; kept until the store
    changes."""
    key = (str(kb.path), kb.catalog.generation(), kind)
    if not where and key in _kinds:
        return _kinds[key]
    rows = kb.catalog.db.execute(
        "SELECT DISTINCT subject FROM records WHERE subject >= ? AND subject < ? AND vectors LIMIT 400",
        (f"{kind}/", f"{kind}0"),
    )
    subjects = [subject for (subject,) in rows]
    chunks: dict[str, list[tuple[Chunk, Told]]] = {subject: [] for subject in subjects}
    for start in range(0, len(subjects), 20):
        for chunk in kb.chunks_of(subjects[start : start + 20], where):
            if chunk.part != "label":
                told = [(s, frozenset(keys(s))) for s in pieces(chunk.text)]
                chunks[chunk.subject].append((chunk, told))
    facts = {subject: held for subject, _, held in kb.facts_of(subjects, where)}
    found = ({s: own for s, own in chunks.items() if own}, facts)
    if not where:
        for old in [k for k in _kinds if k[0] == key[0] and k[1] != key[1]]:
            del _kinds[old]
        _kinds[key] = found
    return found


def _supported(asked: listing.Wanted, chunk: Chunk, told: Told) -> tuple[float, Chunk]:
    return max((listing.supports(asked.words, text, held) for text, held in told), default=0.0), chunk


def _says(text: str, fact: Fact) -> int:
    """How surely a text states a fact: its value, its attribute in so many words, and when it holds."""
    value = str(fact.value).removesuffix(".0")
    spellings = [value, f"{fact.value:,}"] if isinstance(fact.value, int) else [value]
    there = any(re.search(rf"(?<![\d.]){re.escape(v)}(?!\.?\d)", text) for v in spellings)
    return 4 * there + 2 * (fact.attribute.lower() in text.lower()) + bool(fact.when and fact.when in text)
