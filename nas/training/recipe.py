"""How to train: the numbers of one training run, as `base:`, `supernet:` and `retrain:` of a study give them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from nas.data.transforms import AUGMENTATION, Augmentation, AugmentOptions, augmentation_of
from nas.documents.conditions import Above, Agrees, ReadWith
from nas.documents.defaults import completed_value
from nas.documents.plugged import spelt
from nas.numbers import Count, Positive, Rate, below, number, whole
from nas.tasks import Mixing

TRAINED = ReadWith(Above("epochs", 0))
"""What says how to learn is read where something learns. Rates and sizes may stand with 0 epochs: a study whose recipe
is written out is run without one of its trainings by `--set supernet.epochs=0` alone.
"""


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
    mixup, cutmix  alpha of the Beta distribution (timm.data.Mixup); 0 = off; with both, each batch takes one of them;
                   where `augment` has options of these names, those say it
    augment        "crop" (pad by an eighth, cut out at random) or "crop+flip" (and mirror: not for digits and letters);
                   a paper's (deit, deit3, swin, light: nas/data/transforms/presets), as it is or changed, `{use: deit,
                   re_prob: 0}`; or timm's transforms, `{use: timm, ...}`, see `nas.data.transforms.with_timm`
    ema            decay of an exponential moving average of the weights, which then is the result; None = off
    clip           greatest norm of all gradients together; None = no clipping
    amp            bfloat16 autocast, on a GPU only
    """

    # Not final: a stage of a study adds its own keys to these in the same YAML mapping, by inheritance.

    epochs: Annotated[int, whole(0, 1_000_000)] = 40
    lr: Rate = 3e-3
    batch: Count = 32
    accumulate: Count = 1
    weight_decay: Annotated[float, number(0, 1000)] = 0.05
    warmup: Annotated[float, number(0, 1_000_000)] = 5
    smoothing: Annotated[float, below(0, 1), TRAINED] = 0.0
    mixup: Annotated[float, number(0, 1000), TRAINED, Agrees("augment", "mixup")] = 0.0
    cutmix: Annotated[float, number(0, 1000), TRAINED, Agrees("augment", "cutmix")] = 0.0
    augment: Annotated[AugmentOptions, TRAINED] = "none"
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, TRAINED] = None
    clip: Positive | None = 1.0
    amp: bool = True

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        """Writes the augmentation in one way, and what it says of mixing into the recipe's own keys."""
        augment = spelt(self.augment, AUGMENTATION)
        said = completed_value(AugmentOptions, augment)
        assert isinstance(said, dict)
        for name in ("mixup", "cutmix"):
            object.__setattr__(self, name, said.get(name, getattr(self, name)))
        object.__setattr__(self, "augment", augment["use"] if len(augment) == 1 else augment)

    @property
    def augmentation(self) -> Augmentation:
        """What varies the pictures. Raises `ConfigError` for options that are none."""
        return augmentation_of(self.augment)

    @property
    def mixing(self) -> Mixing:
        """How images are mixed."""
        return self.augmentation.mixing or Mixing(self.mixup, self.cutmix)
