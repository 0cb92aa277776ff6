"""A first study, written for somebody's pictures: it is read, it runs, and it says what is odd."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotated_sets import coco_set, content, thing
from PIL import Image

from nas import SearchSpace, Study
from nas.cli import main
from nas.documents.document import read
from nas.errors import DataError, LimitError, ModelError
from nas.studies.drafting import start
from nas.studies.drafting.aims import aim_of, letterbox
from nas.studies.drafting.choosing import proposals
from nas.studies.drafting.draft import Draft, Wish, draft, goal_of
from nas.studies.drafting.plan import batch_of, seconds_in, shortened, training_plan, validation_of
from nas.studies.drafting.survey import ObjectSurvey
from nas.studies.drafting.text import _scalar
from nas.studies.forecast import pace
from nas.studies.forecast.memory import Footprint
from nas.supernets.derived.captured import Captured
from nas.supernets.derived.sources import SIDE, image_of, without_values
from nas.supernets.own import says_image_size
from nas.supernets.published import PublishedWeights
from nas.supernets.timm_models import outline_of as outline_by
from nas.trusted import trust_code

SMALL = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2, "class_token": False,
         "global_pool": "avg"}  # fmt: skip
MODEL = "vit_tiny_patch16_224"
SHORT = ["base.epochs=1", "supernet.epochs=1", "retrain.epochs=1", "strategy.trials=4", "strategy.population=3",
         "strategy.sample=2", "finalists=1", "latency.batches=[1]", "latency.seconds=0.01", "threads=1"]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "ENOUGH", 0.0)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 60, 20 and 5 pictures; one file is no picture."""
    root, rng = tmp_path_factory.mktemp("pictures") / "my flowers", np.random.default_rng(0)
    for name, count in (("rose", 60), ("tulip", 20), ("lily", 5)):
        (root / name).mkdir(parents=True)
        for k in range(count):
            side = 100 if (name, k) == ("rose", 0) else 20
            picture = Image.fromarray(rng.integers(0, 256, (18, side, 3), dtype=np.uint8))
            picture.save(root / name / f"{k}.png")
    return root


@pytest.fixture(scope="module")
def drafted(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Draft:
    out = tmp_path_factory.mktemp("drafted") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "ENOUGH", 0.0)
        made = draft(Wish(model=MODEL, data=str(flowers), out=out, model_args=SMALL))
    assert not out.exists()
    made.write()
    return made


def test_what_is_written_runs_to_the_end(drafted: Draft, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = Study.from_yaml(drafted.folder / "study.yaml", overrides=SHORT, folder=tmp_path / "run")
    study.run(quiet=True)
    assert (tmp_path / "run" / "report" / "report.html").is_file()
    assert study.trials()["feasible"].all()
    assert main(["run", str(tmp_path / "run"), "--dry"]) == 0
    assert "all stages are done" in capsys.readouterr().out


def test_the_commented_choice_is_one(drafted: Draft) -> None:
    text = drafted.space.replace("  # tokens:", "  tokens:")
    assert text != drafted.space
    assert SearchSpace.from_yaml(text).size > drafted.chosen.space.size


def test_it_says_what_is_there_and_what_is_odd(drafted: Draft) -> None:
    said = " ".join([*drafted.survey.lines(), *drafted.survey.odd])
    for words in ("3 classes (lily, rose, tulip)", "85 to train", "5 (lily) to 60 (rose)", "in colour",
                  "fewer than 10 training pictures of lily (5)", "classes are uneven (12 to 1)", "no test split",
                  "sides from 18 to 100 pixels"):  # fmt: skip
        assert words in said
    assert drafted.survey.sides[:2] == (18, 18)


def test_a_damaged_picture_is_told(flowers: Path) -> None:
    (flowers / "rose" / "1.png").write_bytes(b"none")
    try:
        with pytest.raises(DataError, match=r"1\.png: not a readable picture"):
            draft(Wish(model=MODEL, data=str(flowers), model_args=SMALL))
    finally:
        Image.new("RGB", (20, 18)).save(flowers / "rose" / "1.png")


def test_the_command_writes_once(
    flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["init", MODEL, "--data", str(flowers), "--goal", "params=60%", "--within", "1s"]
    asked += [word for key, value in SMALL.items() for word in ("--model-args", f"{key}={value}".lower())]
    assert main(asked) == 0
    shown, folder = capsys.readouterr().out, Path("my_flowers-vit_tiny_patch16_224")
    for words in ("about", "together", "memory", "no GPU" if "no GPU" in shown else "GPU", "next      nas run"):
        assert words in shown
    assert "note      more than 1s, and no stage can be shorter" in shown
    assert "starts from fresh weights" in shown, "arguments of its own: no published weights fit"
    assert f"then      nas open runs/{folder}\n" in shown
    document = read(folder / "study.yaml")
    assert document.get(("limit",)) == {"params": "60%"}
    assert document.get(("data", "path")) == str(flowers.resolve())
    before = (folder / "study.yaml").read_bytes()
    assert main(asked) == 2
    assert "exists, and nothing is overwritten" in capsys.readouterr().err
    assert (folder / "study.yaml").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)
        self.up, self.down = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 8, 1)

    def forward(self, x):
        x = self.stem(x)
        return self.head((x + self.down(self.up(x).relu())).mean((2, 3)))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The user's own model, from the folder that they are in."""
    (tmp_path / "own_net.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    trust_code("own_net:Net")
    return "own_net:Net"


def test_images_of_ones_own_module(own: str) -> None:
    """They have as many channels as its first convolution takes; it says no size, and any of its axes may be chosen."""
    module = without_values(own, {})
    assert image_of(module, {}) == (1, SIDE, SIDE)
    assert image_of(module, {"in_chans": 3}, 8) == (3, 8, 8)
    assert not says_image_size(own, {})
    derived = outline_by(Captured(module, (1, 8, 8)), own)
    assert {one.name for one in proposals(derived, [0.5, 1.0])} == {"stem", "up"}


@pytest.mark.long
def test_a_module_of_ones_own_gets_a_study(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["axes", own, "--image-size", "8"]) == 0
    assert "up.weight" in capsys.readouterr().out
    assert main(["init", own, "--data", "digits", "--out", "first"]) == 0
    said = capsys.readouterr().out
    assert "own_net:Net, axes derived from its forward" in said
    assert "starts from fresh weights" in said
    assert Study.from_yaml("first/study.yaml").resolved.image_size == 8


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"goal": "1%"}, LimitError, "reachable"),
        ({"goal": "mac=3"}, LimitError, "did you mean 'macs'"),
        ({"goal": "params="}, LimitError, "allowed: 50%"),
        ({"model": "vit_tiny"}, ModelError, "has no model"),
        ({"model": "of_others:model"}, ModelError, "is code, and a folder or file names it"),
        ({"data": "nowhere"}, DataError, "does not exist"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    flowers: Path, changes: dict[str, str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        draft(Wish(**{"model": MODEL, "data": str(flowers), "model_args": SMALL, **changes}))  # type: ignore[arg-type]


def test_boxes_become_a_study_of_detection(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval", reason="average precision is an extra: pip install 'nas[detection]'")
    things = [thing(100 + 10 * k, (k % 6, k % 3, 8, 8), 7 if k % 2 else 3) for k in range(20)]
    root = coco_set(tmp_path / "cells", train=content(things, 20))
    args = {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 4], "window_size": 2}
    made = draft(Wish(model="swin_tiny_patch4_window7_224", data=str(root), out=tmp_path / "out", model_args=args))
    said = " ".join([*made.survey.lines(), *made.survey.odd])
    for words in (
        "2 classes (ant, cat)",
        "10 objects in the training pictures of each class",
        "1 to 1 in a picture",
        "8 x 8 pixels",
    ):
        assert words in said
    made.write()
    overrides = [*SHORT, "data.validation=0.3", "supernet.rule=uniform", "task.proposals=10", "task.candidates=20"]
    study = Study.from_yaml(tmp_path / "out" / "study.yaml", overrides=overrides, folder=tmp_path / "run")
    assert study.resolved.settings["task"]["head"] == "faster_rcnn"
    assert list(study.resolved.limit.bounds) == ["body_macs"]
    study.run(quiet=True)
    assert "ap50" in study.trials()


def test_annotated_pictures_are_as_large_as_their_objects_need() -> None:
    photo = ObjectSurvey(count=100, fewest=0, most=5, side=60.0, picture=(480, 640))
    assert letterbox(photo, gpu=False) == (192, 256)
    assert letterbox(photo, gpu=True) == (480, 640)
    assert letterbox(replace(photo, side=12.0), gpu=False) == (320, 416)
    assert letterbox(replace(photo, picture=(12, 16)), gpu=False) == (64, 64)


def test_a_study_begins_where_it_can_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, pretrained, words in (
        (PublishedWeights(here=True), True, "in its cache"),
        (PublishedWeights(here=False, size=22_000_000), True, "fetches once (22 MB)"),
        (PublishedWeights(here=False, lacking="neither here nor there"), False, "fresh weights: timm's are neither"),
    ):
        monkeypatch.setattr(start, "published", lambda _, found=found: found)
        begun = start.start_of("deit_tiny_patch16_224", None, fresh=False)
        assert begun.pretrained is begun.trained is pretrained
        assert words in begun.words
    assert start.start_of("deit_tiny_patch16_224", Path("a.pth"), fresh=False).trained


def test_small_pictures_stay_small_where_weights_are_fresh(drafted: Draft) -> None:
    small = replace(drafted.survey, sides=(90, 100, 110))
    assert aim_of(small, None, 224, gpu=False).image_size == 96
    assert aim_of(small, None, None, gpu=False).image_size is None
    assert aim_of(small, 64, 224, gpu=False).image_size == 64
    assert aim_of(replace(small, sides=(500,)), None, 224, gpu=False).image_size is None


def test_it_is_shortened_until_there_is_time(drafted: Draft) -> None:
    plan = drafted.plan
    half = shortened(plan, 0.5)
    assert (half.base, half.trials) == (plan.base // 2, plan.trials // 2)
    assert shortened(plan, 1e-3).retrain == 1
    assert plan.compete > half.compete
    assert seconds_in("1.5h") == 5400
    assert seconds_in("30 min") == 1800
    with pytest.raises(LimitError, match="--within: found 'soon'; allowed"):
        seconds_in("soon")


def test_goals() -> None:
    assert goal_of("50%", "body_macs") == {"body_macs": "50%"}
    assert goal_of("params=5M", "macs") == {"params": "5M"}


def test_choices_follow_the_axes() -> None:
    from nas.searchspaces.from_yaml import outline_of

    vit = {one.name: one.mapping for one in proposals(outline_of("deit_small_patch16_224", {}), [0.5, 1.0])}
    assert vit["depth"] == {"depth": [8, 10, 12]}
    assert vit["heads"]["size"] == [0.34, 0.67, 1.0]
    assert vit["mlp"] == {"size": [0.5, 1.0], "per": "block", "multiple_of": 8}
    assert "embed" not in vit


def test_schedules_follow_the_pictures(drafted: Draft) -> None:
    short, long = (training_plan(drafted.survey, pretrained=value, gpu=False) for value in (True, False))
    assert short.base < long.base
    assert short.lr < long.lr
    assert long.augment == "crop"  # of pictures of 18 pixels nothing is cut out
    assert validation_of(drafted.survey) == 0.4  # of four lilies that are left one must be in each part
    model = Footprint(parameters=1000, learning=10**6, measured=1)
    assert batch_of(model, 10_000, 10**9, 64) == 64
    assert batch_of(model, 10_000, 10**8, 256) == 16
    assert batch_of(model, 80, 10**9, 256) == 8


def test_text_is_read_back_as_it_is() -> None:
    for text in ("true", "a b", "x: y", "12", "é#", "a/b", '"', "no", "- x", "a\nb"):
        assert read(f"key: {_scalar(text)}\n").get(("key",)) == text
