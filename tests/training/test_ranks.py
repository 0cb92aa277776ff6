"""Ranks: two processes that train together find what one finds, and fail together."""

from __future__ import annotations

from pathlib import Path

import detector_ranks
import pytest
import torch
from ranks_fakes import (
    KINDS,
    deserted,
    halved,
    interrupted,
    normed,
    sampled,
    searched,
    spoilt,
    spoilt_norms,
    together,
    trained,
    usurped,
)  # fmt: skip
from test_fit_supernet import make_supernet
from training_fakes import make_net

from nas.errors import StoreError, TrainingError
from nas.training.ranks import LostRankError, Ranks
from nas.training.synchronised import BatchNorms

pytestmark = pytest.mark.timeout(240)


def test_two_ranks_find_the_gradients_and_the_weights_of_one(tmp_path: Path) -> None:
    """All that stages train, with mixing, clipping and averaging; the last batch has an image for one rank only."""
    alone = trained(Ranks())
    first, second = together(trained, tmp_path)
    for kind in KINDS:
        losses, gradients, weights = alone[kind]
        for found in (first[kind], second[kind]):
            assert found[0] == pytest.approx(losses, abs=1e-9), kind  # divergences are in single precision
            assert {name for name, gradient in found[1].items() if gradient is None} == {
                name for name, gradient in gradients.items() if gradient is None
            }
            for name, gradient in gradients.items():
                if gradient is not None:
                    assert float((found[1][name] - gradient).abs().max()) < 1e-12, (kind, name)
            assert max(float((found[2][name] - weights[name]).abs().max()) for name in weights) < 1e-12, kind
        assert all(torch.equal(first[kind][2][name], second[kind][2][name]) for name in weights), kind


def test_two_ranks_train_a_detector_as_one(tmp_path: Path) -> None:
    """Also where losses divide by objects, of which the ranks have not equally many; but for what an R-CNN draws."""
    alone = detector_ranks.trained(Ranks())
    first, second = together(detector_ranks.trained, tmp_path)
    assert not isinstance(first, Exception), first
    for kind, (losses, gradients, weights) in alone.items():
        assert all(torch.equal(first[kind][2][name], second[kind][2][name]) for name in weights), kind
        if kind == detector_ranks.DRAWN:
            assert first[kind][0] == pytest.approx(losses, rel=0.2)
            continue
        assert first[kind][0] == pytest.approx(losses, abs=1e-9), kind
        known = {name: gradient for name, gradient in gradients.items() if gradient is not None}
        assert max(float(gradient.abs().max()) for gradient in known.values()) > 1e-3, kind
        for name, gradient in known.items():
            assert float((first[kind][1][name] - gradient).abs().max()) < 1e-12, (kind, name)
        assert max(float((first[kind][2][name] - weights[name]).abs().max()) for name in weights) < 1e-10, kind


def test_strategies_that_train_find_on_two_ranks_what_they_find_on_one(tmp_path: Path) -> None:
    """Relaxed training, trained gates and blocks of Patch Slimming, each sent to the ranks that serve."""
    alone, (there, _) = searched(Ranks()), together(searched, tmp_path)
    assert not isinstance(there, Exception), there
    for name, (architecture, metrics, weights) in alone.items():
        assert there[name][0] == architecture, name
        assert there[name][1] == pytest.approx(metrics, abs=1e-3), name
        assert max(float((there[name][2][key] - value).abs().max()) for key, value in weights.items()) < 1e-3, name


def test_the_same_sub_networks_run_on_all_ranks(tmp_path: Path) -> None:
    first, second = together(sampled, tmp_path)
    assert first == second == sampled(Ranks())
    assert len(set(first)) > 4


def test_a_loss_that_is_not_a_number_on_one_rank_ends_all_with_the_same_words(tmp_path: Path) -> None:
    first, second = together(spoilt, tmp_path, tmp_path)
    assert isinstance(first, TrainingError)
    assert isinstance(second, TrainingError)
    kept = f"; the checkpoint of epoch 1 is kept in {tmp_path / 'spoilt.safetensors'}"
    assert f"the loss is nan in epoch 2, step 6 of 7{kept}" in str(first)
    assert str(first).replace(kept, "") == str(second)


def test_resumed_on_as_many_ranks_ends_with_the_same_bits(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("stopped", "resumed", "whole")]
    for folder in folders:
        folder.mkdir()
    path = tmp_path / "training.safetensors"
    assert [str(fault) for fault in together(interrupted, folders[0], path, 2)] == ["enough", "enough"]
    resumed, _ = together(interrupted, folders[1], path, None)
    whole, _ = together(interrupted, folders[2], tmp_path / "other.safetensors", None)
    assert resumed[1] == whole[1]
    assert resumed[0].keys() == whole[0].keys()
    assert all(torch.equal(resumed[0][name], whole[0][name]) for name in whole[0])


def test_ranks_scale_gradients_alike(tmp_path: Path) -> None:
    first, second = together(halved, tmp_path)
    alone = halved(Ranks())
    assert all(torch.equal(first[name], second[name]) for name in alone)
    assert all(torch.allclose(first[name], alone[name], atol=2e-2) for name in alone)


def test_synchronised_batch_norms_see_the_whole_batch(tmp_path: Path) -> None:
    alone = normed(Ranks())
    for found in together(normed, tmp_path):
        assert not isinstance(found, Exception), found
        for kind, (losses, weights) in alone.items():
            assert found[kind][0] == pytest.approx(losses, abs=1e-9), kind
            assert max(float((found[kind][1][name] - value).abs().max()) for name, value in weights.items()) < 1e-9
    assert any("backbone" in name and "running_mean" in name for name in alone["vit_c"][1])


def test_with_synchronised_batch_norms_a_loss_that_is_not_a_number_ends_all(tmp_path: Path) -> None:
    assert all("the loss is nan in epoch 2" in str(found) for found in together(spoilt_norms, tmp_path))


def test_batch_norms_that_cannot_be_synchronised() -> None:
    plain, ranks = make_supernet().model, Ranks(0, 4)
    with pytest.raises(TrainingError, match="sync_bn: found true for a model without batch norms; allowed: false"):
        BatchNorms.of(plain, ranks, (8,), sync=True)
    with pytest.raises(TrainingError, match="sync_bn: found true on 4 workers, with a batch of 3 images, of which so"):
        BatchNorms.of(make_net(), ranks, (8, 3), sync=True)
    assert not BatchNorms.of(plain, ranks, (3,), sync=False).synchronised


def test_a_rank_that_dies_ends_the_others(tmp_path: Path) -> None:
    first, second = together(deserted, tmp_path)
    assert isinstance(first, LostRankError)
    assert "gone" in str(first)
    assert "\n" not in str(first)
    assert second is None


def test_a_first_rank_that_loses_its_run_writes_nothing_and_ends_the_others(tmp_path: Path) -> None:
    first, second = together(usurped, tmp_path, tmp_path / "training.safetensors")
    assert isinstance(first, StoreError)
    assert second == "went home"
    assert not (tmp_path / "training.safetensors").exists()
