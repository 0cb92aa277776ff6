"""What must hold for every strategy that needs the supernet: inherit `RelaxedSuite`, and pytest tries all that there
are, on a small ViT and a small Swin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import pytest
import torch

from nas.data import Data, HeldSplit
from nas.errors import ModelError, StrategyError, TrainingError
from nas.evaluation import Evaluator
from nas.preprocessing import Preprocessing
from nas.search import Objective, Problem, Search, Strategy, Trial, installed
from nas.searchspaces import Architecture, Limit, SearchSpace
from nas.supernets import Supernet, build
from nas.tasks.classification import Classification
from nas.testing.families import randomise
from nas.training import Runtime
from nas.training.workplace import Workplace

SPACES = {
    "vit": "{model: vit_tiny_patch16_224, model_args: {img_size: 16, patch_size: 8, embed_dim: 16, depth: 2, "
    "num_heads: 4, num_classes: 3}, choices: {heads: {size: [1, 2, 4]}, mlp: {size: [8, 16, 32, 64]}}}",
    "swin": "{model: swin_tiny_patch4_window7_224, model_args: {img_size: 16, patch_size: 2, window_size: 4, "
    "embed_dim: 8, depths: [1, 1], num_heads: [2, 4], num_classes: 3}, "
    "choices: {heads: {size: [0.5, 1.0]}, mlp: {size: [0.25, 0.5, 1.0]}}}",
    "tokens": "{model: vit_tiny_patch16_224, model_args: {img_size: 16, patch_size: 4, embed_dim: 16, depth: 3, "
    "num_heads: 2, num_classes: 3}, choices: {queries: {keep: {from: 1, to: 17, step: 1}, drop: true}, "
    "mlp: {size: [8, 16, 32, 64]}}}",
}
LIMITS: Mapping[str, Mapping[str, str]] = {
    "vit": {"macs": "60%", "params": "90%"},
    "swin": {"macs": "60%", "params": "90%"},
    "tokens": {"macs": "60%"},
}
"""Fewer tokens save no parameters."""
IMAGES = 48


def noise_data() -> Data:
    """Random images of three classes, without a test split."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 3, 16, 16), dtype=torch.uint8, generator=generator)
    by = Preprocessing(mean=(0.5,) * 3, std=(0.25,) * 3)
    split = HeldSplit(images, torch.arange(IMAGES) % 3, by)
    return Data(split, split, split, ("a", "b", "c"), 3, 16, "noise", Classification(), by).without_test()


@final
class Bench:
    """A search on a small supernet with random weights, within 60 % of its MACs; what the strategy adopts is kept, and
    the rows of the epochs that it trained.
    """

    def __init__(
        self, kind: str, *, seed: int = 0, runtime: Runtime | None = None, history: Sequence[Trial] = ()
    ) -> None:
        space = SearchSpace.from_yaml(SPACES[kind])
        self.supernet = Supernet(randomise(build(space.model, space.model_args)), space)
        self.adopted = self.supernet
        self.rows: Sequence[Mapping[str, Any]] = ()
        self.data = noise_data()
        self.work = Workplace(self.data, seed, runtime or Runtime(progress=False, title="tried"))
        problem = Problem(
            space=space,
            objectives=(Objective("accuracy", maximise=True),),
            strategy="tried",
            seed=seed,
            trials=1,
            limit=Limit(self.supernet.cost, **LIMITS[kind]),
        )
        self.search = Search(
            problem=problem,
            measure=self._measure,
            counts=self.supernet.cost.counts,
            record=lambda _: None,
            history=list(history),
            supernet=self.supernet,
            work=self.work,
            adopt=self._adopt,
        )

    @property
    def epochs(self) -> int:
        """How many epochs the strategy trained."""
        return len(self.rows)

    @property
    def problem(self) -> Problem:
        """What is asked."""
        return self.search.problem

    def _measure(self, architecture: Architecture) -> Mapping[str, float]:
        return Evaluator(self.adopted.eval(), self.data.validation, self.data.task)(architecture).metrics

    def _adopt(self, supernet: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
        assert self.adopted is self.supernet, "adopted twice"
        assert all("metrics" in row for row in rows)
        self.adopted, self.rows = supernet, rows

    def run(self, strategy: Strategy) -> list[Trial]:
        """The trials of a whole search."""
        return list(strategy.search(self.search))


def _cases() -> list[Any]:
    cases = []
    for name, kind in installed().items():
        if kind.needs_supernet:
            cases += [
                pytest.param(kind(**options), model, id=f"{name}-{number}-{model}")
                for number, options in enumerate(kind.examples)
                for model in SPACES
                if _suits(kind(**options), model)
            ]
            assert str(cases[-1].id).startswith(name), f"{name} suits none of the spaces that this suite knows"
    return cases


def _suits(strategy: Strategy, kind: str) -> bool:
    """Whether a strategy takes a space; what it refuses is another test's matter."""
    try:
        strategy.check(Bench(kind).problem)
    except StrategyError:
        return False
    return True


@pytest.mark.parametrize(("strategy", "kind"), _cases(), scope="class")
class RelaxedSuite:
    """One trial, within the limit, reproducible, and from a supernet that is what it extracts."""

    @pytest.fixture(scope="class")
    def whole(self, strategy: Strategy, kind: str) -> Bench:
        """An undisturbed search: its bench, with the trial in its history. Not to be changed."""
        bench = Bench(kind)
        bench.run(strategy)
        return bench

    def test_one_feasible_trial_of_the_space(self, strategy: Strategy, kind: str, whole: Bench) -> None:
        """One trial is recorded, canonical and within the limit; continued, the search has nothing more to do."""
        (trial,) = whole.search.history
        assert trial.state == "done"
        whole.problem.space.check(trial.architecture)
        assert whole.problem.allows(trial.architecture)
        assert Bench(kind, history=[trial]).run(strategy) == []

    def test_the_seed_decides(self, strategy: Strategy, kind: str, whole: Bench) -> None:
        """The same seed gives the same architecture, the same measurements and the same weights."""
        again = Bench(kind)
        (trial,) = again.run(strategy)
        assert trial.notes == whole.search.history[0].notes
        _assert_same(again, whole)

    def test_the_supernet_of_the_study_stays_as_it_was(self, strategy: Strategy, kind: str, whole: Bench) -> None:  # noqa: ARG002
        """The strategy works on a copy, which it hands over."""
        before = Bench(kind).supernet.state_dict()
        assert whole.adopted is not whole.supernet
        assert all(torch.equal(value, before[name]) for name, value in whole.supernet.state_dict().items())
        assert all(parameter.requires_grad for parameter in whole.adopted.parameters())

    def test_extracted_is_what_was_measured(self, strategy: Strategy, kind: str, whole: Bench) -> None:  # noqa: ARG002
        """Zero difference between the adopted supernet's sub-network and the extracted model."""
        (trial,) = whole.search.history
        images = next(whole.data.validation.batches(8)).inputs
        supernet = whole.adopted.eval()
        with torch.no_grad():
            assert torch.equal(supernet(images, trial.architecture), supernet.extract(trial.architecture)(images))

    def test_a_killed_search_ends_the_same(self, strategy: Strategy, kind: str, whole: Bench, tmp_path: Path) -> None:
        """Killed after its first epoch and continued from the checkpoint: the first epoch is not trained again."""
        if not whole.epochs:
            pytest.skip("does not train: nothing is lost")
        file = tmp_path / "training.safetensors"
        epochs: list[object] = []

        def kill(_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Bench(kind, runtime=Runtime(progress=False, checkpoint=file, on_epoch=kill)).run(strategy)
        assert file.exists()
        again = Bench(kind, runtime=Runtime(progress=False, checkpoint=file, on_epoch=epochs.append))
        again.run(strategy)
        assert len(epochs) == whole.epochs - 1
        assert again.epochs == whole.epochs
        _assert_same(again, whole)

    def test_a_weight_that_is_no_number_is_an_error(self, strategy: Strategy, kind: str, whole: Bench) -> None:
        """A strategy that trains stops with the epoch and the step; one that only scores refuses to order by nan."""
        bench = Bench(kind)
        block = "layers.0.blocks.0" if kind == "swin" else "blocks.0"
        with torch.no_grad():
            bench.supernet.model.get_parameter(f"{block}.mlp.fc1.weight")[0, 0] = float("nan")
        with pytest.raises((TrainingError, ModelError)) as raised:
            bench.run(strategy)
        scored = "a score that is not a number" in str(raised.value)
        assert scored or (whole.epochs and "the loss is nan in epoch 1, step 1 of 3" in str(raised.value))
        assert bench.adopted is bench.supernet
        assert bench.search.history == []


def _assert_same(one: Bench, other: Bench) -> None:
    """The same trial, from the same weights."""
    (first,), (second,) = one.search.history, other.search.history
    assert (first.architecture, first.metrics) == (second.architecture, second.metrics)
    weights = other.adopted.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in one.adopted.state_dict().items())
