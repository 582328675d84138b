"""Views of images for training: overhead scenes have no up, come at every scale, and in every kind of light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Augment:
    """How far a view may stray. `zoom`: the side of the view as a share of the image's; above 1 the image is
    mirrored around itself. Shares are probabilities per image."""

    zoom: tuple[float, float] = (0.4, 1.6)
    brightness: float = 0.3
    contrast: float = 0.3
    tint: float = 0.12
    grey: float = 0.12
    coarse: float = 0.2
    free_rotation: float = 0.6

    def view(self, pixels: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
        """uint8 (n, 3, H, W) -> float32 (n, 3, size, size) in 0..1: turned, mirrored, zoomed, shifted, relit."""
        import torch
        import torch.nn.functional as F

        n = len(pixels)

        def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
            return (torch.rand(n, *shape, generator=generator) * (high - low) + low).to(pixels.device)

        zoom = torch.exp(uniform(math.log(self.zoom[0]), math.log(self.zoom[1])))
        stretch = torch.exp(uniform(-0.12, 0.12))
        quarter = torch.floor(uniform(0, 4)) * (math.pi / 2)
        free = (uniform(0, 1) < self.free_rotation) * uniform(-math.pi / 4, math.pi / 4)
        turn = quarter + free
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        room = (1 - zoom).abs()
        shift = uniform(-1, 1, 2) * room[:, None]
        cos, sin = torch.cos(turn), torch.sin(turn)
        theta = torch.stack(
            [
                torch.stack([zoom * stretch * cos * mirror, -zoom * sin, shift[:, 0]], 1),
                torch.stack([zoom * stretch * sin * mirror, zoom * cos, shift[:, 1]], 1),
            ],
            1,
        )
        # Sampled at twice the size and averaged, so that shrinking does not alias.
        grid = F.affine_grid(theta, [n, 3, 2 * size, 2 * size], align_corners=False)
        source = pixels.contiguous(memory_format=torch.channels_last).float().div_(255)
        view = F.grid_sample(source, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        view = F.avg_pool2d(view, 2)
        coarse = uniform(0, 1) < self.coarse
        if coarse.any():
            small = F.interpolate(view[coarse], scale_factor=0.5, mode="area")
            view[coarse] = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
        light = uniform(1 - self.brightness, 1 + self.brightness, 1, 1, 1)
        contrast = uniform(1 - self.contrast, 1 + self.contrast, 1, 1, 1)
        tint = uniform(1 - self.tint, 1 + self.tint, 3, 1, 1)
        middle = view.mean((1, 2, 3), keepdim=True)
        view = ((view - middle) * contrast + middle) * light * tint
        grey = uniform(0, 1) < self.grey
        if grey.any():
            weights = torch.tensor([0.299, 0.587, 0.114], device=view.device).view(1, 3, 1, 1)
            view[grey] = (view[grey] * weights).sum(1, keepdim=True)
        return view.clamp_(0, 1)


def cutmix(view: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Paste one box of shuffled images into the others: (mixed views, the shuffle, share of the image kept)."""
    import torch

    n, _, height, width = view.shape
    order = torch.randperm(n, generator=generator).to(view.device)
    kept = float(torch.rand(1, generator=generator))
    cut = math.sqrt(1 - kept)
    h, w = int(height * cut), int(width * cut)
    top = int(torch.randint(0, height - h + 1, (1,), generator=generator))
    left = int(torch.randint(0, width - w + 1, (1,), generator=generator))
    mixed = view.clone()
    mixed[:, :, top : top + h, left : left + w] = view[order, :, top : top + h, left : left + w]
    return mixed, order, 1 - h * w / (height * width)
