"""Split weights of `benchmarks.few_shot`: each architecture runs on, learns in, and is extracted from one supernet."""

from __future__ import annotations

import pytest
import torch

from benchmarks.few_shot import FewShot
from nas.searchspaces import Architecture, SearchSpace
from nas.supernets import Supernet, build

SPACE = """
model: vit_tiny_patch16_224
model_args: {img_size: 8, patch_size: 4, embed_dim: 16, depth: 2, num_heads: 4, in_chans: 1, num_classes: 3}
choices:
  heads: {size: [1, 2, 3, 4], per: block}
  mlp: {size: [16, 32, 64], per: block}
"""


@pytest.fixture
def supernet() -> Supernet:
    torch.manual_seed(0)
    space = SearchSpace.from_yaml(SPACE)
    supernet = Supernet(build(space.model, space.model_args), space).eval()
    supernet.reorder({axis: torch.rand(size) for axis, size in space.outline.axes.items() if axis.startswith("heads")})
    return supernet


def test_all_begin_as_one_supernet_and_are_extracted_exactly(supernet: Supernet) -> None:
    split, images = FewShot(supernet, "heads.0", 2), torch.rand(3, 1, 8, 8)
    for row in ([0, 1, 2, 0], [1, 3, 0, 1], [2, 0, 1, 1], [3, 3, 2, 2]):
        (architecture,) = split.space.from_table([row])
        with torch.no_grad():
            assert torch.equal(split(images, architecture), supernet(images, architecture))
            assert torch.equal(split(images, architecture), split.extract(architecture)(images))
    assert split.group_of == {1: 0, 2: 0, 3: 1, 4: 1}


def test_one_group_learns_nothing_of_another(supernet: Supernet) -> None:
    split, images = FewShot(supernet, "heads.0", 4), torch.rand(3, 1, 8, 8)
    small, large = split.space.smallest, split.space.largest
    before = split(images, large).detach()
    split(images, small).square().sum().backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in split.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    assert torch.equal(split(images, large), before)
    assert not torch.equal(split(images, small), supernet(images, small))
    same = Architecture({**large, "heads.0": small["heads.0"]})
    assert not torch.equal(split(images, same), supernet(images, same)), "of one group, all share"


def test_more_groups_than_values(supernet: Supernet) -> None:
    with pytest.raises(AssertionError, match=r"mlp\.1 has 3 values"):
        FewShot(supernet, "mlp.1", 4)
