"""A script that runs an ONNX classifier on a folder of pictures, with numpy, Pillow and onnxruntime alone."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nas.data.transforms.evaluation import evaluation
from nas.deployment.onnx_file import session
from nas.errors import DeploymentError
from nas.supernets.model_input import ModelInput

TEMPLATE = Path(__file__).with_name("example_script.txt")
LEVELS = 3
"""Of 255, by which a pixel may differ: Pillow rounds a resized picture otherwise than torch."""
TOLERANCE = 1e-4
"""Greatest difference of a probability."""
SECONDS = 600
"""After which a script that is tried has failed."""


def text(model: str, images: ModelInput, classes: Sequence[str]) -> bytes:
    """The script for the file `model` beside it, of a model with these images and classes.

    Raises `DeploymentError` for pictures that are no squares.
    """
    if not isinstance(images.size, int) or images.channels not in (1, 3):
        raise DeploymentError("--script: found a model whose pictures are no squares, grey or RGB; allowed: such")
    constants = {
        "MODEL": model,
        "SIZE": images.size, "MODE": "L" if images.channels == 1 else "RGB", "MEAN": images.preprocessing.mean,
        "STD": images.preprocessing.std, "CROP_PCT": images.preprocessing.crop_pct,
        "INTERPOLATION": images.preprocessing.interpolation.upper(), "CROP_MODE": images.preprocessing.crop_mode,
        "CLASSES": list(classes),
    }  # fmt: skip
    said = "\n".join(f"{name} = {value!r}" for name, value in constants.items())
    return TEMPLATE.read_text(encoding="utf-8").replace("# CONSTANTS", said).encode()


def check(script: Path, model: Path, images: ModelInput) -> None:
    """Tries a script on two pictures, by chance: how it prepares them, and, in a process of its own, what it says.

    Raises `DeploymentError` where that is not what the model is fed, or not what the file `model` says.
    """
    with TemporaryDirectory() as folder:
        pictures = _pictures(Path(folder), images)
        own = torch.from_numpy(np.concatenate([runpy.run_path(str(script))["prepare"](path) for path in pictures]))
        command = [sys.executable, "-I", str(script), folder, "--model", str(model), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    expected = torch.stack(list(pictures.values()))
    levels = 255 * float((own - expected).abs().max()) * max(images.preprocessing.std)
    if not levels <= LEVELS:
        raise DeploymentError(f"--script: pixels differ by {levels:.0f} levels; allowed: {LEVELS}; nothing was written")
    if done.returncode:
        raise DeploymentError(f"--script: failed ({done.stderr.strip()[-200:]}); nothing was written")
    answers = torch.tensor([json.loads(line)["probabilities"] for line in done.stdout.splitlines()])
    difference = float((answers - session(model)(own)[0].softmax(-1)).abs().max())
    if not difference <= TOLERANCE:
        raise DeploymentError(
            f"--script: probabilities differ from the file's by {difference:.2g}; allowed: {TOLERANCE:g}; nothing was "
            "written"
        )


def _pictures(folder: Path, images: ModelInput) -> dict[Path, Tensor]:
    """A picture of the model's size and a larger, oblong one, written to a folder -> as the model is fed them."""
    assert isinstance(images.size, int)
    rng, constants = np.random.default_rng(0), images.preprocessing
    mean, std = (torch.tensor(values)[:, None, None] for values in (constants.mean, constants.std))
    pictures: dict[Path, Tensor] = {}
    for name, sides in (("a.png", (images.size, images.size)), ("b.png", (2 * images.size, 3 * images.size))):
        coarse = rng.integers(0, 256, (4, 4, images.channels), dtype=np.uint8)
        picture = Image.fromarray(coarse.squeeze()).resize(sides, Image.Resampling.BICUBIC)
        picture.save(folder / name)
        pictures[folder / name] = (evaluation(images.size, constants)(picture).float() / 255 - mean) / std
    return pictures
