"""How to train: the numbers of one training run, as `base:`, `supernet:` and `retrain:` of a study give them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from nas.data.transforms import AUGMENTATION, Augmentation, AugmentOptions, augmentation_of
from nas.documents.conditions import Above, Agrees, Is, Present, ReadWith
from nas.documents.defaults import completed_value
from nas.documents.markers import MayChangeBefore
from nas.documents.plugged import checked, spelt
from nas.numbers import BatchSize, Count, EpochCount, Epochs, Positive, Rate, Unit, below, number, scaled_rate
from nas.tasks import Mixing
from nas.training.optimiser_options import OPTIMIZER
from nas.training.precision import Amp
from nas.training.schedule import SCHEDULE

TRAINED = ReadWith(Above("epochs", 0))
"""What says how to learn is read where something learns. Rates and sizes may stand with 0 epochs: a study whose recipe
is written out is run without one of its trainings by `--set supernet.epochs=0` alone.
"""


Chosen = Annotated[str, Field(min_length=1)] | Mapping[str, Any]
"""A name, or a mapping with `use:` and options."""
ClipMode = Literal["norm", "value", "agc"]
Scaling = Literal["linear", "sqrt"]


@dataclass(frozen=True)
class Recipe:
    """How a module is trained. By default: AdamW with linear warm-up and cosine decay to 0, both per optimiser step.
    The numbers suit a small ViT on the digits.

    epochs              passes over the training split; 0 trains nothing
    lr                  peak learning rate
    lr_base_size        images that `lr` is for: with more in an optimiser step it is scaled up; None = as it is
    lr_base_scale       linear, or by the square root, as timm does for LAMB and Adam
    optimizer           timm's name of it, or a mapping with `use:` and the options that timm gives it, and those of
                        `nas.training.optimiser_options.OptimiserOptions`, such as layer_decay
    schedule            of the learning rate after warm-up: a name (cosine, step, multistep, poly, tanh, constant), or a
                        mapping with `use:` and its options, see `nas.training.schedule`
    batch               images per batch
    accumulate          batches per optimiser step; the loss is then the mean over all their images
    weight_decay        not applied to biases, norms, tokens and position embeddings
    warmup              epochs of linear warm-up from 0; at most half of `epochs` is used
    smoothing           of the targets: the share that is spread over all classes
    mixup, cutmix       alpha of the Beta distribution (timm.data.Mixup); 0 = off; with both, each batch takes one of
                        them; where `augment` has options of these names, those say it
    augment             "crop" (pad by an eighth, cut out at random) or "crop+flip" (and mirror: not for digits and
                        letters); a paper's (deit, deit3, swin, light: nas/data/transforms/presets), as it is or
                        changed, `{use: deit, re_prob: 0}`; or timm's transforms, `{use: timm, ...}`, see
                        `nas.data.transforms.with_timm`
    drop_path           rate at which the last block's branches are left out while it trains, image by image; it grows
                        from 0 evenly with the depth (stochastic depth, arXiv 1603.09382); 0 = as the model was built
    ema                 decay of an exponential moving average of the weights, which then is the result; None = off
    ema_warmup          whether that decay grows from 0 in the first steps (timm.utils.ModelEmaV3)
    clip                greatest norm of all gradients together; None = no clipping
    clip_mode           of what `clip` is the most: that norm, each value of a gradient, or, unit by unit, the norm of
                        the gradient over that of the weights (agc, arXiv 2102.06171; not of the classifier)
    amp                 the numbers of the forward pass: bfloat16 on a GPU and float32 elsewhere (true), float32
                        (false), or bfloat16 or float16 wherever it runs
    grad_checkpointing  activations inside blocks are computed twice instead of being kept: less memory, more time
    channels_last       images and filters lie in memory as convolutions on a GPU like them
    torchcompile        torch.compile for the forward pass, of modules that stay the same from step to step
    sync_bn             batch norms take their statistics from what all workers see of a batch, as one worker does
    """

    # Not final: a stage of a study adds its own keys to these in the same YAML mapping, by inheritance.

    epochs: EpochCount = 40
    lr: Rate = 3e-3
    lr_base_size: BatchSize | None = None
    lr_base_scale: Annotated[Scaling, ReadWith(Present("lr_base_size"))] = "linear"
    optimizer: Annotated[Chosen, OPTIMIZER, AfterValidator(lambda options: checked(options, OPTIMIZER))] = "adamw"
    schedule: Annotated[Chosen, SCHEDULE, AfterValidator(lambda options: checked(options, SCHEDULE))] = "cosine"
    batch: Annotated[BatchSize, MayChangeBefore()] = 32
    accumulate: Annotated[Count, Unit("batches"), MayChangeBefore()] = 1
    weight_decay: Annotated[float, number(0, 1000)] = 0.05
    warmup: Epochs = 5
    smoothing: Annotated[float, below(0, 1), TRAINED] = 0.0
    mixup: Annotated[float, number(0, 1000), TRAINED, Agrees("augment", "mixup")] = 0.0
    cutmix: Annotated[float, number(0, 1000), TRAINED, Agrees("augment", "cutmix")] = 0.0
    augment: Annotated[AugmentOptions, TRAINED] = "none"
    drop_path: Annotated[float, below(0, 1), TRAINED] = 0.0
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, TRAINED] = None
    ema_warmup: Annotated[bool, ReadWith(Present("ema"))] = True
    clip: Positive | None = 1.0
    clip_mode: Annotated[ClipMode, ReadWith(Present("clip"))] = "norm"
    amp: Amp = True
    grad_checkpointing: Annotated[bool, MayChangeBefore()] = False
    channels_last: bool = False
    torchcompile: bool = False
    sync_bn: Annotated[bool, ReadWith(Is("torchcompile", False))] = False

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

    @property
    def peak_lr(self) -> float:
        """The peak learning rate for the images of one optimiser step, which ranks share."""
        if self.lr_base_size is None:
            return self.lr
        return scaled_rate(self.lr, self.batch * self.accumulate / self.lr_base_size, self.lr_base_scale)
