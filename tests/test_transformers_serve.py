"""Chat models against `transformers serve`, a server that nobody here wrote, with a tiny random model on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_vlms

from rsrag import Evidence, ModelError, Notice, Prompt, Provenance, Scene, Text, ToolSpec, Usage
from rsrag.builtin.models.langchain import LangChainModel
from rsrag.torchvision_ops import ensure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Where torchvision's own decoder of images was not built, Pillow decodes for the server.
LAUNCH = """
import io, sys
from rsrag.torchvision_ops import ensure
ensure()
import numpy, PIL.Image, torch, torchvision.io.image as codec
def decode(data, mode=None, **_):
    picture = PIL.Image.open(io.BytesIO(bytes(data.tolist()))).convert("RGB")
    return torch.from_numpy(numpy.array(picture)).permute(2, 0, 1)
try:
    codec.decode_image(torch.frombuffer(bytearray(open(sys.argv[2], "rb").read()), dtype=torch.uint8))
except Exception:
    codec.decode_image = decode
    import torchvision.io
    torchvision.io.decode_image = decode
from transformers.cli.transformers import main
sys.argv = ["transformers", "serve", sys.argv[1], *sys.argv[3:]]
main()
"""


class Pixels:
    def rgb(self, max_side: int) -> np.ndarray:
        return np.full((28, 56, 3), 90, np.uint8)


SCENE = Scene("field.tif", 56, 28, Pixels())  # type: ignore[arg-type]
MARSH = Evidence(1, "text", "Marsh", "A marsh is wet ground.", Provenance("p", "r", "class/marsh"))
PROMPT = Prompt("ask", "What is a marsh?", (), (MARSH,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ensure()
    return tiny_vlms.qwen(tmp_path_factory.mktemp("qwen"))


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """(address, process) of a server that is ready."""
    from PIL import Image

    picture = folder / "probe.png"
    Image.new("RGB", (8, 8)).save(picture)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (folder / f"serve-{port}.log").open("wb")
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(folder), str(picture), *options],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, folder / log.name)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        process.kill()
        process.wait()
        log.close()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"the server did not come up:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serving(folder) as (url, _):
        yield url


def model(folder: Path, address: str, **options: Any) -> LangChainModel:
    given = {"retries": 0, "timeout": 60, "max_tokens": 40, **options}
    return LangChainModel(f"openai:{folder}", base_url=address, **given)


def said(events: list[Any]) -> str:
    return "".join(e.text for e in events if isinstance(e, Text))


def test_it_streams_and_counts(folder: Path, address: str):
    asked = model(folder, address)
    events = list(asked.generate(PROMPT))
    assert len([e for e in events if isinstance(e, Text)]) > 3
    assert [e.output_tokens for e in events if isinstance(e, Usage)] == [40]
    assert any(isinstance(e, Notice) and "was cut" in e.text for e in events)
    assert said(list(asked.generate(PROMPT))) == said(events)


def test_it_takes_several_images(folder: Path, address: str):
    def tokens(*scenes: Scene) -> int:
        events = list(model(folder, address).generate(Prompt("ask", "What is it?", scenes, (MARSH,))))
        assert said(events) and not any(isinstance(e, Notice) and "refuses" in e.text for e in events)
        return next(e.input_tokens for e in events if isinstance(e, Usage))

    none, one, two = tokens(), tokens(SCENE), tokens(SCENE, SCENE)
    assert none < one < two


def test_tools_are_taken_by_its_template(folder: Path, address: str):
    locate = ToolSpec("locate", "Where it lies.", {"type": "object", "properties": {}})
    asked = model(folder, address)
    events = list(asked.generate(Prompt("ask", "Where?", (SCENE,), (MARSH,), tools=(locate,))))
    assert said(events) and not any(isinstance(e, Notice) and "refuses" in e.text for e in events)


def test_closing_stops_it_and_it_serves_the_next(folder: Path, address: str):
    endless = model(folder, address, max_tokens=6000).generate(PROMPT)
    assert isinstance(next(endless), Text)
    start = time.monotonic()
    endless.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 2
    assert said(list(model(folder, address).generate(PROMPT)))
    assert time.monotonic() - start < 30


def test_an_unknown_model_is_told_in_a_line(folder: Path, address: str):
    wrong = LangChainModel("openai:someone-else", base_url=address, retries=0)
    with pytest.raises(ModelError) as caught:
        list(wrong.generate(PROMPT))
    assert "\n" not in caught.value.message and "someone-else" in caught.value.message


def test_a_server_killed_in_the_middle(folder: Path):
    with serving(folder) as (address, process):
        answer = model(folder, address, max_tokens=6000).generate(PROMPT)
        got = [next(answer)]
        process.send_signal(signal.SIGKILL)
        with pytest.raises(ModelError) as caught:
            got.extend(answer)
        assert said(got) and "broke off in the middle" in caught.value.message
        assert "still running" in caught.value.hint
        with pytest.raises(ModelError) as gone:
            list(model(folder, address, timeout=5).generate(PROMPT))
        assert "Is the server running" in gone.value.hint
