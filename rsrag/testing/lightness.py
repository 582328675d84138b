"""`assert_light_import`: importing a plugin must not bring in what takes seconds to load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

HEAVY: Final = (
    "torch", "torchvision", "transformers", "open_clip", "timm", "onnxruntime", "tensorflow", "jax",
    "chromadb", "langchain", "langchain_core", "langchain_community", "rasterio", "geopandas", "pandas", "scipy",
    "sklearn", "skimage", "matplotlib", "cv2",
)  # fmt: skip
"""Packages that take a third of a second or more to import, measured or known."""

LIMIT: Final = 120
"""Seconds that an import may take before it is given up."""

# Runs in a new process: whatever this one has imported already would hide an import. It stops at the first heavy
# package instead of loading it, which costs a tenth of a second instead of several.
_PROBE: Final = """
import importlib, json, os, sys, traceback
given = json.loads(sys.argv[1])
sys.path[:] = given["path"]
forbidden = set(given["forbidden"]) - {name.partition(".")[0] for name in sys.modules}
def say(**found):
    os.write(given["fd"], json.dumps(found).encode())
    os._exit(0)
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in forbidden:
            frames = [f for f in traceback.extract_stack()[:-1] if "<" not in f.filename]
            say(heavy=name, chain=[[f.filename, f.lineno, f.line] for f in frames if "importlib" not in f.filename])
sys.meta_path.insert(0, Watch)
try:
    module = importlib.import_module(given["module"])
    for hook in list(vars(module).values()):  # what a plugin offers is asked for at the same moments
        if hasattr(hook, "rsrag_impl") and not hook.__code__.co_argcount:
            hook()
except BaseException as error:
    say(failed=traceback.format_exception_only(error)[-1].strip())
say()
"""


def assert_light_import(module: str, forbidden: Sequence[str] = HEAVY) -> None:
    """Import `module` in a new process, call the hooks by which it offers components, and fail when that imports a
    package of `forbidden` (top-level names).

    The `AssertionError` names the package and the lines that led to it, outermost first.
    """
    reader, writer = os.pipe()
    given = {"module": module, "forbidden": list(forbidden), "path": sys.path, "fd": writer}
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, json.dumps(given)],
            pass_fds=(writer,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        os.close(reader)
        raise AssertionError(
            f"importing {module} did not end within {LIMIT} s; do nothing but define things."
        ) from None
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    if not answer:
        raise AssertionError(f"importing {module} ended its process (exit {done.returncode}): {done.stderr[-500:]}")
    found = json.loads(answer)
    if "failed" in found:
        raise AssertionError(f"{module} cannot be imported in a new process: {found['failed']}")
    if "heavy" in found:
        chain = " -> ".join(f"{_short(file)}:{line} `{code}`" for file, line, code in found["chain"])
        raise AssertionError(
            f"importing {module} imports {found['heavy']}, which every start of rsrag would pay for: {chain}. "
            "Move that import into the function or method that uses it."
        )


def _short(file: str) -> str:
    """The file below the folder it was imported from."""
    roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
    return file[len(max(roots, key=len)) + 1 :] if roots else file
