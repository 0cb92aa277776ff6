"""Models that cannot be had, or whose axes cannot be derived: one clear sentence, in bounded time and memory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from nas.errors import ModelError, NasError
from nas.supernets.derived.asked import derivation_by
from nas.supernets.derived.sources import derived_by
from nas.trusted import trust_code

BAD = '''
import time
import urllib.request

import torch
from torch import nn


class Model(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, width, 8, 8), nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.patches(x).mean((2, 3)))


class Deciding(Model):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else super().forward(-x)


class Masking(Model):
    def forward(self, x):
        return super().forward(x) * (torch.rand(len(x), 1) > 0.5)


class Leaving(Model):
    """Out of torch and back."""

    def forward(self, x):
        return super().forward(torch.from_numpy(x.numpy()))


class Endless(Model):
    def forward(self, x):
        while True:
            x = x + 1


class Measuring(Model):
    """Its constructor reads values, which there are none of without memory."""

    def __init__(self):
        super().__init__()
        self.scale = self.patches.weight.abs().max().item()

    def forward(self, x):
        return super().forward(x) / self.scale


class Sized(nn.Module):
    """Of four patches, wherever it is asked for more."""

    def __init__(self):
        super().__init__()
        self.patches, self.positions = nn.Conv2d(3, 8, 16, 16), nn.Parameter(torch.zeros(1, 8, 4))

    def forward(self, x):
        return (self.patches(x).flatten(2) + self.positions).mean(-1)


class Huge(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2**17, 2**17)


def downloading():
    """Of a host that is not there."""
    model = Model()
    model.load_state_dict(torch.load(urllib.request.urlopen("http://127.0.0.1:9/weights.pth")))
    return model


def asleep():
    time.sleep(600)
'''


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a file of such models, which the user is in."""
    (tmp_path / "bad_models.py").write_text(BAD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Deciding", r"the forward of Deciding cannot be captured on images of 3 x 224 x 224: .*depend on no values"),
        ("Leaving", r"the forward of Leaving cannot be captured on images of 3 x 224 x 224: .*depend on no values"),
        ("Sized", r"the forward of Sized cannot be captured on images of 3 x 224 x 224: .*--image-size N"),
        ("Masking", r"the forward of Masking draws random numbers in evaluation too \('rand'\)"),
        ("Huge", r"'bad_models:Huge' has 1.7e\+10 parameters; allowed: 1e\+10"),
        ("downloading", r"'bad_models:downloading' cannot be built .*refused.*; it asks for something of a network"),
    ],
)
@pytest.mark.usefixtures("bad")
def test_a_model_that_is_refused(name: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    trust_code(f"bad_models:{name}")
    with pytest.raises(ModelError, match=reason) as refused:
        derived_by(f"bad_models:{name}", {}, None)
    assert len(str(refused.value).splitlines()) == 1
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR], "torch logs what fails"


@pytest.mark.usefixtures("bad")
def test_a_model_that_needs_values_to_be_built_has_them() -> None:
    trust_code("bad_models:Measuring")
    assert derived_by("bad_models:Measuring", {}, 32).axes == {"patches": 8}


@pytest.mark.usefixtures("bad")
def test_what_takes_too_long_is_ended() -> None:
    trust_code("bad_models:asleep")
    with pytest.raises(NasError, match="the axes of 'bad_models:asleep': not done after 0 s"):
        derivation_by("bad_models:asleep", {}, seconds=0.1)


@pytest.mark.long
@pytest.mark.usefixtures("bad")
def test_an_export_without_an_end_is_ended() -> None:
    trust_code("bad_models:Endless")
    with pytest.raises(NasError, match="the axes of 'bad_models:Endless': not done after 20 s"):
        derivation_by("bad_models:Endless", {}, seconds=20)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("torchvision/vit_b_17", {}, "torchvision has no model 'vit_b_17'; did you mean 'vit_b_16'?"),
        ("no_such.module:build", {}, "'no_such.module:build' cannot be imported: ModuleNotFoundError"),
        ("vit_tiny_patch16_224", {"depth": 10, "embed_dim": 3 * 2**13}, "parameters; allowed: 1e+10"),
    ],
)
def test_what_cannot_be_built(name: str, arguments: dict[str, Any], reason: str) -> None:
    trust_code(name)
    with pytest.raises(ModelError) as refused:
        derived_by(name, arguments, None)
    assert reason in str(refused.value)
