"""The model server of docs/examples in a real Chromium: a picture goes up, and the page names its classes as the
exported script does; what is no picture is said.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine import browser
from PIL import Image

import nas.cli
from nas import SearchSpace, Supernet
from nas.preprocessing import Preprocessing
from nas.supernets import build, save
from nas.supernets.model_input import ModelInput

uvicorn = pytest.importorskip("uvicorn", reason="the example's own dependency")
pytest.importorskip("fastapi", reason="the example's own dependency")
pytest.importorskip("onnxruntime", reason="an extra")
api = pytest.importorskip("playwright.sync_api", reason="a development dependency")

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "model_server.py"
SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, in_chans: 1, num_classes: 3, embed_dim: 16, depth: 1, num_heads: 2}
choices:
  mlp: {size: [8]}
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `nas export --onnx --script` writes of a small model whose classes have names."""
    folder = tmp_path_factory.mktemp("server")
    space = SearchSpace.from_yaml(SPACE)
    supernet = Supernet(build(space.model, space.model_args), space)
    images = ModelInput(1, 8, Preprocessing(mean=(0.3,), std=(0.4,)))
    about = {"input": images.as_json(), "classes": ["cat", "dog", "<b>bird</b>"]}
    save(folder / "model", supernet.extract(space.smallest), supernet.blueprint(space.smallest, about))
    assert nas.cli.main(["export", str(folder / "model"), "--onnx", str(folder / "winner.onnx"), "--script"]) == 0
    return folder / "winner.py"


@pytest.fixture(scope="module")
def served(script: Path) -> Iterator[str]:
    """The address of the page."""
    spec = importlib.util.spec_from_file_location("model_server", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    running = uvicorn.Server(uvicorn.Config(example.server(script), host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}/"
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def page(served: str) -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        opened = started.new_page()
        opened.goto(served)
        yield opened
        started.close()


def up(page: Any, name: str, content: bytes) -> None:
    page.get_by_label("A picture").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_a_picture_gets_the_classes_that_the_script_says(page: Any, script: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)
    stored = io.BytesIO()
    Image.fromarray(pixels).save(stored, format="PNG")
    pictures = script.with_name("pictures")
    pictures.mkdir()
    (pictures / "one.png").write_bytes(stored.getvalue())
    said = subprocess.run([sys.executable, script, pictures, "--json"], capture_output=True, text=True, check=True)
    likely = json.loads(said.stdout)["probabilities"]

    up(page, "one.png", stored.getvalue())
    page.locator("#classes li").nth(2).wait_for()
    shown = page.locator("#classes li").all_text_contents()
    names = ["cat", "dog", "<b>bird</b>"]
    best = sorted(range(3), key=lambda at: -likely[at])
    assert shown == [f"{names[at]}{100 * likely[at]:.1f} %" for at in best]
    assert page.locator("#preview").is_visible()


def test_what_is_no_picture_is_said(page: Any) -> None:
    up(page, "none.png", b"<svg onload=alert(1)>")
    page.get_by_text("This is no picture that can be read.").wait_for()
    assert page.locator("#classes li").count() == 0
