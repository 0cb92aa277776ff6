"""Whether timm's weights can be had, told before anything trains: cached, fetched, or neither."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from studies_fakes import TINY

from nas.errors import CheckpointError
from nas.studies.study import Study
from nas.supernets import published as published_weights
from nas.supernets.published import are_here, has_weights, published

MODEL = "deit_tiny_patch16_224"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(published_weights, "get_hf_file_metadata", asked)


def put(cache: Path, name: str) -> None:
    """A file of the model's in the cache."""
    folder = cache / f"models--timm--{MODEL}.fb_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / name).write_bytes(b"")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_what_is_cached_needs_no_network(cache: Path, offline: None, name: str) -> None:
    assert not are_here(MODEL)
    put(cache, name)
    assert are_here(MODEL)
    assert published(MODEL).here
    assert not published(MODEL).lacking


def test_what_can_be_fetched_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_weights, "get_hf_file_metadata", lambda *_, **__: SimpleNamespace(size=123))
    assert published(MODEL) == published_weights.PublishedWeights(here=False, size=123)


def test_models_without_any() -> None:
    for model in ("torchvision/resnet18", "mine.models:made", "deit_tiny_patch16_225"):
        assert not has_weights(model)
        assert published(model).lacking == "nowhere"


def test_a_study_that_cannot_begin_says_so_before_it_prepares(tmp_path: Path, offline: None) -> None:
    for override, key in (
        ("base.pretrained=true", "base.pretrained"),
        (f"retrain.teacher={{model: {MODEL}, pretrained: true}}", "retrain.teacher.pretrained"),
    ):
        study = Study.from_yaml(TINY, overrides=[override], folder=tmp_path / "run")
        for begin in (lambda study=study: study.run(quiet=True), study.forecast):
            with pytest.raises(CheckpointError, match=rf"{key}: found true, but .* to be fetched \(no route to host\)"):
                begin()
        assert not (tmp_path / "run").exists()
