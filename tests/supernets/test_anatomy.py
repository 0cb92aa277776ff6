"""A model that was seen before has the anatomy that it had, and is not built again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.searchspaces import SearchSpace
from nas.supernets import Cost, anatomy, timm_models
from nas.supernets.families import families
from nas.supernets.of_space import cost_of

EXAMPLES = [(model, dict(args)) for family in families() for model, args in family.examples]
SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 2}
choices:
  heads: {size: [1, 2], per: block}
  mlp: {size: [8, 64], per: block}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; what this process has seen is forgotten."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    anatomy._anatomy.cache_clear()
    return tmp_path / "nas"


def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nothing can be built, and nothing is known but what lies in the folder."""
    anatomy._anatomy.cache_clear()

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was built")

    monkeypatch.setattr(timm_models, "outlined", refused)


@pytest.mark.parametrize(("model", "args"), EXAMPLES, ids=str)
def test_every_family_comes_back_as_it_was(model: str, args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    built = anatomy.anatomy(model, args)
    assert built.own
    forgotten(monkeypatch)
    remembered = anatomy.anatomy(model, args)
    assert remembered == built
    assert remembered is not built
    assert list(remembered.table.entries) == list(built.table.entries)
    assert list(remembered.outline.axes) == list(built.outline.axes)


def test_a_space_of_a_model_seen_before_costs_the_same_whatever_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace.from_yaml(SPACE)
    before = cost_of(space)
    forgotten(monkeypatch)
    after = cost_of(SearchSpace.from_yaml(SPACE))
    assert isinstance(after, Cost)
    assert after.counts(space.smallest) == before.counts(space.smallest)
    other = SearchSpace.from_yaml(SPACE.replace("mlp: {size: [8, 64]", "mlp: {size: [16, 32]"))
    assert cost_of(other).counts(other.largest)["macs"] < before.counts(space.largest)["macs"]


def test_other_code_and_other_versions_forget(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SearchSpace.from_yaml(SPACE)
    (file,) = cache.iterdir()
    about = json.loads(file.read_text())["about"]
    assert about["model"] == "vit_tiny_patch16_224"
    assert {"nas", "timm", "torch", "torchvision"} == set(about["versions"])
    monkeypatch.setattr(anatomy, "made_by", lambda: {**about, "code": "other"})
    forgotten(monkeypatch)
    with pytest.raises(AssertionError, match="a model was built"):
        anatomy.anatomy(about["model"], about["model_args"])


@pytest.mark.parametrize(("model", "args"), EXAMPLES, ids=str)
def test_a_model_without_values_has_all_shapes_of_one_with_values(model: str, args: dict[str, Any]) -> None:
    assert timm_models.differs(timm_models.build(model, args), model, args) == ""
    assert all(parameter.is_meta for parameter in timm_models.outlined(model, args).parameters())
