"""What int8 costs on CIFAR-10: accuracy in torch, and of the ONNX files in onnxruntime, in float32 and after static
quantisation (`nas export --int8`), of a ViT on convolutions, of one of its sub-networks with dropped tokens, gathered
inputs and factored matrices, and of both with matrices in int8 by `bits`; sizes of files, and how far answers are off.

    python -m benchmarks.int8 cifar10.npz --weights base.safetensors [--test 10000] [--train 42500]

The weights are those of `benchmarks.methods`' subject cifar10; the sub-network learns for an epoch. Rows go to
studies/results/int8.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.method_subjects import CONVOLUTIONS
from benchmarks.tables import RESULTS, Rows
from nas.data import Data, DataSpec, load_data
from nas.deployment import deployable, int8, onnx_file
from nas.evaluation.evaluate import evaluate
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build, load_weights
from nas.system.environment import commit
from nas.tasks.classification import Classification
from nas.training import FitCall, PlainStep, Recipe, Runtime, fit

CHOICES = """
  queries: {keep: [0.6, 1.0], per: model, drop: true}
  fc1_in: {size: [0.75, 1.0], per: model}
  rank: {rank: [0.5, 1.0], of: [qkv, fc2], per: model}
  bits: {bits: [8, 32], per: model}
"""
WHOLE = {"queries": 1.0, "fc1_in": 1.0, "rank": 1.0}
CUT = {"queries": 0.6, "fc1_in": 0.75, "rank": 0.5}
MODELS = {
    "whole": WHOLE | {"bits": 32},
    "whole, bits 8": WHOLE | {"bits": 8},
    "cut": CUT | {"bits": 32},
    "cut, bits 8": CUT | {"bits": 8},
}
BATCHES = (1, 2, 5, 64)
RETRAINING = Recipe(epochs=1, lr=1e-3, batch=128, warmup=0.5, augment="crop+flip", smoothing=0.1)


def supernet_with(weights: Path) -> Supernet:
    arguments = CONVOLUTIONS | {"num_classes": 10, "in_chans": 3}
    space = SearchSpace.from_yaml(f"model: vit_c_1gf\nchoices:{CHOICES}", model_args=arguments)
    model = build("vit_c_1gf", space.model_args)
    load_weights(model, weights)
    return Supernet(model, space)


def model_of(supernet: Supernet, architecture: Architecture, data: Data) -> nn.Module:
    """The sub-network; one that was cut learns again."""
    model = supernet.extract(architecture)
    if architecture["queries"] < 1:
        fit(FitCall(model, PlainStep(), data, RETRAINING, 0), Runtime(progress=False))
    return model.eval()


def off(run: Callable[[Tensor], list[Tensor]], model: nn.Module, images: Tensor) -> float:
    """The greatest difference of a logit at several sizes of batch, over the greatest logit."""
    with torch.no_grad():
        expected = [model(images[:size]) for size in BATCHES]
    pairs = zip(expected, (run(images[:size])[0] for size in BATCHES), strict=True)
    return max(float((answer - wanted).abs().max() / wanted.abs().max()) for wanted, answer in pairs)


def rows(supernet: Supernet, name: str, data: Data, test: Any) -> Iterator[dict[str, Any]]:
    """One for each form of a model."""
    architecture = supernet.space.spelled(Architecture(MODELS[name]))
    model, counts = model_of(supernet, architecture, data), supernet.cost.counts(architecture)
    sample = next(test.batches(max(BATCHES))).inputs

    def row(form: str, run: Callable[[Tensor], Tensor], size: int, difference: float) -> dict[str, Any]:
        accuracy = evaluate(run, test, Classification(), batch=64).metrics["accuracy"]
        shares = {
            f"{what}_share": round(counts[what] / supernet.cost.base(what), 4) for what in ("macs", "bit_operations")
        }
        return {"model": name, "form": form, "accuracy": accuracy, "images": len(test), **shares,
                "weights_bytes": counts["size"], "file_bytes": size, "greatest_difference": f"{difference:.1e}",
                "commit": commit()}  # fmt: skip

    yield row("torch", model, 0, 0.0)
    original = deployable(model, (3, 32, 32), None, None)
    with TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "int8.onnx"
        onnx_file.write(original, whole)
        run = onnx_file.session(whole)
        yield row("onnx", lambda images: run(images)[0], whole.stat().st_size, off(run, model, sample))
        if architecture["bits"] == 8:
            return
        int8.write(original, small, whole, next(data.train.shuffled(0).batches(int8.CALIBRATION)).inputs)
        quantised = onnx_file.session(small)
        yield row("onnx, --int8", lambda images: quantised(images)[0], small.stat().st_size,
                  off(quantised, model, sample))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="CIFAR-10 as .npz in the MedMNIST layout")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--test", type=int, default=10_000, help="images of the test split")
    parser.add_argument("--train", type=int, default=42_500, help="images that the sub-network learns from")
    parser.add_argument("--to", type=Path, default=RESULTS / "int8.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    spec = DataSpec(path=str(options.data), image_size=32, train_images=options.train)
    whole = load_data(DataSpec(path=str(options.data), image_size=32), image_size=32, seed=0)
    data = load_data(spec, image_size=32, seed=0, constants=whole.train.preprocessing)
    test = data.test.shuffled(0).between(0, options.test)
    table = Rows(options.to, ["model", "form"])
    for name in MODELS:
        for row in rows(supernet_with(options.weights), name, data, test):
            table.append(row)
            print(row, flush=True)


if __name__ == "__main__":
    main()
