"""A classified collection as one html file that needs nothing else: the doubtful images first, to be filtered by label.

It shares the look and the cards of the gallery; its one script is allowed by its hash alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from ..errors import RsragError
from ..transcript.files import replace_file
from .gallery import Card, _card, _safe

if TYPE_CHECKING:
    from ..plugins import Plugins
    from ..types import Classification, Classifications

SIDE: Final = 160  # pixels of a thumbnail's longer side
MOST: Final = 2000  # images on a page; a browser shows no more with comfort

_SCRIPT: Final = """
const choice = document.getElementById("label");
choice.addEventListener("change", () => {
  for (const item of document.querySelectorAll("ol.cards > li"))
    item.hidden = choice.value !== "" && item.dataset.label !== choice.value;
});
"""
_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-$digest'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="rsrag">
<title>rsrag: classified images</title>
<style>$style
li[hidden] { display: none; }
select { font: inherit; max-width: 100%; }
</style>
</head>
<body>
<header>
<p class="eyebrow">Classified images</p>
<h1>The doubtful first</h1>
<p class="tally">$tally</p>
<p><label>Show <select id="label"><option value="">all labels</option>$options</select></label></p>
</header>
<main>
<ol class="cards">
$cards
</ol>
</main>
<footer><p>$footer</p></footer>
<script>$script</script>
</body>
</html>
""")


def write_page(path: Path, found: Classifications, shown: Callable[[str], str], plugins: Plugins) -> None:
    """Write the page; at most `MOST` images, the most doubtful ones, and it says so.

    All text is untrusted and escaped. `shown` shortens the name of a file. Raises `RsragError` when the page cannot be
    written.
    """
    from .classify import counts, most_doubtful_first

    tally = counts(found)
    number = {label: position for position, (label, _, _) in enumerate(tally)}
    images = most_doubtful_first(found)[:MOST]
    cards = [
        f'<li data-label="{number[image.label]}">{_card(_of(image, rank, shown, plugins))}</li>'
        for rank, image in enumerate(images, 1)
    ]
    options = [f'<option value="{number[label]}">{_safe(label)} ({n:,})</option>' for label, n, _ in tally]
    style = Path(__file__).with_name("gallery.html").read_text("utf-8").partition("<style>")[2].partition("</style>")[0]
    page = _PAGE.substitute(
        digest=base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode(),
        style=style,
        script=_SCRIPT,
        tally=f"{len(found.images):,} images under {len(tally):,} labels"
        + (f"; the {len(images):,} most doubtful are shown" if len(images) < len(found.images) else ""),
        options="".join(options),
        cards="\n".join(cards),
        footer=_failures(found.failed),
    )
    replace_file(path, page.encode("utf-8", "replace"))


def _of(image: Classification, rank: int, shown: Callable[[str], str], plugins: Plugins) -> Card:
    from ..classification import DOUBTFUL

    share = image.scores[0][1]
    lines = [shown(image.image), ", ".join(f"{label} {value:.0%}" for label, value in image.scores[:3])]
    lines += [f"the prompts alone: {image.plain}"] if image.plain != image.label else []
    lines += [f"with care: {image.reason}"] if image.reason else []
    return Card(
        rank=rank,
        kind="image",
        title=image.label,
        text="\n".join(lines),
        strength="strong" if share >= DOUBTFUL else "fair" if share >= DOUBTFUL / 2 else "weak",
        image_bytes=_thumbnail(image.image, plugins),
    )


def _thumbnail(image: str, plugins: Plugins) -> bytes | None:
    """A JPEG, or None for a file that has gone since it was classified; the card says so."""
    from PIL import Image

    from ..scene import open_scene

    buffer = io.BytesIO()
    try:
        Image.fromarray(open_scene(image, plugins).rgb(SIDE)).save(buffer, "JPEG", quality=80)
    except (RsragError, OSError):
        return None
    return buffer.getvalue()


def _failures(failed: Sequence[tuple[str, str]]) -> str:
    if not failed:
        return "All images could be read."
    named = "; ".join(Path(image).name for image, _ in failed[:20])
    rest = f" and {len(failed) - 20:,} more" if len(failed) > 20 else ""
    return f"{len(failed):,} could not be read: {_safe(named)}{rest}."
