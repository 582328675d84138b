"""Any LangChain document loader as a source."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rsrag import Record, RsragError, Section, UsageError

from .reading import unstorable

if TYPE_CHECKING:
    from langchain_core.document_loaders import BaseLoader
    from langchain_core.documents import Document


class LangChainSource:
    """One record per Document of `loader.lazy_load()`.

    Documents of one source (a file, a page) share a subject, `subject` or else "document/<source>". A record's
    id is the Document's own id, or its source and ordinal, or the hash of its text; page, heading, title, license
    and url come from the metadata, simple values of other keys become facets. `problems` lists (where, why).
    """

    name: ClassVar[str] = "langchain"
    role: Literal["reference", "mine"] = "mine"

    def __init__(self, loader: BaseLoader, subject: str = "", license: str = "") -> None:
        self._loader, self._subject, self._license = loader, subject, license
        self.label = type(loader).__name__
        self.problems: list[tuple[str, str]] = []

    @staticmethod
    def matches(what: object) -> float:
        """0.9 for a LangChain BaseLoader."""
        # Whoever made one has imported its module: no need to import LangChain for saying no to a path.
        module = sys.modules.get("langchain_core.document_loaders.base") or sys.modules.get(
            "langchain_core.document_loaders"
        )
        return 0.9 if module is not None and isinstance(what, module.BaseLoader) else 0.0

    def records(self) -> Iterator[Record]:
        """Raises `UsageError` when the object is no loader or the loader itself fails."""
        self.problems.clear()
        if not hasattr(self._loader, "lazy_load"):
            raise UsageError(f"{self.label} has no lazy_load.", "Give an instance of a LangChain document loader.")
        seen: Counter[str] = Counter()
        from_zero: dict[str, bool] = {}
        documents = iter(self._loader.lazy_load())
        while True:
            try:
                document = next(documents)
            except StopIteration:
                return
            except RsragError:
                raise
            except Exception as error:  # loaders raise anything
                why = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise UsageError(
                    f"{self.label} failed: {type(error).__name__}: {why}.", "Check its settings."
                ) from error
            source = str(document.metadata.get("source") or "")
            ordinal = seen[source]
            seen[source] += 1
            # Of metadata everything may end up in a record.
            words = [document.page_content, str(document.id or ""), *(f"{k}{v}" for k, v in document.metadata.items())]
            if why := unstorable(*words):
                self.problems.append((f"{ascii(source)[1:-1] or self.label}#{ordinal}", f"the document {why}"))
            elif document.page_content.strip():
                yield self._record(document, source, ordinal, from_zero)
            else:
                self.problems.append((f"{source or self.label}#{ordinal}", "the document holds no text"))

    def _record(self, document: Document, source: str, ordinal: int, from_zero: dict[str, bool]) -> Record:
        meta, text = document.metadata, document.page_content.strip()
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        own = str(document.id or meta.get("id") or "")
        title = str(meta.get("title") or "").strip() or re.split(r"[/\\]", source.rstrip("/"))[-1] or text[:60]
        heading = str(
            meta.get("heading")
            or " > ".join(str(v) for k, v in meta.items() if re.fullmatch("(?i)h(eader)? ?[1-6]", k))
        )
        url = next(
            (str(meta[k]) for k in ("url", "source") if str(meta.get(k) or "").startswith(("http://", "https://"))), ""
        )
        taken = {"id", "source", "title", "heading", "url", "page", "page_label", "page_number", "license", "note"}
        return Record(
            id=own or (f"{source}#{ordinal}" if source else digest),
            subject=self._subject or f"document/{source or own or digest}",
            title=title,
            sections=(Section("text", text, _page(meta, source, from_zero), heading),),
            facets={k: v for k, v in meta.items() if k not in taken and isinstance(v, str | int | float | bool)},
            url=url,
            license=str(meta.get("license") or self._license),
        )


def _page(meta: Mapping[str, Any], source: str, from_zero: dict[str, bool]) -> int | None:
    """The page as a reader counts, from 1. Most loaders count `page` from 0, some from 1: the first page tells."""
    for key in ("page_label", "page_number"):
        if str(meta.get(key, "")).isdecimal():
            return int(meta[key])
    if not str(meta.get("page", "")).isdecimal():
        return None
    page = int(meta["page"])
    return page + from_zero.setdefault(source, page == 0)
