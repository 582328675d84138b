"""What the image tower is asked to learn, as losses on one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each loss counts, and how soft its targets are."""

    prompts: float = 1.0
    classes: float = 0.5
    captions: float = 1.0
    smoothing: float = 0.05
    equal: float = 0.75
    likeness: float = 0.05


def among(logits: torch.Tensor, target: torch.Tensor, allowed: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross-entropy over the classes of the row's own data set; rows without a class (-1) do not count."""
    import torch
    import torch.nn.functional as F

    known = target >= 0
    if not known.any():
        return logits.sum() * 0
    logits, target, allowed = logits[known], target[known], allowed[known]
    log = F.log_softmax(logits.masked_fill(~allowed, -1e4), dim=-1)
    picked = -log.gather(1, target[:, None])[:, 0]
    spread = -(log * allowed).sum(1) / allowed.sum(1)
    return torch.mean((1 - smoothing) * picked + smoothing * spread)


def contrast(
    images: torch.Tensor, captions: torch.Tensor, same: torch.Tensor, scale: torch.Tensor, weights: Weights
) -> torch.Tensor:
    """Symmetric contrastive loss whose targets spread over equal captions, and a little over alike ones.

    `images`, `captions`: (n, dim) unit rows; `same`: (n,) an id per caption text: equal texts are positives.
    """
    import torch
    import torch.nn.functional as F

    with torch.no_grad():
        equal = (same[:, None] == same[None, :]).float()
        equal /= equal.sum(1, keepdim=True)
        alike = F.softmax(captions @ captions.T / weights.likeness, dim=1)
        target = weights.equal * equal + (1 - weights.equal) * alike
    logits = scale * images @ captions.T
    one = -(target * F.log_softmax(logits, 1)).sum(1).mean()
    other = -(target.T * F.log_softmax(logits, 0)).sum(0).mean()
    return (one + other) / 2
