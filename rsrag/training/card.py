"""The model card that goes with trained weights: what they saw, how well they do, what they must not be used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encoder import Report
    from .fit import Recipe


def encoder_card(report: Report, recipe: Recipe, names: Mapping[str, Sequence[str]]) -> str:
    """Markdown. Terms of the data and limits are for the trainer to complete: rsrag cannot know them."""
    start = f"weights `{recipe.init}`" if recipe.init else "random weights"
    sizes = ", ".join(f"{size} px for {share:.0%}" for size, share in recipe.phases)
    lines = [
        "# Image-text encoder",
        "",
        f"An image tower (`{recipe.backbone}`, started from {start}) trained with rsrag into the space of the text "
        "tower beside it.",
        "",
        "## Data",
        "",
        f"{report.data}. {len(report.problems):,} rows could not be used.",
        "",
        "Terms of the data: *to be completed by whoever publishes these weights.*",
        "",
        "## Training",
        "",
        f"{report.steps:,} steps of {recipe.batch} images, {sizes} of them; seed {recipe.seed}. "
        f"{len(names):,} classes had phrases of their own.",
        "",
        "## Validation",
        "",
        "| measure | share right, 95 % interval | cases |",
        "|---|---|---|",
        *(f"| {name} | {share} | {share.n:,} |" for name, share in report.shares.items()),
        "",
        "Validation images were not trained on; they come from the same collections, so other places and sensors "
        "will do worse.",
        "",
        "## Limits",
        "",
        "It has seen what its data shows and nothing else. Images of another kind (radar, other ground sample "
        "distances, not from above) get confident, meaningless vectors.",
        "",
    ]
    return "\n".join(lines)
