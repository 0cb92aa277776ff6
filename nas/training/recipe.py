"""How to train: the numbers of one training run, as `base:`, `supernet:` and `retrain:` of a study give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from nas.data import Augment


@dataclass(frozen=True)
class Recipe:
    """AdamW with linear warm-up and cosine decay to 0, both per optimiser step. The defaults suit a small ViT on the
    digits.

    epochs         passes over the training split; 0 trains nothing
    lr             peak learning rate
    batch          images per batch
    accumulate     batches per optimiser step; the loss is then the mean over all their images
    weight_decay   not applied to biases, norms, tokens and position embeddings
    warmup         epochs of linear warm-up from 0; at most half of `epochs` is used
    smoothing      of the targets: the share that is spread over all classes
    mixup, cutmix  alpha of the Beta distribution (timm.data.Mixup); 0 = off; with both on, each batch takes one of them
    augment        "crop" (pad by an eighth, cut out at random) or "crop+flip" (and mirror: not for digits and letters)
    ema            decay of an exponential moving average of the weights, which then is the result; None = off
    clip           greatest norm of all gradients together; None = no clipping
    amp            bfloat16 autocast, on a GPU only
    """

    # Not final: a stage of a study adds its own keys to these in the same YAML mapping, by inheritance.

    epochs: Annotated[int, Field(ge=0)] = 40
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3e-3
    batch: Annotated[int, Field(ge=1)] = 32
    accumulate: Annotated[int, Field(ge=1)] = 1
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    warmup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    mixup: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    cutmix: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    augment: Augment = "none"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    amp: bool = True

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
