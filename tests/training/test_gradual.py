"""Gradual retraining: one block per epoch, the last one first; what is left learns, and is looked at anew."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn
from training_fakes import context

from nas.importance import Anew
from nas.importance.ffn_votes import FfnVotes
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build
from nas.tasks import Batch
from nas.testing.families import randomise
from nas.testing.relaxed import SPACES, noise_data
from nas.training import (
    AdjoinedStep,
    DistilledStep,
    Epoch,
    FitCall,
    History,
    PlainStep,
    Recipe,
    Runtime,
    Step,
    StepContext,
    Workplace,
    fit,
)
from nas.training.objectives.gradual import Gradual, stages

MATRICES = SPACES["vit"][: SPACES["vit"].index("choices:")] + (
    "choices: {fc1_in: {size: [4, 8, 16]}, mlp: {size: [8, 16, 32, 64]}}}"
)
"""What the layers of feed-forward networks read, per block."""


def test_blocks_are_cut_from_the_last_to_the_first() -> None:
    space = SearchSpace.from_yaml(SPACES["vit"])
    first, second = stages(space, space.smallest)
    assert dict(first) == {"heads.0": 4, "heads.1": 1, "mlp.0": 64, "mlp.1": 8}
    assert second == space.smallest


def test_a_choice_for_all_blocks_waits_for_the_first_and_tokens_never_grow() -> None:
    text = SPACES["tokens"]
    space = SearchSpace.from_yaml(
        text[: text.index("choices:")] + "choices: {queries: {keep: [0.5, 1.0]}, mlp: {size: [8, 64], per: model}}}"
    )
    found = stages(space, space.smallest)
    assert len(found) == 3
    assert [a["mlp"] for a in found] == [64, 64, 8]
    assert [[a[f"queries.{b}"] for b in range(3)] for a in found] == [[1, 1, 0.5], [1, 0.5, 0.5], [0.5, 0.5, 0.5]]
    for architecture in found:
        space.check(architecture)


def make_supernet(text: str = SPACES["vit"]) -> Supernet:
    space = SearchSpace.from_yaml(text)
    return Supernet(randomise(build(space.model, space.model_args)), space)


def trained(module: Gradual, step: Step, epochs: int = 3, **runtime: Any) -> History:
    call = FitCall(module, step, noise_data(), Recipe(epochs=epochs, batch=48, lr=1e-2), 0)
    return fit(call, Runtime(progress=False, refresh=lambda fitted: fitted.refresh(), **runtime))


@final
class Watching:
    """A step that notes which network of the module stands for the winner, and its loss from the targets."""

    def __init__(self, step: Step) -> None:
        self.step, self.seen = step, list[Architecture]()

    def __call__(self, batch: Batch, context: StepContext) -> Iterator[Tensor]:
        assert isinstance(context.module, Gradual)
        self.seen.append(context.module.now)
        yield from self.step(batch, context)


def test_the_first_epochs_train_what_is_left_and_the_others_the_winner() -> None:
    supernet = make_supernet()
    small = supernet.space.smallest
    watching = Watching(PlainStep())
    trained(Gradual(supernet, small), watching)
    assert list(dict.fromkeys(watching.seen)) == list(stages(supernet.space, small))
    assert watching.seen[-1] == small


@pytest.mark.parametrize("loss", ["plain", "adjoined", "distilled"])
def test_what_is_cut_learns_by_the_task_while_it_is_cut(loss: str) -> None:
    """In the first step, where the divergence of the adjoined loss weighs nothing: the gradient is that of the small
    network's own criterion.
    """
    supernet = make_supernet()
    small = supernet.space.smallest
    module = Gradual(supernet, small)
    module.begin(0)
    teacher = copy.deepcopy(supernet.extract(small))
    adjoined = AdjoinedStep(small, supernet.space.largest, cutting=len(module.stages))
    step = {"plain": PlainStep(), "adjoined": adjoined, "distilled": DistilledStep(teacher, weight=0.0)}[loss]
    batch = next(noise_data().train.batches(16))
    where = context(module, progress=0.0)
    (found,) = step(batch, where)
    own = where.criterion(supernet(batch.inputs, module.stages[0]), batch.targets)
    large = where.criterion(supernet(batch.inputs, supernet.space.largest), batch.targets)
    torch.testing.assert_close(found, own + large if loss == "adjoined" else own)
    assert not torch.equal(own, where.criterion(supernet(batch.inputs, small), batch.targets))


def reversed_scores(supernet: Supernet) -> dict[str, Tensor]:
    """The last units first."""
    return {axis: torch.arange(float(supernet.table.frame.axes[axis])) for axis in supernet.space.axes}


def test_units_are_put_in_order_anew_before_they_are_cut_and_sorted_in_the_end() -> None:
    supernet = make_supernet(MATRICES)
    small = supernet.space.smallest
    module = Gradual(supernet, small, reversed_scores)
    trained(module, PlainStep(), epochs=len(module.stages))
    images = next(noise_data().train.batches(16)).inputs
    with torch.no_grad():
        before = module.eval()(images)
        weights = supernet.model.get_parameter("blocks.0.mlp.fc1.weight").clone()
        extracted = module.extract(small).eval()
        assert torch.equal(extracted(images), before)
        # The last hidden units stand first now; inputs stay where they are, and the order says which are read.
        hidden = supernet.space.sizes(small)["mlp.0"]
        assert torch.equal(supernet.model.get_parameter("blocks.0.mlp.fc1.weight")[:hidden], weights[-hidden:])
        assert torch.equal(supernet(images, small), before)
    assert "mlp.0" not in supernet.selection.state()
    assert supernet.selection.state()["fc1_in.0"] == list(reversed(range(16)))


def test_a_gradual_training_resumes_with_the_orders_of_before(tmp_path: Path) -> None:
    """Votes of the second epoch are taken from weights that the first one left: an interruption changes nothing."""

    def run(checkpoint: Path | None, stop: int | None = None) -> dict[str, Tensor]:
        supernet = make_supernet(MATRICES)
        votes = Anew(FfnVotes(images=32, batch=16), Workplace(noise_data(), 3, Runtime()))
        module = Gradual(supernet, supernet.space.smallest, votes)

        def on_epoch(epoch: Epoch) -> None:
            if epoch.epoch == stop:
                raise KeyboardInterrupt

        trained(module, PlainStep(), checkpoint=checkpoint, on_epoch=on_epoch)
        return module.extract(supernet.space.smallest).state_dict()

    path = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(path, stop=1)
    resumed, whole = run(path), run(None)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_an_average_is_cut_by_the_orders_of_the_training() -> None:
    supernet = make_supernet(MATRICES)
    module = Gradual(supernet, supernet.space.smallest, reversed_scores)
    recipe = Recipe(epochs=2, batch=48, ema=0.5)
    watched: list[dict[str, list[int]]] = []

    def evaluate(average: nn.Module) -> dict[str, float]:
        assert isinstance(average, Gradual)
        assert average is not module
        watched.append(average.supernet.selection.state())
        return {}

    fit(
        FitCall(module, PlainStep(), noise_data(), recipe, 0),
        Runtime(progress=False, refresh=lambda fitted: fitted.refresh(), evaluate=evaluate),
    )
    last = len(stages(supernet.space, supernet.space.smallest)) - 1
    assert watched[0][f"mlp.{last}"] == list(reversed(range(supernet.table.frame.axes[f"mlp.{last}"])))
    assert watched[0]["mlp.0"] == list(range(supernet.table.frame.axes["mlp.0"]))
