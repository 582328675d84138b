"""Lets torchvision be imported where it was built for CUDA and torch was not.

Such a pair fails on import, "operator torchvision::nms does not exist", and takes open_clip and timm with it, though
they need only its transforms and no operator. Declaring the missing ones is enough; calling them still fails.
"""

from __future__ import annotations

import importlib
import sys
import threading
from typing import Any, Final

MISSING: Final = "operator torchvision::"
SIGNATURE: Final = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

_lock = threading.Lock()
_libraries: list[object] = []  # an operator lives as long as the library that declared it


def ensure() -> None:
    """Import torchvision, declaring the operators `nms` and `qnms` if, and only if, it fails for want of them.

    Any other failure is raised as it is: ImportError where torchvision is not installed.
    """
    with _lock:
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if MISSING not in str(error):
                raise
            _declare()
            importlib.import_module("torchvision")


def _declare() -> None:
    import torch

    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    make: Any = torch.library.Library  # which has no types
    library = make("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + SIGNATURE)
    _libraries.append(library)
