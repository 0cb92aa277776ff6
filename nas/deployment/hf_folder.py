"""A folder that transformers loads, with the modelling file in it: `AutoModelForImageClassification.from_pretrained`.
It needs timm, and neither `nas` nor anything that is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import fx, nn

from nas.deployment.checking import compare
from nas.deployment.deployable import Deployable
from nas.detectors._base import Detector
from nas.errors import DeploymentError
from nas.supernets.model_input import ModelInput
from nas.system.quiet import quiet

TEMPLATE = Path(__file__).with_name("hf_modeling.txt")
MODULE = "modeling_nas"
PACKAGES = ("transformers", "safetensors")
PLAIN = (bool, int, float, str)


def require_packages() -> None:
    """Raises `DeploymentError` where what reads such a folder is not installed."""
    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise DeploymentError(f"--hf needs {', '.join(absent)}, not installed: pip install {' '.join(absent)}")


def write(
    original: Deployable,
    name: str,
    arguments: Mapping[str, Any],
    folder: Path,
    images: ModelInput | None = None,
    classes: Sequence[str] = (),
) -> str:
    """Writes a model that was cut out of timm's `name`, built with `arguments`, to an empty folder, lets transformers
    load it and compares; returns a sentence about the folder. `images` say how pictures are prepared.

    Raises `DeploymentError` where a package is missing, or for a model with layers that timm's has not.
    """
    require_packages()
    model = original.module
    if isinstance(model, Detector) or not timm.is_model(name):
        raise _refusal(f"timm has no {type(model).__name__} called {name}")
    config = {
        "architectures": ["CutForImageClassification"],
        "auto_map": {
            "AutoConfig": f"{MODULE}.CutConfig",
            "AutoModelForImageClassification": f"{MODULE}.CutForImageClassification",
        },
        "model_type": "nas_cut",
        "timm_name": name,
        "timm_args": dict(arguments),
        **_differences(model, timm.create_model(name, **arguments)),
        "id2label": {str(number): label for number, label in enumerate(classes)} or None,
    }
    said = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(said, indent=1))
    (folder / f"{MODULE}.py").write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    if images is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(_preprocessing(images), indent=1))
    tensors = {f"cut.{path}": tensor.detach().clone().contiguous() for path, tensor in _tensors(model)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with quiet():
        from transformers import AutoModelForImageClassification

        # What is trusted is the file that was written a moment ago.
        loaded: Any = AutoModelForImageClassification.from_pretrained(folder, trust_remote_code=True).eval()
        with torch.no_grad():
            closeness = compare("--hf", original, lambda batch: [loaded(batch).logits])
    return f"AutoModelForImageClassification.from_pretrained(FOLDER, trust_remote_code=True): {closeness}"


def _tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and all buffers, also those that timm makes anew, whose sizes may be others here."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def _differences(model: nn.Module, built: nn.Module) -> dict[str, Any]:
    """What must be changed in what timm built, so that it becomes the model. Raises `DeploymentError` for what no such
    change makes: other layers.
    """
    ours, theirs = (dict(one.named_modules()) for one in (model, built))
    for path, module in ours.items():
        if path not in theirs or type(module) is not type(theirs[path]) or isinstance(module, fx.GraphModule):
            kind = type(module).__name__
            raise _refusal(f"'{path}' is a {kind} of its own (it chooses tokens or inputs, is factored, or int8)")
    gone = [path for path in theirs if path not in ours]
    outermost = [path for path in gone if not any(path.startswith(f"{other}.") for other in gone)]
    numbers: dict[str, dict[str, Any]] = {}
    for path, module in ours.items():
        before_it = _plain(theirs[path])
        changed = {key: _as_json(value) for key, value in _plain(module).items() if before_it.get(key) != value}
        if changed:
            numbers[path] = changed
    shapes = {path: list(parameter.shape) for path, parameter in model.named_parameters()}
    before = {path: list(parameter.shape) for path, parameter in built.named_parameters()}
    buffers = {
        path: [list(buffer.shape), str(buffer.dtype).removeprefix("torch.")] for path, buffer in model.named_buffers()
    }
    return {
        "without": outermost,
        "numbers": numbers,
        "shapes": {path: shape for path, shape in shapes.items() if before.get(path) != shape},
        "buffers": buffers,
    }


def _plain(module: nn.Module) -> dict[str, Any]:
    """The numbers and texts that a module holds."""
    return {
        key: value
        for key, value in vars(module).items()
        if not key.startswith("_")
        and key != "training"
        and (isinstance(value, PLAIN) or (isinstance(value, tuple) and all(isinstance(one, PLAIN) for one in value)))
    }


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _preprocessing(images: ModelInput) -> dict[str, Any]:
    """As transformers' ViTImageProcessor says it, but for cropping, which it has not."""
    how, size = images.preprocessing, images.size
    height, width = (size, size) if isinstance(size, int) else size
    return {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": height, "width": width},
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": list(how.mean),
        "image_std": list(how.std),
        "resample": 3 if how.interpolation == "bicubic" else 2,
    }


def _refusal(reason: str) -> DeploymentError:
    return DeploymentError(
        f"--hf: the modelling file cannot express this model: {reason}; --onnx and --torch-export can"
    )
