"""Models of Hugging Face's transformers, by class and from a folder with their configuration, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nas.errors import ModelError
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build, load, save
from nas.supernets.derived.checking import check
from nas.supernets.derived.sources import built_by, image_of

transformers = pytest.importorskip("transformers")

PLAIN = {
    "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
WINDOWS = {
    "image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 3], "window_size": 4,
}  # fmt: skip
OF_ATTENTION = {"heads", "head_dim", "value_dim", "mlp", "depth"}
MODELS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "ViTForImageClassification": (PLAIN, {"embed", *OF_ATTENTION}),
    "Dinov2ForImageClassification": ({**PLAIN, "mlp_ratio": 2}, {"embed", *OF_ATTENTION}),
    "DINOv3ViTModel": (PLAIN, OF_ATTENTION),
    "SwinForImageClassification": (WINDOWS, {"embed", *OF_ATTENTION}),
    "ConvNextForImageClassification": (
        {"hidden_sizes": [8, 12, 16, 20], "depths": [1, 1, 1, 1], "image_size": 32},
        {"embed", "mlp", "depth"},
    ),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_axes_of_a_class_hold(name: str) -> None:
    """By the arguments of its configuration; the hidden states of a model without a head stay."""
    arguments, kinds = MODELS[name]
    model = built_by(f"hf/{name}", arguments)
    proofs = list(check(model, image_of(model, arguments), at_once=True))
    assert {proof.kind for proof in proofs} == kinds
    assert all(proof.good for proof in proofs)


def test_a_model_from_a_folder_is_searched_and_saved(tmp_path: Path) -> None:
    """No code of the folder runs, and none of its weights is read."""
    transformers.ViTConfig(**PLAIN, num_labels=5).save_pretrained(tmp_path / "vit")
    space = SearchSpace.from_yaml(f"""
    model: hf/{tmp_path / "vit"}
    model_args: {{num_labels: 3}}
    choices: {{mlp: {{size: [0.5, 1.0], per: block}}, depth: {{depth: [1, 2]}}}}
    """)
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    extracted = supernet.extract(space.smallest)
    save(tmp_path / "small", extracted, supernet.blueprint(space.smallest))
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = load(tmp_path / "small")(images)
        assert outputs.shape == (2, 3)
        assert torch.equal(outputs, supernet(images, space.smallest))


def test_a_class_that_draws_in_evaluation_is_refused() -> None:
    """A masked autoencoder leaves patches out at random."""
    model = built_by("hf/ViTMAEModel", PLAIN)
    with pytest.raises(ModelError, match="draws random numbers in evaluation"):
        list(check(model, (3, 32, 32)))


def test_a_class_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="transformers has no model 'NoSuchModel'"):
        built_by("hf/NoSuchModel", {})
