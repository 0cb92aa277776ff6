"""Gradual retraining: one block per epoch, the last one first."""

from __future__ import annotations

import torch

from nas.searchspaces import SearchSpace
from nas.supernets import Supernet, build
from nas.testing.families import randomise
from nas.testing.relaxed import SPACES, noise_data
from nas.training import AdjoinedStep, FitCall, Recipe, Runtime, fit
from nas.training.objectives.gradual import stages


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


def test_the_first_epochs_train_the_stages() -> None:
    """After as many epochs as there are blocks, it is the winner that trains."""
    space = SearchSpace.from_yaml(SPACES["vit"])
    supernet = Supernet(randomise(build(space.model, space.model_args)), space)
    seen = []

    class Watching(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.supernet = supernet

        def forward(self, x: torch.Tensor, architecture: object) -> torch.Tensor:
            seen.append(architecture)
            logits: torch.Tensor = self.supernet(x, architecture)
            return logits

    step = AdjoinedStep(space.smallest, space.largest, stages=stages(space, space.smallest))
    fit(FitCall(Watching(), step, noise_data(), Recipe(epochs=3, batch=48), 0), Runtime(progress=False))
    assert seen[1::2] == [*stages(space, space.smallest), space.smallest]
