"""Retraining steps: adjoined, distilled, plain; norms that are not shared."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_fakes import FakeSupernet, context, first_batch, make_data, make_net, same_weights

from nas.evaluation import evaluate
from nas.searchspaces import SearchSpace
from nas.searchspaces.architecture import Architecture
from nas.supernets import Supernet, build
from nas.training import (
    AdjoinedStep,
    DistilledStep,
    Epoch,
    FitCall,
    PlainStep,
    Recipe,
    Runtime,
    adjoined_loss,
    distillation_loss,
    fit,
)
from nas.training.objectives.separate_norms import SeparateNorms, norm_parameters

LARGE, SMALL = Architecture({"width": 8}), Architecture({"width": 4})
RECIPE = Recipe(epochs=10, lr=2e-2, batch=8, warmup=1)


def test_adjoined_step_trains_two_sub_networks_of_shared_weights() -> None:
    net = FakeSupernet()
    batch, where = first_batch(), context(net, smoothing=0.1, progress=0.4)
    (found,) = AdjoinedStep(SMALL, LARGE)(batch, where)
    assert net.ran == [LARGE, SMALL]
    large, small = net.subnet(LARGE)(batch.inputs), net.subnet(SMALL)(batch.inputs)
    torch.testing.assert_close(found, adjoined_loss(large, small, batch.targets, where))
    data = make_data()
    fit(FitCall(net, AdjoinedStep(SMALL, LARGE), data, RECIPE, 0), Runtime(progress=False))
    assert evaluate(net.subnet(SMALL), data.test, data.task).metrics["accuracy"] == 1.0


def test_distilled_step_holds_the_teacher_fixed() -> None:
    teacher, student = make_net(1), make_net(2)
    batch, where = first_batch(), context(student, smoothing=0.1, progress=0.4)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    step = DistilledStep(teacher, weight=0.7, temperature=2.0)
    student.eval()
    (found,) = step(batch, where)
    expected = distillation_loss(
        student(batch.inputs), teacher(batch.inputs), batch.targets, where, weight=0.7, temperature=2.0
    )
    torch.testing.assert_close(found, expected)
    fit(FitCall(student, step, make_data(), RECIPE, 0), Runtime(progress=False))
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


@torch.no_grad()
def disagreement(a: nn.Module, b: nn.Module, images: Tensor) -> float:
    return float((a(images).softmax(1) - b(images).softmax(1)).abs().mean())


def test_a_distilled_student_of_weight_one_comes_to_agree_with_its_teacher() -> None:
    teacher = make_net(1)
    fit(FitCall(teacher, PlainStep(), make_data(), RECIPE, 0), Runtime(progress=False))
    student = make_net(2)
    data = make_data()
    images = data.test.normalised(data.test.images)
    gap = disagreement(teacher, student.eval(), images)
    fit(FitCall(student, DistilledStep(teacher, weight=1.0), data, RECIPE, 0), Runtime(progress=False))
    assert disagreement(teacher, student, images) < 0.5 * gap
    assert not same_weights(teacher, student)


VIT = """
model: vit_tiny_patch16_224
model_args: {img_size: 4, patch_size: 2, embed_dim: 8, depth: 2, num_heads: 2, in_chans: 1, num_classes: 3,
             class_token: false, global_pool: avg}
choices:
  mlp: {size: [8, 16, 32], per: block}
"""


def make_vit() -> Supernet:
    space = SearchSpace.from_yaml(VIT)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Supernet(build(space.model, space.model_args), space)


def moved(pair: SeparateNorms) -> SeparateNorms:
    """With norms of the small network that are clearly others than the supernet's."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in pair.norms:
            norm.add_(torch.rand(norm.shape, generator=generator))
    return pair


def test_norm_parameters_are_those_of_norm_layers() -> None:
    names = norm_parameters(make_vit().model)
    norms = ["blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "blocks.1.norm2", "fc_norm"]
    assert sorted(names) == sorted(f"{norm}.{kind}" for norm in norms for kind in ("weight", "bias"))


def test_separate_norms_start_as_the_shared_ones_and_belong_to_the_small_network_alone() -> None:
    net, images = make_vit().eval(), first_batch().inputs
    small, large = net.space.smallest, net.space.largest
    before = {architecture: net(images, architecture) for architecture in (small, large)}
    pair = SeparateNorms(net)
    for architecture, outputs in before.items():
        assert torch.equal(pair(images, architecture), outputs)
    moved(pair)
    assert torch.equal(pair(images, large), before[large])
    assert not torch.allclose(pair(images, small), before[small])
    assert torch.equal(net(images, small), before[small])


def test_the_extracted_small_network_has_norms_of_its_own() -> None:
    net, images = make_vit(), first_batch().inputs
    small = net.space.smallest
    pair = moved(SeparateNorms(net)).eval()
    extracted = pair.extract(small)
    with torch.no_grad():
        assert torch.equal(extracted(images), pair(images, small))
    mine = dict(zip(pair.names, pair.norms, strict=True))
    for name in pair.names:
        assert torch.equal(extracted.get_parameter(name), mine[name])
        assert not torch.equal(extracted.get_parameter(name), net.model.get_parameter(name))


@pytest.mark.parametrize("ema", [None, 0.5])
def test_retraining_with_separate_norms_is_another_training(ema: float | None) -> None:
    recipe = Recipe(epochs=2, lr=1e-2, batch=8, warmup=1, ema=ema)

    def trained(separate: bool) -> tuple[nn.Module, Supernet]:
        net = make_vit()
        module = SeparateNorms(net) if separate else net
        step = AdjoinedStep(net.space.smallest, net.space.largest)
        fit(FitCall(module, step, make_data(), recipe, 0), Runtime(progress=False))
        return module.extract(net.space.smallest), net

    (own, own_net), (shared, shared_net) = trained(True), trained(False)
    assert not same_weights(own, shared)
    norm = "blocks.0.norm1.weight"
    assert torch.equal(shared.get_parameter(norm), shared_net.model.get_parameter(norm))
    assert not torch.equal(own.get_parameter(norm), own_net.model.get_parameter(norm))


def test_separate_norms_resume_from_their_checkpoint(tmp_path: Path) -> None:
    def trained(checkpoint: Path | None, stop: int | None = None) -> nn.Module:
        net = make_vit()
        pair = SeparateNorms(net)

        def on_epoch(epoch: Epoch) -> None:
            if epoch.epoch == stop:
                raise KeyboardInterrupt

        runtime = Runtime(checkpoint=checkpoint, progress=False, on_epoch=on_epoch)
        recipe = Recipe(epochs=3, lr=1e-2, batch=8, warmup=1)
        step = AdjoinedStep(net.space.smallest, net.space.largest)
        fit(FitCall(pair, step, make_data(), recipe, 0), runtime)
        return pair

    path = tmp_path / "training.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(path, stop=2)
    assert same_weights(trained(path), trained(None))
