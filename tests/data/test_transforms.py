"""Training pictures: timm's own to the bit, the presets the papers', and nothing but a picture's seed decides."""

from __future__ import annotations

import pickle
import random
from dataclasses import fields
from typing import Any, cast

import numpy as np
import pytest
import timm.data
import torch
from PIL import Image, ImageOps
from timm.data.distributed_sampler import RepeatAugSampler
from torch import Tensor

from nas import seeds
from nas.data import HeldSplit
from nas.data.order import order, picture_seed
from nas.data.resizing import Resizing
from nas.data.transforms import (
    UNCHANGED,
    Augmentation,
    Batchwise,
    Crop,
    CropAndFlip,
    WithTimm,
    augmentation_of,
    evaluation,
    presets,
    training,
    varied,
)
from nas.data.transforms.posterize import posterized
from nas.errors import ConfigError
from nas.preprocessing import Preprocessing
from nas.training import Recipe

SIZE = 24
RGB = Preprocessing(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25), crop_pct=0.875, interpolation="bicubic")
GREY = Preprocessing(mean=(0.3,), std=(0.25,))
PAPERS = ["deit", "deit3", "light", "swin"]
TRICKY = WithTimm(
    train_crop_mode="rkrr", auto_augment="augmix-m5", grayscale_prob=0.3, gaussian_blur_prob=0.3, vflip=0.5,
    re_prob=0.9, re_mode="rand", re_count=3,
)  # fmt: skip


def picture(seed: int, mode: str = "RGB", size: tuple[int, int] = (40, 31)) -> Image.Image:
    """A smooth picture with noise on it."""
    rng = np.random.default_rng(seed)
    pixels = np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((4, 4, 1))) * 0.8 + rng.integers(0, 50, (32, 40, 3))
    return Image.fromarray(pixels.astype(np.uint8)).resize(size).convert(mode)


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def timms(augment: WithTimm) -> dict[str, Any]:
    """The arguments of timm's `create_transform` by their names."""
    mixing = {"mixup", "cutmix", "mixup_prob", "mixup_switch_prob", "mixup_mode", "aug_repeats"}
    arguments = {f.name: getattr(augment, f.name) for f in fields(augment) if f.name not in mixing}
    return arguments | {"auto_augment": None if augment.auto_augment == "none" else augment.auto_augment}


def normalised(image_CHW: Tensor, by: Preprocessing) -> Tensor:
    empty = HeldSplit(torch.zeros(0, 1, 1, 1, dtype=torch.uint8), torch.zeros(0).long(), by)
    return empty.normalised(image_CHW)


@pytest.mark.parametrize(
    "augment", [*(augmentation_of(name) for name in PAPERS), TRICKY, WithTimm()], ids=[*PAPERS, "tricky", "timm"]
)
@pytest.mark.parametrize(("mode", "by"), [("RGB", RGB), ("L", GREY)], ids=["RGB", "L"])
def test_pictures_are_timms_to_the_bit(augment: WithTimm, mode: str, by: Preprocessing) -> None:
    ours = training(augment, SIZE, by)
    theirs = timm.data.create_transform(SIZE, is_training=True, mean=by.mean, std=by.std, **timms(augment))
    kinds = set()
    with torch.random.fork_rng():
        for seed in range(12):
            image = ours(picture(seed, mode), seed)
            kinds.add(image.dtype)
            seed_all(seed)
            assert torch.equal(normalised(image, by), theirs(picture(seed, mode)))
    assert kinds == {torch.float32 if augment.re_prob else torch.uint8}
    assert ours.normalises == bool(augment.re_prob)


@pytest.mark.parametrize("augment", [augmentation_of("deit"), TRICKY, Crop(), CropAndFlip(), UNCHANGED])
def test_a_picture_follows_from_its_seed_and_nothing_else_is_changed(augment: Augmentation) -> None:
    vary = training(augment, SIZE, RGB)
    seed_all(5)
    first = [vary(picture(1), seed) for seed in (0, 1, 2, 3)]
    after = random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
    seed_all(5)
    assert after == (random.random(), np.random.rand(), torch.rand(1))  # noqa: NPY002
    again = [pickle.loads(pickle.dumps(vary))(picture(1), seed) for seed in (3, 2, 1, 0)]
    for one, other in zip(first, reversed(again), strict=True):
        assert torch.equal(one, other)
        assert one.shape == (3, SIZE, SIZE)
    same = torch.equal(first[0], first[1]) and torch.equal(first[0], first[2])
    assert same == (augment == UNCHANGED)


def test_a_fault_gives_the_generators_back() -> None:
    seed_all(5)
    with pytest.raises(TypeError):
        training(WithTimm(), SIZE, RGB)("no picture", 0)  # type: ignore[arg-type]
    after = random.random(), torch.rand(1)
    seed_all(5)
    assert after == (random.random(), torch.rand(1))


@pytest.mark.parametrize("by", [RGB, GREY])
def test_evaluation_is_what_held_images_are_resized_by(by: Preprocessing) -> None:
    mode = "RGB" if len(by.mean) == 3 else "L"
    image = evaluation(SIZE, by)(picture(1, mode))
    pixels = np.atleast_3d(np.array(picture(1, mode)))
    resizing = Resizing(SIZE, by.crop_pct, by.interpolation, by.crop_mode)
    assert torch.equal(image, resizing(torch.from_numpy(pixels).permute(2, 0, 1)))
    assert torch.equal(image, training(UNCHANGED, SIZE, by)(picture(1, mode), 7))


def test_presets_are_the_papers() -> None:
    assert list(presets()) == PAPERS
    deit = WithTimm(
        scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), hflip=0.5, auto_augment="rand-m9-mstd0.5-inc1",
        interpolation="bicubic", re_prob=0.25, re_mode="pixel", re_count=1, mixup=0.8, cutmix=1.0, mixup_prob=1.0,
        mixup_switch_prob=0.5, mixup_mode="batch", aug_repeats=3,
    )  # fmt: skip
    assert augmentation_of("deit") == deit
    assert augmentation_of({"use": "deit", "aug_repeats": 0}) == augmentation_of("swin")
    three = {"use": "timm", "auto_augment": "3a", "color_jitter": 0.3, "mixup": 0.8, "cutmix": 1, "aug_repeats": 3}
    plain = {"interpolation": "bicubic", "scale": [0.08, 1], "ratio": [3 / 4, 4 / 3]}
    assert augmentation_of("deit3") == augmentation_of({**three, **plain})
    assert augmentation_of("light") == augmentation_of({"use": "timm", "color_jitter": 0, **plain})
    for name, path in presets().items():
        assert all(word in path.read_text() for word in ("Source:", "arXiv", "Differs:")), name


def test_defaults_are_those_of_timms_training_script() -> None:
    # Its parser is made when the script runs, and is no part of the package: these are read off it.
    script = {
        "scale": None, "ratio": None, "hflip": 0.5, "vflip": 0.0, "color_jitter": 0.4, "color_jitter_prob": None,
        "grayscale_prob": 0.0, "gaussian_blur_prob": 0.0, "re_prob": 0.0, "re_mode": "pixel", "re_count": 1,
        "mixup": 0.0, "cutmix": 0.0, "mixup_prob": 1.0, "mixup_switch_prob": 0.5, "mixup_mode": "batch",
        "aug_repeats": 0, "interpolation": "random",
    }  # fmt: skip
    assert {name: getattr(WithTimm(), name) for name in script} == script


@pytest.mark.parametrize(
    "policy", ["rand", "rand-m9-mstd0.5-inc1", "rand-m6-n3-p0.5-mmax12", "rand-t3a", "augmix-m5-w4-d2-b1", "v0", "3a"]
)
def test_policies_are_timms(policy: str) -> None:
    augment = augmentation_of({"use": "timm", "auto_augment": policy})
    assert training(augment, SIZE, RGB)(picture(0), 3).shape == (3, SIZE, SIZE)


@pytest.mark.parametrize("policy", ["rand-m10-n9-p1-inc1", "augmix-m10-d9", "v0", "v0r"])
def test_no_bits_are_black(policy: str) -> None:
    """Which Pillow refuses: timm's policies draw it, and are to go on."""
    vary = training(WithTimm(auto_augment=policy, color_jitter=0), SIZE, RGB)
    images = [vary(picture(0), seed) for seed in range(25)]
    assert len({image.sum() for image in images}) > 10
    assert not posterized(picture(0), 0).getbbox()
    assert not posterized(picture(0, "L"), 0).getbbox()
    assert posterized(picture(0), 4).tobytes() == ImageOps.posterize(picture(0), 4).tobytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("diet", "found 'diet'; allowed: none, crop, crop.flip, timm, annotated, deit, deit3, light, swin; .*'deit'"),
        ({"use": "deit", "re_prob": 2}, "re_prob: found 2"),
        (
            {"use": "timm", "auto_augment": "rand-m9-mstdinf"},
            "auto_augment: found 'rand-m9-mstdinf'; allowed: none, or",
        ),
        ({"use": "timm", "scale": [1.0, 0.5]}, "scale: found .*; allowed: the least and the most, in this order"),
        ({"use": "timm", "scale": [0.5]}, "scale"),
        ({"use": "timm", "crop_pct": 0.9}, "crop_pct: found an unknown key"),
        ({"use": "crop", "mixup": 0.2}, "mixup: found an unknown key"),
        ({"re_prob": 0.2}, "use: found nothing"),
    ],
)
def test_what_is_no_augmentation_is_said_in_one_sentence(options: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        augmentation_of(options)


@pytest.mark.parametrize(("count", "ranks", "repeats"), [(12, 1, 3), (12, 2, 3), (13, 1, 3), (12, 3, 4), (8, 2, 1)])
def test_repeats_are_those_of_timms_sampler(count: int, ranks: int, repeats: int) -> None:
    ours = order(count, torch.Generator().manual_seed(6), repeats).tolist()
    shares = []
    for rank in range(ranks):
        sampler = RepeatAugSampler(range(count), ranks, rank, num_repeats=repeats, selected_round=0)
        sampler.epoch = 6
        shares.append(list(sampler))
    assert ours == [index for row in zip(*shares, strict=True) for index in row]
    drawn = [picture_seed(1, index, place, repeats) for place, index in enumerate(ours)]
    assert len(set(drawn)) == count  # each copy is varied by another seed
    if repeats == 1:
        assert drawn[0] == seeds.derive(1, seeds.PICTURE, ours[0], 0)


def test_held_images_go_through_the_same_transform() -> None:
    images = torch.stack([evaluation(SIZE, RGB)(picture(n)) for n in range(8)])
    split = HeldSplit(images, torch.arange(8), RGB)
    augment = augmentation_of({"use": "deit", "aug_repeats": 2})
    batches = list(split.batches(3, seed=4, augment=augment))
    assert [len(batch) for batch in batches] == [3, 3, 2]
    expected = order(8, torch.Generator().manual_seed(4), 2)
    vary = training(augment, SIZE, Preprocessing(mean=RGB.mean, std=RGB.std))
    assert torch.equal(torch.cat([cast(Tensor, batch.targets) for batch in batches]), expected)
    for place, image in enumerate(torch.cat([batch.inputs for batch in batches])):
        index = int(expected[place])
        one = varied(images[index : index + 1], vary, [picture_seed(4, index, place, 2)])[0]
        assert torch.equal(image, one)
    assert varied(images[:0], vary, []).shape == (0, 3, SIZE, SIZE)
    other_size = torch.cat([batch.inputs for batch in split.batches(8, seed=4, augment=augment)])
    assert torch.equal(other_size, torch.cat([batch.inputs for batch in batches]))


@pytest.mark.parametrize("name", ["none", "crop", "crop+flip"])
def test_augmentations_of_tensors(name: str) -> None:
    augment = augmentation_of(name)
    assert isinstance(augment, Batchwise)
    assert (augment.mixing, augment.repeats) == (None, 1)
    assert Recipe(augment=name) == Recipe(augment={"use": name})


def test_what_mixes_is_said_once() -> None:
    recipe = Recipe(augment={"use": "deit", "mixup_prob": 0.5})
    assert (recipe.mixup, recipe.cutmix) == (0.8, 1.0)
    assert (recipe.mixing.mixup, recipe.mixing.cutmix, recipe.mixing.prob) == (0.8, 1.0, 0.5)
    assert Recipe(augment={"use": "deit", "scale": (0.5, 1)}).augment["scale"] == [0.5, 1]  # type: ignore[index]
    plain = Recipe(mixup=0.4, augment="crop")
    assert (plain.mixup, plain.mixing.mixup, plain.mixing.prob, plain.augment) == (0.4, 0.4, 1.0, "crop")
    assert Recipe(augment="light").mixing == Recipe().mixing
