"""A page that says what a picture shows, by the winner of a run:

    nas export runs/digits --onnx winner.onnx --script        # also writes winner.py, which prepares pictures
    pip install fastapi uvicorn onnxruntime pillow
    python model_server.py winner.py                          # http://127.0.0.1:8000

POST /predict takes the bytes of one picture and answers with its classes, likeliest first. Neither torch nor nas is
needed. It listens on this machine alone; before others may reach it, put a server with TLS and limits in front.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from PIL import Image

LARGEST = 10 * 2**20
"""Bytes of a picture."""
SHOWN = 5
"""Classes that an answer names."""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>What is in this picture?</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 34em; margin: 2em auto; padding: 0 1em; }
  img { display: block; max-width: 100%; max-height: 16em; margin: 1em 0; image-rendering: pixelated; }
  li { display: grid; grid-template-columns: 8em 1fr 5em; gap: 1em; align-items: center; }
  ol { padding: 0; } [role=alert] { color: #b00020; }
</style>
<h1>What is in this picture?</h1>
<label>A picture <input type="file" id="picture" accept="image/*"></label>
<img id="preview" alt="The picture" hidden>
<ol id="classes" aria-live="polite"></ol>
<p id="fault" role="alert"></p>
<script>
  const part = name => document.getElementById(name);
  part("picture").addEventListener("change", async event => {
    const [file] = event.target.files;
    if (!file) return;
    part("classes").replaceChildren();
    part("fault").textContent = "";
    part("preview").src = URL.createObjectURL(file);
    part("preview").hidden = false;
    const answer = await fetch("predict", {method: "POST", body: file});
    const said = await answer.json();
    if (!answer.ok) { part("fault").textContent = said.detail; return; }
    for (const {name, probability} of said.classes) {
      const item = document.createElement("li"), bar = document.createElement("meter");
      bar.value = probability;
      bar.setAttribute("aria-label", name);
      item.append(name, bar, (100 * probability).toFixed(1) + " %");
      part("classes").append(item);
    }
  });
</script>
</html>
"""


def server(script: Path) -> FastAPI:
    """The application around the model of a script that `nas export --script` wrote; its ONNX file is beside it."""
    winner = _module(script)
    session = onnxruntime.InferenceSession(str(script.with_name(winner.MODEL)), providers=["CPUExecutionProvider"])
    app = FastAPI(title="What is in this picture?")

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return PAGE

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > LARGEST:
                raise HTTPException(413, f"The picture has more than {LARGEST / 2**20:.0f} MiB.")
        try:
            images = winner.prepare(io.BytesIO(content))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as wrong:
            raise HTTPException(422, "This is no picture that can be read.") from wrong
        (logits,) = session.run(None, {"images": images})[0]
        likely = np.exp(logits - logits.max())
        likely /= likely.sum()
        names = winner.CLASSES or [str(number) for number in range(len(likely))]
        best = np.argsort(-likely, kind="stable")[:SHOWN]
        return {"classes": [{"name": names[at], "probability": float(likely[at])} for at in best]}

    return app


def _module(script: Path) -> ModuleType:
    """The script as a module: it prepares pictures as the model learned them."""
    spec = importlib.util.spec_from_file_location("winner", script)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{script}: no Python script")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("script", type=Path, help="winner.py, of nas export --script")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    uvicorn.run(server(options.script), host="127.0.0.1", port=options.port)
