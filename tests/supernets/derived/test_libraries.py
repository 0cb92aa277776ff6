"""Models of other libraries and of the user's own are asked for channels, classes and image sizes in their words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from nas import Study
from nas.errors import ModelError
from nas.supernets import anatomy, build
from nas.supernets.derived.deriving import derive
from nas.supernets.derived.sources import built_by
from nas.supernets.families import family_of
from nas.trusted import trust_code

MODELS = Path(__file__).parents[3] / "studies" / "models"
VIT = {"patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16}
GREY = {"in_chans": 1, "num_classes": 4, "img_size": 8}
OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, channels=1):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels * 64, 6), nn.Linear(6, classes)

    def forward(self, x):
        return self.fc2(self.fc1(x.flatten(1)).relu())

def alone():
    return Net(10)

def told(num_classes, img_size):
    assert img_size == 8
    return Net(num_classes)

def maps():
    return nn.Conv2d(1, 10, 3)
"""


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Axes are derived in this process, which spares another one its imports."""
    monkeypatch.setattr(anatomy, "_bounded", anatomy._found)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with somebody's functions, which stands where they are."""
    (tmp_path / "somebodys.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for function in ("alone", "told", "maps"):
        trust_code(f"somebodys:{function}")
    return "somebodys"


def test_a_class_of_torchvision_reads_as_many_channels_as_the_data_have() -> None:
    model = built_by("torchvision/VisionTransformer", {**VIT, **GREY})
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 4)
    with pytest.raises(ModelError, match="torchvision has no model 'VisionTransformers'"):
        built_by("torchvision/VisionTransformers", {})


def test_names_of_torchvision_too() -> None:
    """Also one that takes images of any size."""
    with torch.device("meta"):
        assert built_by("torchvision/vit_b_16", {**GREY, "img_size": 16})(torch.zeros(1, 1, 16, 16)).shape == (1, 4)
        net = built_by("torchvision/squeezenet1_1", {"in_chans": 3, "img_size": 64})
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize(("function", "classes"), [("alone", 10), ("told", 4)])
def test_a_function_is_handed_what_it_takes(own: str, function: str, classes: int) -> None:
    assert built_by(f"{own}:{function}", GREY)(torch.zeros(2, 1, 8, 8)).shape == (2, classes)


@pytest.mark.parametrize(("function", "said"), [("alone", "Net gives 10"), ("maps", "Conv2d gives 10 x 6 x 6")])
def test_what_gives_no_logit_for_each_class_is_refused(own: str, function: str, said: str) -> None:
    with pytest.raises(ModelError, match=f"{said} numbers for an image; allowed: 4, a logit for each class"):
        family_of(build(f"{own}:{function}", GREY))


def test_arguments_that_the_data_do_not_say_are_the_users_to_get_right(own: str) -> None:
    with pytest.raises(ModelError, match="unexpected keyword argument 'depth'"):
        built_by(f"{own}:alone", {**GREY, "depth": 3})


def test_a_model_of_the_same_name_and_arguments_is_captured_once() -> None:
    first, second = (build("torchvision/VisionTransformer", {**VIT, **GREY}) for _ in range(2))
    graphs: Any = first.graphs
    assert graphs is second.graphs
    assert graphs is not build("torchvision/VisionTransformer", {**VIT, **GREY, "num_classes": 5}).graphs
    x = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        for model in (first, second):
            for parameter in model.parameters():
                parameter.normal_()
        assert not torch.equal(first(x), second(x))
        second.load_state_dict(first.state_dict())
        assert torch.equal(first.eval()(x), second.eval()(x))


def test_what_writes_the_logits_is_no_block() -> None:
    """CAFormer's head has a hidden layer: it is no stage, and the width of the last stage is that stage's own."""
    trust_code("studies.models.small_caformer:small")
    derivation = derive(built_by("studies.models.small_caformer:small", {"in_chans": 1}), (1, 32, 32))
    assert set(derivation.blocks) == {f"{s}.{b}" for s in range(4) for b in range(2)} == set(derivation.skippable)
    assert {axis for axis in derivation.axes if axis.startswith("embed")} == {f"embed.{s}" for s in range(4)}


@pytest.mark.usefixtures("at_once")
def test_a_bare_name_whose_class_is_not_told_the_size_of_its_images() -> None:
    text = """
    space:
      model: convnext_atto
      model_args: {depths: [1, 1, 1, 1], dims: [4, 4, 4, 8]}
      choices: {mlp: {size: [0.5, 1.0]}}
    data: {name: digits, image_size: 32}
    strategy: {use: uniform, trials: 1}
    """
    assert Study.from_yaml(text).resolved.space.model == "timm/convnext_atto"


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(MODELS.glob("*.yaml")), ids=lambda path: path.stem)
def test_studies_of_models_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if path.stem == "hugging_face_vit":
        pytest.importorskip("transformers")
    monkeypatch.chdir(MODELS.parents[1])
    resolved = Study.from_yaml(path).resolved
    assert resolved.limit is not None
    assert resolved.space.size > 1000


@pytest.mark.usefixtures("at_once")
def test_a_study_of_somebodys_own_vit_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(MODELS.parents[1])
    short = [f"{stage}.epochs=1" for stage in ("base", "supernet", "retrain")]
    short += ["strategy.trials=4", "strategy.population=3", "strategy.sample=2", "baseline=4", "data.train_images=100"]
    short += ["latency.batches=[1]", "latency.seconds=0.01"]
    study = Study.from_yaml(MODELS / "own_vit.yaml", overrides=short, folder=tmp_path / "run")
    study.run(quiet=True)
    assert len(study.trials()) == 8
    assert json.loads((tmp_path / "run" / "extract" / "result.json").read_text())["winner"]["difference"] == 0
