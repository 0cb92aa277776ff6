"""The same study in Python and in YAML; modules, data, strategies and tasks of one's own; callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from sklearn.datasets import load_digits
from studies_fakes import TINY
from torch import Tensor, nn

from nas import Callback, Study, load
from nas.data import own
from nas.data.images import Pixels
from nas.documents.document import read
from nas.errors import ConfigError, DataError, ModelError, StrategyError
from nas.search import AskTell, Search, Trial
from nas.searchspaces import Architecture
from nas.strategies.evolution import Evolution
from nas.studies.in_python import plain
from nas.supernets.own import own_name
from nas.training import Epoch, Recipe

SHORT = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=1", "strategy.trials=6", "latency.batches=[1]"]
SPACE: dict[str, Any] = read(TINY).data["space"]  # type: ignore[index, call-overload, assignment]
COMMON: dict[str, Any] = {
    "limit": "macs: 70%",
    "base": Recipe(epochs=1),
    "supernet": {"epochs": 1},
    "retrain": {"epochs": 1},
    "finalists": 1,
    "latency": {"batches": [1], "seconds": 0.01},
    "threads": 1,
    "seed": 4,
    "name": "tiny",
}


@final
class Digits:
    """The digits as somebody's own data set."""

    def __init__(self) -> None:
        self.images, self.targets = load_digits(return_X_y=True)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = np.round(self.images[index].reshape(1, 8, 8) * 255 / 16) / 255
        return torch.from_numpy(pixels), int(self.targets[index])


@final
class Heard(Callback):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.epochs: list[tuple[str, int]] = []
        self.trials: list[str] = []

    def on_stage(self, stage: str, result: object) -> None:
        self.stages.append(stage)

    def on_epoch(self, training: str, epoch: Epoch) -> None:
        self.epochs.append((training, epoch.epoch))

    def on_trial(self, trial: Trial) -> None:
        self.trials.append(trial.architecture.digest)


def found(study: Study) -> dict[str, list[Any]]:
    """All that a search must find again."""
    return study.trials()[["strategy", "digest", "accuracy", "loss", "macs"]].to_dict("list")


@pytest.fixture(scope="module")
def by_yaml(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    study = Study.from_yaml(TINY, overrides=SHORT, folder=tmp_path_factory.mktemp("yaml") / "run")
    study.run(quiet=True)
    return found(study)


def test_python_says_what_yaml_says(tmp_path: Path) -> None:
    study = Study(space=SPACE, strategy=Evolution(trials=6, population=2, sample=1),
                  data={"name": "digits", "train_images": 300}, folder=tmp_path / "run", **COMMON)  # fmt: skip
    assert study.resolved.settings == Study.from_yaml(
        TINY, overrides=SHORT, folder=tmp_path / "r"
    ).resolved.settings | {"strategy": {**study.resolved.settings["strategy"], "name": "evolution"}}


def test_own_module_and_own_data_find_the_same_as_yaml(by_yaml: dict[str, list[Any]], tmp_path: Path) -> None:
    torch.manual_seed(4)  # the study's: by it the model of the YAML starts
    module = timm.create_model(SPACE["model"], in_chans=1, num_classes=10, **SPACE["model_args"])
    heard = Heard()
    study = Study(space=SPACE["choices"], model=module, data={"train": Digits(), "train_images": 300},
                  strategy=Evolution(trials=6, population=2, sample=1), callbacks=[heard], folder=tmp_path / "run",
                  **COMMON)  # fmt: skip
    study.run(quiet=True)
    assert found(study) == by_yaml
    assert heard.stages == ["prepare", "base", "supernet", "explore", "finalists", "extract", "retrain", "report"]
    assert sorted(heard.trials) == sorted(by_yaml["digest"])
    assert {("base", 1), ("supernet", 1), ("retrain winner", 1)} <= set(heard.epochs)
    assert type(load(tmp_path / "run" / "retrain" / "winner")).__name__ == "VisionTransformer"
    study.run(quiet=True)  # nothing is left to do
    assert len(heard.stages) == 8


@final
class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.fc2(torch.relu(self.fc1(self.norm(x))))


@final
class Mixer(nn.Module):
    """A class that no family knows."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 4, 4)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(1))


CHOICES = {"mlp": {"size": [4, 8, 16], "per": "block"}}


def mixed(folder: Path) -> Study:
    """Of a module that no family knows."""
    return Study(space=CHOICES, model=Mixer(), data={"name": "digits", "train_images": 100},
                 strategy={"use": "uniform", "trials": 4}, folder=folder,
                 **{**COMMON, "limit": {"macs": "80%"}, "retrain": {"epochs": 1, "loss": "plain"}})  # fmt: skip


def test_a_module_of_any_class_can_be_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.supernets import own as own_modules

    study = mixed(tmp_path / "run")
    assert study.resolved.space.size == 9
    assert study.resolved.image_size == 8, "the digits', since the module says no size of its own"
    assert study.resolved.limit is not None
    assert study.resolved.limit.share < 1
    monkeypatch.setattr(own_modules, "_MODULES", {})
    with pytest.raises(ModelError, match="module of a Python program"):
        own_modules.own_module(study.resolved.space.model)


@pytest.mark.long
def test_a_module_of_any_class_is_searched(tmp_path: Path) -> None:
    study = mixed(tmp_path / "run")
    study.run(quiet=True)
    module = study.extract(digest=study.pareto()["digest"].iloc[0])
    assert module(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model": Mixer(classes=3)}, ConfigError, "gives 3 numbers for an image; allowed: 10, a logit for each class"),
        ({"model": nn.Sequential(nn.Linear(3, 3))}, (ModelError, ConfigError), "captured|refuses"),
        ({"data": 3}, DataError, "found a int"),
        ({"limit": "macs: 1%"}, ConfigError, r"Study\(...\): limit.macs: .*reachable"),
        ({"retrian": {}}, ConfigError, "did you mean 'retrain'"),
        ({"space": {"mpl": {"size": [4, 8]}}}, ConfigError, "unknown axis 'mpl'"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    tmp_path: Path, changes: dict[str, Any], kind: type[Exception], message: str
) -> None:
    said = {"space": CHOICES, "model": Mixer(), "data": "digits", "strategy": "uniform", **COMMON, **changes}
    with pytest.raises(kind, match=message):
        Study(**said, folder=tmp_path / "run")


@final
@dataclass(frozen=True, kw_only=True)
class OnlyLargest(AskTell):
    """A strategy of one's own."""

    stubborn: bool = False

    def ask(self, search: Search, number: int) -> Architecture:
        return search.problem.space.sample(search.problem.rng(number), search.problem.limit)


def test_plug_ins_of_ones_own_have_a_name() -> None:
    from nas import search

    assert plain(OnlyLargest(trials=7, stubborn=True)) == {"use": "only_largest", "trials": 7, "stubborn": True}
    assert search.find("only_largest") is OnlyLargest
    assert plain(Evolution(trials=7)) == {"use": "evolution", "trials": 7}
    taken = type("Uniform", (AskTell,), {})
    with pytest.raises(StrategyError, match="another name"):
        search.name_of(taken)


def test_modules_that_are_built_alike_have_one_name() -> None:
    assert own_name(Mixer()) == own_name(Mixer())
    assert own_name(Mixer()) != own_name(Mixer(classes=3))


def items(*pictures: Any) -> list[tuple[Any, int]]:
    return [(picture, k % 2) for k, picture in enumerate(pictures * (8 // len(pictures)))]


@final
class Listed:
    """A list as a data set."""

    def __init__(self, content: list[Any]) -> None:
        self.content = content

    def __len__(self) -> int:
        return len(self.content)

    def __getitem__(self, index: int) -> Any:
        return self.content[index]


@pytest.mark.parametrize(
    "picture",
    [
        np.full((4, 4), 255, np.uint8),
        np.full((4, 4, 1), 255, np.uint8),
        torch.ones(1, 4, 4),
        torch.full((4, 4), 255, dtype=torch.uint8),
        Image.new("L", (4, 4), 255),
    ],
)
def test_pictures_of_all_forms_are_the_same(picture: Any) -> None:
    source = own.own_source(own.own_name(Listed(items(picture)), "data"))
    assert isinstance(source.train.images, Pixels)
    assert source.train.images.array.tolist() == np.full((8, 4, 4), 255).tolist()
    assert source.train.labels.tolist() == [0, 1] * 4
    assert source.classes == ("0", "1")


def test_pictures_of_several_sizes_are_asked_for_one_by_one() -> None:
    source = own.own_source(own.own_name(Listed(items(Image.new("L", (4, 4)), Image.new("RGB", (5, 4)))), "data"))
    assert source.train.images.picture(1).size == (5, 4)
    assert source.train.images.channels == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Listed(items(torch.full((1, 4, 4), -2.0))), "pictures are normalised"),
        (Listed(items(torch.ones(2, 4, 4))), "shape"),
        (Listed([1, 2]), "is no pair"),
        (Listed([]), "no pictures"),
        ({"tests": Listed(items(torch.ones(4, 4)))}, "found the splits tests"),
    ],
)
def test_what_are_no_pictures_is_a_sentence(data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        own.own_name(data, "data")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """Plug-ins that a test has handed over are known no more."""
    from nas import plugins

    before = dict(plugins._HANDED)
    yield
    plugins._HANDED.clear()
    plugins._HANDED.update(before)
