"""Teachers: the loss is the written formula, the teacher stands still, sees its own kind of images, and teaches the
second head of a model that has two.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.nn import functional
from training_fakes import FakeSpace, FakeSupernet, context, first_batch, make_data, make_net, same_weights

from nas.errors import CheckpointError, ModelError, TaskError, TrainingError
from nas.preprocessing import Preprocessing
from nas.searchspaces import SearchSpace
from nas.supernets import Supernet
from nas.tasks import Batch, Task
from nas.tasks.classification import Classification
from nas.training import FitCall, PlainStep, Recipe, Runtime, fit
from nas.training.objectives.taught import TaughtStep, Teacher
from nas.training.parallel.assignment import Assignment
from nas.training.rules.sandwich import Sandwich
from nas.training.teacher import TeacherSpec, teacher

BY = Preprocessing(mean=(0.3,), std=(0.25,))
DEIT = "deit_tiny_distilled_patch16_224"
SMALL: dict[str, Any] = {
    "img_size": 8, "patch_size": 4, "in_chans": 1, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 3,
}  # fmt: skip


def net_teacher(seed: int = 5) -> Teacher:
    return Teacher(make_net(seed, dropout=0.5), 4, BY)


@pytest.mark.parametrize("answers", ["soft", "hard"])
def test_the_gradient_is_that_of_the_written_formula(answers: Any) -> None:
    net, batch = make_net(dropout=0.0), first_batch()
    mine = copy.deepcopy(net)
    step = TaughtStep(PlainStep(), net_teacher(), answers, weight=0.3, temperature=2.0)
    (loss,) = step(batch, context(net, smoothing=0.1))
    loss.backward()  # type: ignore[no-untyped-call]

    with torch.no_grad():
        taught = make_net(5).eval()(batch.inputs)
    logits = mine(batch.inputs)
    assert isinstance(batch.targets, torch.Tensor)
    hard = functional.cross_entropy(logits, taught.argmax(1))
    soft = 4 * functional.kl_div((logits / 2).log_softmax(1), (taught / 2).softmax(1), reduction="batchmean")
    plain = functional.cross_entropy(logits, batch.targets, label_smoothing=0.1)
    (0.7 * plain + 0.3 * (soft if answers == "soft" else hard)).backward()
    for one, other in zip(net.parameters(), mine.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_the_teacher_stands_still_in_eval_mode() -> None:
    teaching = net_teacher()
    before = copy.deepcopy(teaching)
    step = TaughtStep(PlainStep(), teaching)
    fit(FitCall(make_net(), step, make_data(), Recipe(epochs=1, batch=8), 0), Runtime(progress=False))
    assert same_weights(teaching, before)
    teaching.train()
    assert not any(module.training for module in teaching.modules())
    assert not any(parameter.requires_grad for parameter in teaching.parameters())


def test_it_is_one_more_term_of_a_rule_that_trains_a_supernet() -> None:
    supernet, batch, space = FakeSupernet(), first_batch(), FakeSpace()
    rule: Any = Sandwich(random=1).step(space)  # type: ignore[arg-type]
    plain = list(rule(batch, context(supernet)))
    taught = list(TaughtStep(rule, net_teacher(), weight=0.5)(batch, context(supernet)))
    assert len(plain) == len(taught) == 3
    assert not torch.equal(plain[0], taught[0])  # the largest learns from the targets, and so from the teacher
    assert torch.equal(plain[1], taught[1])


def test_it_sees_images_of_its_own_size_and_constants() -> None:
    own = Preprocessing(mean=(0.5,), std=(0.5,))
    seen: list[torch.Tensor] = []
    teaching = Teacher(make_net(), 4, BY, own)
    teaching.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pixels = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    teaching((pixels - 0.3) / 0.25)
    assert torch.allclose(seen[0], (pixels - 0.5) / 0.5, atol=1e-6)
    teaching(torch.zeros(2, 1, 9, 9))
    assert seen[1].shape == (2, 1, 4, 4)
    assert torch.allclose(seen[1], torch.full((2, 1, 4, 4), (0.3 - 0.5) / 0.5), atol=1e-5)


def test_the_token_of_a_distilled_model_learns_from_the_teacher_alone() -> None:
    model = timm.create_model(DEIT, **SMALL)
    batch = Batch(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))
    teaching = Teacher(timm.create_model("deit_tiny_patch16_224", **SMALL), 8, BY)
    (loss,) = TaughtStep(PlainStep(), teaching, "hard", weight=0.5)(batch, context(model))
    assert not model.distilled_training  # after the step, both heads are averaged again
    model.set_distilled_training(True)
    first, second = model.train()(batch.inputs)
    assert isinstance(batch.targets, torch.Tensor)
    said = teaching(batch.inputs).argmax(1)
    expected = (functional.cross_entropy(first, batch.targets) + functional.cross_entropy(second, said)) / 2
    assert torch.allclose(loss, expected, atol=1e-6)


def test_sub_networks_of_a_distilled_model_have_both_heads() -> None:
    space = SearchSpace.from_yaml(
        f"model: {DEIT}\nmodel_args: {{img_size: 8, patch_size: 4, in_chans: 1, embed_dim: 16, depth: 2, "
        "num_heads: 2, num_classes: 3}\nchoices:\n  mlp: {size: [0.5, 1.0]}\n"
    )
    supernet = Supernet(timm.create_model(DEIT, **SMALL), space).train()
    batch = Batch(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0]))
    teaching = Teacher(timm.create_model("deit_tiny_patch16_224", **SMALL), 8, BY)
    step = TaughtStep(Sandwich(random=0).step(space), teaching)
    for part in step(batch, context(supernet)):
        part.backward()  # type: ignore[no-untyped-call]
    heads = [supernet.model.get_parameter(f"{head}.weight").grad for head in ("head", "head_dist")]
    assert heads[0] is not None
    assert heads[1] is not None
    assert not torch.equal(heads[0], heads[1])
    small = supernet.extract(space.smallest).eval()
    assert torch.equal(supernet.eval()(batch.inputs, space.smallest), small(batch.inputs))


def test_it_travels_to_other_ranks() -> None:
    step = TaughtStep(PlainStep(), net_teacher(), "hard", 0.4)
    call = FitCall(make_net(), step, make_data(), Recipe(epochs=1), 0)
    assignment = Assignment.unpacked(Assignment.of(call, Runtime(), 1).packed())
    sent = assignment.call.step
    assert isinstance(sent, TaughtStep)
    assert (sent.answers, sent.weight) == ("hard", 0.4)
    assert same_weights(sent.teacher, step.teacher)
    here, there = make_net(), make_net()
    for net, taught in ((here, step), (there, sent)):
        fit(FitCall(net, taught, make_data(), Recipe(epochs=1, batch=8), 0), Runtime(progress=False))
    assert same_weights(here, there)


VIT = TeacherSpec("deit_tiny_patch16_224", {**SMALL, "num_classes": 3})
ASKED = {"in_chans": 1, "num_classes": 3}


def test_it_is_made_of_a_checkpoint(tmp_path: Path) -> None:
    model = timm.create_model("deit_tiny_patch16_224", **SMALL)
    path = tmp_path / "teacher.safetensors"
    save_file(model.state_dict(), path)
    made = teacher(replace(VIT, checkpoint=str(path)), ASKED, BY)
    assert same_weights(made.model, model)
    assert made.size == (8, 8)
    assert made.same
    spec = replace(VIT, checkpoint=str(path), image_size=16)
    with pytest.raises(ModelError, match="deit_tiny_patch16_224 takes no images of 1 x 16 x 16 "):
        teacher(spec, ASKED, BY)
    assert teacher(replace(spec, model_args={**VIT.model_args, "dynamic_img_size": True}), ASKED, BY).size == (16, 16)
    by_two = replace(VIT, checkpoint=str(path), model_args={**VIT.model_args, "img_size": [8, 8]})
    assert teacher(by_two, ASKED, BY).size == (8, 8)
    assert teacher(by_two, ASKED, BY)(torch.zeros(1, 1, 4, 4)).shape == (1, 3)


def test_what_cannot_teach_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "teacher.safetensors"
    save_file(timm.create_model("deit_tiny_patch16_224", **{**SMALL, "num_classes": 7}).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"head.weight' is \(7, 16\) there, \(3, 16\) in the model"):
        teacher(replace(VIT, checkpoint=str(path)), ASKED, BY)
    with pytest.raises(TrainingError, match="without weights; allowed: pretrained: true, or a checkpoint"):
        teacher(VIT, ASKED, BY)
    oblong = replace(VIT, model_args={**VIT.model_args, "img_size": [8, 16]})
    timm_model = timm.create_model("deit_tiny_patch16_224", **oblong.model_args)
    save_file(timm_model.state_dict(), path)
    with pytest.raises(ModelError, match=r"teacher.model_args.img_size: found \[8, 16\]; allowed: pixels of a square"):
        teacher(replace(oblong, checkpoint=str(path)), ASKED, BY)
    with pytest.raises(ModelError, match="no model 'deit_tinny'"):
        teacher(replace(VIT, model="deit_tinny", pretrained=True), ASKED, BY)
    with pytest.raises(TaskError, match="answers: soft"):
        Task.decided(Classification(), torch.zeros(1, 3))
