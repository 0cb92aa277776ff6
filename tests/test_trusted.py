"""Code runs where the user named it, and nowhere else: a function of theirs as a model, in a study from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas import Study, cli, trusted
from nas.errors import ConfigError, ModelError
from nas.studies.file.resolve import resolve
from nas.supernets import Supernet, anatomy, build, load, save
from nas.supernets.derived.sources import built_by

THEIRS = '''
"""A vision transformer as somebody writes it in a file."""
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 32), nn.Linear(32, width)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(torch.relu(self.up(self.norm2(x))))


class Net(nn.Module):
    def __init__(self, in_chans, num_classes, width, heads):
        super().__init__()
        self.patches, self.token = nn.Conv2d(in_chans, width, 2, 2), nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 17, width))
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


def small(in_chans=3, num_classes=10, width=16, heads=4):
    return Net(in_chans, num_classes, width, heads)
'''
STUDY = """
space:
  model: their_net:small
  model_args: {heads: 2, img_size: 8}
  choices:
    heads: {size: [1, 2], per: block}
    mlp: {size: [0.5, 1.0], per: block}
    embed: {size: [0.5, 1.0]}
    depth: {depth: [1, 2]}
strategy: {use: uniform, trials: 3}
data: {name: digits, train_images: 64}
limit: {macs: 60%}
base: {epochs: 1}
supernet: {epochs: 1}
retrain: {epochs: 1}
finalists: 1
latency: {batches: [1], seconds: 0.001}
threads: 1
name: theirs
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, which they are in; nothing has been named in it."""
    (tmp_path / "their_net.py").write_text(THEIRS)
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(trusted, "_NAMED", set())
    # In this process, which has loaded torch already.
    monkeypatch.setattr(anatomy, "bounded", lambda work, *arguments, **_: work(*arguments))
    return tmp_path


@pytest.mark.long
def test_a_study_of_a_users_own_model(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From end to end; what is saved is loaded again. The run's folder alone may not have its model made."""
    Study.from_yaml(theirs / "study.yaml", folder="run").run(quiet=True)
    saved = next((theirs / "run").rglob("model.json")).parent
    with torch.no_grad():
        assert load(saved)(torch.randn(2, 1, 8, 8)).shape == (2, 10)
    monkeypatch.setattr(trusted, "_NAMED", set())
    assert cli.main(["extract", "run", "--to", "taken"]) == 2
    assert cli.main(["extract", "run", "--to", "taken", "--trust"]) == 0
    assert cli.main(["evaluate", "run", "--trust"]) == 0


def test_a_run_of_somebody_elses_and_its_models_name_code_in_vain(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --trust; a study of the user's own does."""
    space = resolve(theirs / "study.yaml").space
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    images = torch.randn(2, 1, 8, 8)
    extracted = supernet.extract(space.smallest)
    save(theirs / "saved", extracted, supernet.blueprint(space.smallest))

    def of_others(**trusting: bool) -> None:
        monkeypatch.setattr(trusted, "_NAMED", set())
        resolve(theirs / "study.yaml", finished=["prepare"], **trusting)

    with pytest.raises(ConfigError, match="'their_net:small' is code"):
        of_others()
    with pytest.raises(ModelError, match="'their_net:small' is code"):
        load(theirs / "saved")
    monkeypatch.setenv("NAS_TRUST", "host:1, their_net:small")
    with torch.no_grad():
        assert torch.equal(load(theirs / "saved")(images), extracted(images))
    monkeypatch.delenv("NAS_TRUST")
    of_others(trust=True)


def test_what_nobody_named_is_not_imported(theirs: Path) -> None:
    (theirs / "their_net.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(ModelError, match="allowed in a study of your own, with --trust, or with the function in NAS_"):
        built_by("their_net:small", {})


def test_the_command_shows_their_axes(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "study.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "their_net:small" in shown
    assert "heads.0 … heads.1 (2)" in shown
