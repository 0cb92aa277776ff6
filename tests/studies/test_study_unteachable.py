"""Recipes that pictures or targets cannot follow are faults of the study, not of its training."""

from __future__ import annotations

import pytest
from annotated_sets import usual

from nas.errors import ConfigError
from nas.studies.file.resolve import resolve

VIT = """
space:
  model: vit_tiny_patch16_224
  model_args: {{img_size: 32, patch_size: 16, embed_dim: 32, depth: 2, num_heads: 4}}
  choices: {{mlp: {{size: [0.5, 1.0]}}}}
strategy: uniform
supernet: {{epochs: 0}}
retrain: {{epochs: 0}}
{}
"""
OBJECTS = "task: {{use: detection, head: yolos, queries: 5}}\ndata: {{path: {}, image_size: 32, validation: 0.25}}\n"
DIGITS = "data: {name: digits, image_size: 32}\n"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> str:
    return OBJECTS.format(usual(tmp_path_factory.mktemp("coco") / "cells"))


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("augment: crop", r"base\.augment: found '?crop'?, which would leave boxes .*; allowed: annotated, or none"),
        ("augment: {use: timm}", r"base\.augment: found .*which would leave boxes"),
        ("mixup: 0.2", r"base\.mixup: found pictures with boxes are not mixed; allowed: 0"),
        ("cutmix: 1.0", r"base\.cutmix: found pictures with boxes are not mixed; allowed: 0"),
        ("smoothing: 0.1", r"base\.smoothing: found 0\.1; allowed: for detection: 0"),
    ],
)
def test_of_objects(objects: str, recipe: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve(VIT.format(f"{objects}base: {{epochs: 1, {recipe}}}"))


def test_of_classes() -> None:
    with pytest.raises(
        ConfigError, match=r"base\.augment: found .*, and the pictures have classes, no boxes; allowed: no"
    ):
        resolve(VIT.format(DIGITS + "base: {epochs: 1, augment: {use: annotated}}"))


def test_what_goes_together_is_no_fault(objects: str) -> None:
    for recipe in ("", "augment: none", "augment: {use: annotated, hflip: 0.5}"):
        resolve(VIT.format(f"{objects}base: {{epochs: 1, {recipe}}}"))
    resolve(VIT.format(DIGITS + "base: {epochs: 1, augment: crop, mixup: 0.2, smoothing: 0.1}"))
