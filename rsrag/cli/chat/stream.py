"""Markdown written as it arrives: word by word, wrapped, styled, and never moving the cursor back.

Nothing that was written is drawn again, so it flickers nowhere, survives a resized terminal and stays whole in the
scrollback. Only a table waits until it is complete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..control import harmless

if TYPE_CHECKING:
    from .screen import Screen

_BULLET: Final = re.compile(r"(\s*)([-*+]|\d{1,3}[.)])\s+")
_HEADING: Final = re.compile(r"(#{1,6})\s+")
_RULE: Final = re.compile(r"\s*([-*_])(\s*\1){2,}\s*$")
# What opens or closes emphasis or code inside a word: ** and ` anywhere, * and _ only at the word's edge.
_MARK: Final = re.compile(r"\*\*|__(?=\w)|(?<=\w)__|`")
_LINK: Final = re.compile(r"\[([^\]\[]+)\]\((\S+?)\)")
# A line that could still turn out to be a bullet, a heading, a fence, a table or a rule when more of it arrives.
_OPEN: Final = re.compile(r"\s*([-*+_]*|\d{1,3}[.)]?|#{1,6}|`{1,2}|>)\s*$")


class MarkdownStream:
    """Give it pieces with `feed`, and `close` it; what stands between shows as it comes."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._held = ""  # of the current line: not written yet
        self._started = False  # whether the current line's kind is known
        self._column = 0
        self._indent = 0
        self._styles: list[str] = []
        self._line_style = ""
        self._fence = False
        self._table: list[str] = []
        self._blank = 0  # empty lines waiting: none is written at the end
        self._any = False

    def feed(self, piece: str) -> None:
        """More of the text."""
        self._held += harmless(piece).expandtabs(4)
        while "\n" in self._held:
            line, _, self._held = self._held.partition("\n")
            self._rest_of_line(line)
        if not self._fence and not self._table and not self._held.lstrip().startswith(("|", "```")):
            self._as_far_as_words(self._held)

    def close(self) -> None:
        """The end of the text: what was held back is written, and the last line ended."""
        if self._held:
            line, self._held = self._held, ""
            self._rest_of_line(line)
        self._flush_table()
        self._end_paragraph()

    # -- lines --------------------------------------------------------------------------------------

    def _rest_of_line(self, line: str) -> None:
        if self._started:
            self._words(line)
            self._started = False
            return
        if line.lstrip().startswith("```"):
            self._flush_table()
            self._end_paragraph()
            self._fence = not self._fence
        elif self._fence:
            self._gap()
            self.screen.console.print(f"  {line}", style="cyan", markup=False, soft_wrap=True)
        elif line.lstrip().startswith("|"):
            self._end_paragraph()
            self._table.append(line)
        else:
            self._flush_table()
            if not line.strip() or _RULE.match(line):
                self._end_paragraph()
                self._blank = 1
            else:
                self._words(self._begun(line))
                if self._line_style:  # a heading is one line
                    self._end_paragraph()
        self._started = False

    def _as_far_as_words(self, line: str) -> None:
        """Write the complete words of an unfinished line, once it is clear what kind of line it is."""
        if not self._started:
            if _OPEN.match(line) or " " not in line.strip() or _HEADING.match(line) or _RULE.match(line):
                return
            line = self._begun(line)
            self._started = True
        head, space, tail = line.rpartition(" ")
        if head.count("[") > head.count("]") and len(line) < 300:  # a link may have blanks in it
            head, space, tail = "", "", line
        if space:
            self._words(head)
        self._held = tail

    def _begun(self, line: str) -> str:
        """What is left of a line when its kind has been shown: a bullet, a heading, a quotation, or plain."""
        if heading := _HEADING.match(line):
            self._end_paragraph()
            self._blank = 1
            self._line_style = "bold"
            return line[heading.end() :]
        if bullet := _BULLET.match(line):
            self._end_paragraph()
            self._gap()
            mark = bullet[2] if bullet[2][0].isdigit() else "•"
            depth = min(len(bullet[1]), 8)
            self._write(" " * depth + f" {mark} ")
            self._indent = self._column
            return line[bullet.end() :]
        if line.startswith(">"):
            if not self._indent:
                self._end_paragraph()
                self._indent = 2
                self._line_style = "italic"
            return line.lstrip("> ")
        return line.lstrip()

    def _end_paragraph(self) -> None:
        if self._column:
            self._write("\n")
        self._column, self._indent, self._line_style = 0, 0, ""
        self._styles.clear()  # an emphasis that nobody closed ends with its paragraph

    def _flush_table(self) -> None:
        if not self._table:
            return
        from rich.markdown import Markdown

        rows, self._table = self._table, []
        self._gap()
        text = re.sub(r"\[(\d+|[A-Z]+)\]", r"\\[\1\\]", "\n".join(rows))
        self.screen.console.print(Markdown(text))

    # -- words --------------------------------------------------------------------------------------

    def _words(self, text: str) -> None:
        text = _LINK.sub(lambda m: m[1] if m[1] == m[2] else f"{m[1]} ({m[2]})", text)
        for word in text.split():
            self._word(word)

    def _word(self, word: str) -> None:
        from rich.cells import cell_len, chop_cells

        pieces = self._styled(word)
        wide = sum(cell_len(text) for text, _ in pieces)
        if not wide:
            return
        width = self.screen.width
        if self._column > self._indent and self._column + 1 + wide > width:
            self._write("\n")
            self._column = 0
        if self._column == 0:
            self._gap()
            if self._indent:
                self._write(" " * self._indent)
        elif self._column > self._indent:
            self._write(" ", self._style())
        for text, style in pieces:
            room = width - self._column
            if cell_len(text) <= room:
                self._write(text, style)
                continue
            for part in chop_cells(text, max(8, width - self._indent)):  # longer than a line: an address, say
                if self._column > self._indent:
                    self._write("\n" + " " * self._indent)
                    self._column = self._indent
                self._write(part, style)

    def _styled(self, word: str) -> list[tuple[str, str]]:
        """(text, style) of a word's parts, its marks taken out and remembered for the words after it."""
        pieces: list[tuple[str, str]] = []
        if "`" not in self._styles:
            word = self._single(word, opening=True)
        closing = "`" not in self._styles and self._single_closes(word)
        if closing:
            core = word.rstrip(".,;:!?)]")
            word, after = core[:-1], word[len(core) :]
        place = 0
        for mark in _MARK.finditer(word):
            if "`" in self._styles and mark[0] != "`":
                continue
            pieces.append((word[place : mark.start()], self._style()))
            self._toggle(mark[0])
            place = mark.end()
        pieces.append((word[place:], self._style()))
        if closing:
            self._styles.remove("*")
            pieces.append((after, self._style()))
        return [(text, style) for text, style in pieces if text]

    def _single(self, word: str, *, opening: bool) -> str:
        """The word without a * or _ that opens an emphasis at its beginning."""
        lead = word.lstrip("(\"'")
        if lead[:1] in ("*", "_") and len(lead) > 2 and lead[1] not in "*_" and "*" not in self._styles:
            self._styles.append("*")
            return word[: len(word) - len(lead)] + lead[1:]
        return word

    def _single_closes(self, word: str) -> bool:
        core = word.rstrip(".,;:!?)]")
        return "*" in self._styles and core[-1:] in ("*", "_") and core[-2:-1] not in ("*", "_", "")

    def _toggle(self, mark: str) -> None:
        mark = "**" if mark == "__" else mark
        if mark in self._styles:
            self._styles.remove(mark)
        else:
            self._styles.append(mark)

    def _style(self) -> str:
        names = {"**": "bold", "*": "italic", "`": "cyan"}
        return " ".join(dict.fromkeys([*filter(None, [self._line_style]), *(names[m] for m in self._styles)]))

    # -- writing ------------------------------------------------------------------------------------

    def _gap(self) -> None:
        """The empty line between paragraphs, once there is something after it."""
        if self._blank and self._any:
            self._write("\n")
            self._column = 0
        self._blank = 0

    def _write(self, text: str, style: str = "") -> None:
        from rich.cells import cell_len

        self._any = True
        self._column += cell_len(text.replace("\n", ""))
        self.screen.console.print(text, style=style or None, end="", markup=False, soft_wrap=True)
