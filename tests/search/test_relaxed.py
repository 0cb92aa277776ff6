"""The gradient half, with a tiny strategy on a small supernet: what the loop promises to whoever writes a method."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.data import Data, HeldSplit
from nas.errors import TrainingError
from nas.preprocessing import Preprocessing
from nas.search import Objective, Problem, Search, Trial
from nas.search.nested_gates import NestedGates
from nas.search.relaxed import Relaxed, noise_generator
from nas.searchspaces.limit import Limit
from nas.supernets import Supernet
from nas.tasks import Batch
from nas.tasks.classification import Classification
from nas.testing.families import make as make_supernet
from nas.training import Recipe, Runtime, Step, StepContext
from nas.training.objectives.relaxation import Relaxation
from nas.training.workplace import Workplace

ARGS = {"img_size": 16, "patch_size": 8, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 2}
RECIPE = Recipe(epochs=3, lr=1e-3, batch=16, warmup=0)


@dataclass(frozen=True, kw_only=True)
class Tiny(Relaxed):
    """One number per value, their softmax with noise as gates: DAN in small."""

    noise: float = 0.1
    training: Recipe = RECIPE
    arch_lr: float = 0.2

    def parameters(self, problem: Problem) -> dict[str, Tensor]:
        return {name: torch.zeros(len(choice.values)) for name, choice in problem.space.items()}

    def step(self, problem: Problem, relaxation: Relaxation) -> Step:
        gates = NestedGates(relaxation.supernet)

        def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
            generator = noise_generator(context)
            noisy = {
                name: (value + self.noise * torch.randn(value.shape, generator=generator)).softmax(0)
                for name, value in relaxation.arch_parameters.items()
            }
            mixed = gates(noisy)
            size = torch.stack([gate.mean() for gate in mixed.values()]).mean()
            yield context.criterion(relaxation.supernet.relaxed(batch.inputs, mixed), batch.targets) + 10 * size

        return step

    def scores(self, problem: Problem, parameters: Mapping[str, Tensor]) -> Sequence[np.ndarray]:
        return [parameter.detach().double().numpy() for parameter in parameters.values()]


class Bench:
    """A search whose adopted supernet and whose rows are kept."""

    def __init__(self, runtime: Runtime | None = None, history: Sequence[Trial] = (), seed: int = 0) -> None:
        self.supernet = make_supernet("vit_tiny_patch16_224", dict(ARGS), "alpha")
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=generator)
        by = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3)
        split = HeldSplit(images, torch.arange(40) % 2, by)
        data = Data(split, split, split, ("a", "b"), 3, 16, "noise", Classification(), by).without_test()
        self.adopted: Supernet | None = None
        self.rows: Sequence[Mapping[str, Any]] = ()
        self.problem = Problem(
            space=self.supernet.space,
            objectives=(Objective("accuracy", maximise=True),),
            strategy="tiny",
            seed=seed,
            trials=1,
        )
        self.search = Search(
            problem=self.problem,
            measure=lambda _: {"accuracy": 0.5},
            counts=self.supernet.cost.counts,
            record=lambda _: None,
            history=list(history),
            supernet=self.supernet,
            work=Workplace(data, seed, runtime or Runtime(progress=False)),
            adopt=self.adopt,
        )

    def adopt(self, supernet: Supernet, rows: Sequence[Mapping[str, Any]]) -> None:
        self.adopted, self.rows = supernet, rows

    def run(self, strategy: Tiny) -> list[Trial]:
        return list(strategy.search(self.search))


def test_it_finds_what_is_cheap_and_records_the_way() -> None:
    bench = Bench()
    (trial,) = bench.run(Tiny())
    assert trial.architecture == bench.supernet.space.smallest
    assert len(bench.rows) == 3
    assert set(bench.rows[-1]["metrics"]) == set(bench.supernet.space)
    assert set(trial.notes["scores"]) == set(bench.supernet.space)


def test_the_derived_architecture_is_within_the_limit_and_the_best_there() -> None:
    bench = Bench()
    problem, space = bench.problem, bench.supernet.space
    limit = Limit(bench.supernet.cost, macs="80%")
    likes = {name: torch.tensor([0.0, 1.0]) * (n + 1) for n, name in enumerate(space)}
    assert Tiny().derive(problem, likes) == space.largest
    derived = Tiny().derive(replace(problem, limit=limit), likes)
    rows = np.array(list(itertools.product(range(2), repeat=len(space))))
    value = (rows * np.arange(1, len(space) + 1)).sum(axis=1)
    assert value[(rows == space.to_table([derived])[0]).all(axis=1)] == value[limit.allows(rows)].max()


def test_a_finished_search_yields_nothing_more() -> None:
    done = Bench().run(Tiny())
    assert Bench(history=done).run(Tiny()) == []


def test_a_killed_search_continues_to_the_same_result(tmp_path: Path) -> None:
    whole = Bench()
    (expected,) = whole.run(Tiny())

    def kill(epoch: Any) -> None:
        if epoch.epoch == 2:
            raise KeyboardInterrupt

    file = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        Bench(Runtime(progress=False, checkpoint=file, on_epoch=kill)).run(Tiny())
    again = Bench(Runtime(progress=False, checkpoint=file))
    (found,) = again.run(Tiny())
    assert found.architecture == expected.architecture
    assert found.notes == expected.notes
    assert whole.adopted is not None
    assert again.adopted is not None
    for name, value in whole.adopted.state_dict().items():
        assert torch.equal(value, again.adopted.state_dict()[name])


@pytest.mark.parametrize("weights", [False, True])
def test_the_supernet_of_the_study_stays_as_it_was(weights: bool) -> None:
    bench = Bench()
    before = {name: value.clone() for name, value in bench.supernet.named_parameters()}
    bench.run(Tiny(weights=weights))
    for name, value in bench.supernet.named_parameters():
        assert torch.equal(value, before[name])
        assert value.requires_grad
        assert value.grad is None
    assert bench.adopted is not None
    trained = [not torch.equal(value, before[name]) for name, value in bench.adopted.model.named_parameters()
               for name in [f"model.{name}"]]  # fmt: skip
    assert any(trained) == weights
    assert all(value.requires_grad for value in bench.adopted.parameters())


def test_noise_follows_the_seed() -> None:
    def notes(seed: int) -> Any:
        return Bench(seed=seed).run(Tiny(noise=5.0))[0].notes

    assert notes(0) == notes(0)
    assert notes(0) != notes(1)


def test_a_loss_that_is_no_number_ends_the_search_and_keeps_the_last_good_epoch(tmp_path: Path) -> None:
    file = tmp_path / "training.safetensors"
    bench = Bench(Runtime(progress=False, checkpoint=file, title="tiny"))

    @dataclass(frozen=True, kw_only=True)
    class Failing(Tiny):
        def step(self, problem: Problem, relaxation: Relaxation) -> Step:
            good = super().step(problem, relaxation)

            def step(batch: Batch, context: StepContext) -> Iterator[Tensor]:
                if context.epoch == 1:
                    nn.init.constant_(relaxation.supernet.model.get_parameter("norm.weight"), float("nan"))
                yield from good(batch, context)

            return step

    with pytest.raises(TrainingError, match=r"tiny: the loss is nan in epoch 2, step 1 .* epoch 1 is kept in"):
        bench.run(Failing())
    assert file.exists()
    assert bench.adopted is None
    (trial,) = Bench(Runtime(progress=False, checkpoint=file)).run(Tiny())
    assert trial.state == "done"
