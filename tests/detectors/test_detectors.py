"""A supernet of a detector: what runs on slices is what is extracted, costs what is counted, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from detector_spaces import HEADS, SWIN, VIT, YOLOS, known, on_pyramid, on_tokens, pictures, space_of, supernet_of
from torch.utils.flop_counter import FlopCounterMode

import nas
from nas import SearchSpace
from nas.detectors import DetectorOutputs
from nas.errors import ConfigError, LimitError
from nas.supernets import save

SPACES = {
    **{f"{body} {head}": (body, head) for body in ("swin", "vit") for head in (*HEADS, "fcn")},
    "vit yolos": ("vit", "yolos"),
}


def space(name: str) -> SearchSpace:
    body, head = SPACES[name]
    return on_tokens() if head == "yolos" else on_pyramid(body, head)


def same(first: DetectorOutputs, second: DetectorOutputs) -> bool:
    """Equal to the last bit: maps, proposals, tokens, and detections."""
    fixed = all(torch.equal(first.fixed[name], second.fixed[name]) for name in first.fixed)
    pairs = zip(first.detections, second.detections, strict=True)
    return fixed and all(torch.equal(a.boxes, b.boxes) and torch.equal(a.scores, b.scores) for a, b in pairs)


@pytest.mark.parametrize("name", SPACES)
def test_a_slice_is_its_extracted_detector(name: str, tmp_path: Path) -> None:
    """On a random and on the smallest architecture; saved, it comes back without unpickling; costs are exact."""
    supernet = supernet_of(space(name)).eval()
    images = pictures()
    drawn = supernet.space.sample(np.random.default_rng(0))
    for architecture in (drawn, supernet.space.smallest):
        extracted = supernet.extract(architecture).eval()
        with torch.inference_mode():
            sliced = supernet(images, architecture)
            assert same(sliced, extracted(images))
        assert any(len(found) for found in sliced.detections) or "retinanet" in name or "fcn" in name
        counts = supernet.cost.counts(architecture)
        assert counts["params"] == sum(p.numel() for p in extracted.parameters())
        assert counts["body_params"] == sum(p.numel() for p in extracted.body.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = extracted(images[:1])
    if "proposals" not in outputs.fixed or len(outputs.detections[0]) == extracted.spec.detections:
        assert counter.get_total_flops() == 2 * counts["macs"]
    save(tmp_path, extracted, supernet.blueprint(architecture))
    with torch.inference_mode():
        assert same(sliced, nas.load(tmp_path)(images))


@pytest.mark.parametrize("name", ["swin cascade_mask_rcnn", "vit retinanet", "vit yolos"])
def test_all_of_it_learns(name: str) -> None:
    """But for the class token, which nobody reads, and what masks need."""
    supernet = supernet_of(space(name)).train()
    outputs = supernet(known(), supernet.space.largest)
    torch.stack(list(outputs.losses.values())).sum().backward()
    still = [name for name, parameter in supernet.model.named_parameters() if parameter.grad is None]
    assert not still
    assert not outputs.detections


def test_each_pixel_gets_logits_and_all_of_it_learns_by_them() -> None:
    supernet = supernet_of(on_pyramid("vit", "fcn")).train()
    outputs = supernet(pictures(), supernet.space.largest)
    assert (outputs.losses, outputs.detections) == ({}, ())
    logits = outputs.fixed["logits"]
    assert logits.shape == (2, 3, *pictures().shape[-2:])
    logits.square().sum().backward()
    still = {name for name, parameter in supernet.model.named_parameters() if parameter.grad is None}
    assert still <= {"body.cls_token"}


def test_a_loss_that_is_measured_is_the_same_each_time() -> None:
    """What is drawn follows from nothing, and the caller's own draws go on as they were."""
    supernet = supernet_of(on_pyramid("swin", "faster_rcnn")).eval()
    architecture = supernet.space.smallest
    torch.manual_seed(1)
    wanted = torch.rand(1)
    torch.manual_seed(1)
    with torch.inference_mode():
        first, second = (supernet(known(detect=True), architecture) for _ in range(2))
    assert torch.equal(torch.rand(1), wanted)
    assert all(torch.equal(first.losses[name], second.losses[name]) for name in first.losses)
    assert same(first, second)


def test_auxiliary_losses_are_those_of_all_blocks() -> None:
    supernet = supernet_of(on_tokens(auxiliary=True)).eval()
    plain = supernet_of(on_tokens()).eval()
    with torch.inference_mode():
        of_all, of_last = (net(known(), net.space.largest).losses for net in (supernet, plain))
    assert len(of_all) == 2 * len(of_last)
    assert all(torch.equal(of_all[name], of_last[name]) for name in of_last)


def test_a_pyramid_needs_every_token() -> None:
    with pytest.raises(ConfigError, match="reads a map of all tokens, which has no holes"):
        space_of(
            VIT[0], {**VIT[1], "detector": {"head": "faster_rcnn", "classes": 2}}, {"tokens": {"keep": [0.5, 1.0]}}
        )


def test_detection_tokens_stay() -> None:
    """Patches may go where no positions are added between blocks; else they may pass blocks by."""
    choices = {"tokens": {"keep": [0.25, 1.0]}}
    with pytest.raises(ConfigError, match="mid_positions: false"):
        on_tokens(choices)
    supernet = supernet_of(on_tokens(choices, mid_positions=False)).eval()
    smallest = supernet.space.smallest
    assert set(supernet.space.sizes(smallest).values()) == {1 + 5 + 6}
    with torch.inference_mode():
        assert same(supernet(pictures(), smallest), supernet.extract(smallest).eval()(pictures()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "rcnn"}, "detector.head"),
        ({"classes": 0}, "detector.classes"),
        ({"unheard": 1}, "detector.unheard"),
        ({"anchors": [8, 16, 32, 64]}, "anchors: found 4 levels on 2 stages"),
        ({"stages": [0]}, "stages: found 0"),
    ],
)
def test_what_cannot_be_built_is_said(options: dict[str, object], said: str) -> None:
    detector = {**HEADS["faster_rcnn"], "anchors": [8, 16], **options}
    with pytest.raises(ConfigError, match=said):
        space_of(SWIN[0], {**SWIN[1], "detector": detector}, {"mlp": {"size": [0.5, 1.0]}})


def test_detection_tokens_are_for_plain_transformers() -> None:
    with pytest.raises(ConfigError, match="takes no detection tokens; allowed: ViT and DeiT"):
        space_of(SWIN[0], {**SWIN[1], "detector": YOLOS}, {"mlp": {"size": [0.5, 1.0]}})


def test_the_body_can_be_bounded_by_itself() -> None:
    cost = supernet_of(on_pyramid("swin", "faster_rcnn")).cost
    limit = nas.Limit(cost, body_macs="70%")
    drawn = cost.space.sample_table(np.random.default_rng(0), 20, limit)
    assert (cost.of("body_macs", drawn) <= 0.7 * cost.base("body_macs")).all()
    plain = SearchSpace.from_yaml("model: vit_tiny_patch16_224\nchoices: {mlp: {size: [0.5, 1.0]}}\n")
    with pytest.raises(LimitError, match="'body_macs' is of a part that the model is without"):
        nas.Limit(nas.Supernet(nas.supernets.build(plain.model, {}), plain).cost, body_macs="70%")


def test_a_classifier_has_no_body_to_be_searched_by() -> None:
    study = (
        "data: {name: digits}\nstrategy: uniform\nobjectives: {accuracy: max, body_macs: min}\n"
        "space: {model: vit_tiny_patch16_224, model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 1, "
        "num_heads: 2}, choices: {mlp: {size: [0.5, 1.0]}}}\n"
    )
    with pytest.raises(
        ConfigError, match=r"objectives\.body_macs: found 'body_macs', of a part that the model is without"
    ):
        nas.Study.from_yaml(study)
