"""Patch Slimming's figures 3, 6 and 7: cosines pair by pair, and one block's tokens."""

from __future__ import annotations

import pandas as pd
import torch

from benchmarks.patch_figures import kept, mean_cosine, net_of, one_layer, similarity
from nas.data import DataSpec, load_data
from nas.evaluation import evaluate
from nas.importance.patch_impact import PatchImpact
from nas.searchspaces import Architecture
from nas.supernets import build
from nas.training.workplace import Workplace

ARGS = {"img_size": 8, "patch_size": 2, "embed_dim": 16, "depth": 2, "num_heads": 4, "in_chans": 1, "num_classes": 10}


def test_cosines_by_hand() -> None:
    """Patches at 0, 90 and 45 degrees, of any length: pairs of 0, 1/sqrt 2 and 1/sqrt 2."""
    features = torch.tensor([[[2.0, 0.0], [0.0, 0.1], [3.0, 3.0]], [[1.0, 1.0]] * 3])
    torch.testing.assert_close(mean_cosine(features), torch.tensor([2 / 3 * 2**-0.5, 1.0]))


def test_kept_tokens_by_hand() -> None:
    scores = torch.tensor([0.0, 5.0, 1.0, 4.0, 2.0, 3.0])
    assert kept(scores, 0.4, 1) == (0, 1, 3, 5)
    assert kept(scores, 0.0, 1) == (0, 1, 2, 3, 4, 5)
    assert kept(scores, 1.0, 1) == (0,)


def test_one_layer_is_the_supernets_block_and_leaves_the_model_as_it_was() -> None:
    torch.manual_seed(0)
    data = load_data(DataSpec(name="digits", train_images=100), image_size=8, seed=0)
    model = build("vit_tiny_patch16_224", ARGS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8)  # of a new model, the class token hardly depends on the image
    net = net_of(model, "vit_tiny_patch16_224", ARGS)
    work = Workplace(data.without_test())
    before = evaluate(net.model, data.test, data.task, device=torch.device("cpu")).metrics["accuracy"]
    impact = PatchImpact(images=16)
    rows = pd.DataFrame(one_layer(net, work, data.test, data.task, impact, ["0", "1"]))
    assert list(rows["computed"].iloc[:3]) == [17, 16, 14], "16 patches and the class token"
    assert rows["accuracy"].iloc[0] == before
    # In the last block only the class token is read: which patches are computed there changes nothing.
    assert set(rows[rows["block"] == 1]["accuracy"]) == {before}
    assert rows[rows["block"] == 0]["accuracy"].nunique() > 1
    assert evaluate(net.model, data.test, data.task, device=torch.device("cpu")).metrics["accuracy"] == before
    # The same tokens, chosen by the supernet, are the same network.
    scores = impact.impacts(net, work, {"1": range(1)})["0"].mean(0)
    net.reorder({"queries.0": scores})
    small = net.extract(Architecture({"queries.0": 0.5, "queries.1": 0.5}))
    found = evaluate(small, data.test, data.task, device=torch.device("cpu")).metrics["accuracy"]
    assert found == rows.set_index(["block", "rate"])["accuracy"][0, 0.5]
    assert set(similarity(net, work, 16)) == {"0", "1"}
