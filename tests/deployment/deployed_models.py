"""Small saved models."""

from __future__ import annotations

from pathlib import Path

import torch

import nas
from nas.preprocessing import Preprocessing
from nas.supernets import build, save
from nas.supernets.model_input import ModelInput

CARRYING = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 2, in_chans: 1, num_classes: 10, embed_dim: 24, depth: 2, num_heads: 2}
choices:
  queries: {keep: [0.5], drop: true, per: block}
  fc1_in: {size: [0.5], per: block}
  rank: {rank: [0.25], of: [qkv]}
"""
"""A ViT for digits that drops and carries tokens, with factored matrices and gathered inputs."""


def save_smallest(text: str, folder: Path) -> Path:
    """The smallest architecture of a space, with weights by chance, in a new folder."""
    torch.manual_seed(0)
    space = nas.SearchSpace.from_yaml(text)
    supernet = nas.Supernet(build(space.model, space.model_args), space)
    channels = int(space.model_args.get("in_chans", 3))
    constants = Preprocessing(mean=(0.3,), std=(0.4,)).for_channels(channels)
    images = ModelInput(channels, int(space.model_args["img_size"]), constants)
    blueprint = supernet.blueprint(space.smallest, {"input": images.as_json()})
    save(folder, supernet.extract(space.smallest), blueprint)
    return folder
