"""A whole study that finds objects: each stage, killed in the middle of its trainings, and bad annotations."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from annotated_sets import coco_set, content, thing
from studies_fakes import outcome, run_and_die
from studies_partial import run_up_to

from nas import cli
from nas.errors import NasError, StrategyError
from nas.studies.report.findings import Findings
from nas.studies.run.results import BASE, EXTRACT, FINALISTS, RETRAIN
from nas.studies.study import Study
from nas.studies.tau import statistics
from nas.system import files as system_files

pytest.importorskip("faster_coco_eval", reason="average precision is an extra: pip install 'nas[detection]'")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nas.studies.study", "nas.strategies.evolution", "nas.studies.stages.report"])
RECIPE = "lr: 1e-2, batch: 4, warmup: 0, augment: {use: annotated, hflip: 0.5, brightness: 0.2}"
STUDY = """
space:
  model: swin_tiny_patch4_window7_224
  model_args: {embed_dim: 8, depths: [1, 1], num_heads: [1, 2], window_size: 2}
  choices: {mlp: {size: [0.25, 0.5, 1.0], per: block}, head_dim: {size: [2, 4, 8], per: block}}
task: {use: detection, measured: both, channels: 8, anchors: [4, 8], canonical: 8, candidates: 20, detections: 5,
  proposals: 10, samples: 8, anchor_samples: 16, box_width: 16, score_threshold: 0.0}
strategy: {use: evolution, population: 2, sample: 1, trials: 5}
data: {path: PATH, image_size: [12, 16], validation: 0.25}
limit: {body_macs: 80%}
finalists: 2
base: {epochs: 3, RECIPE}
supernet: {epochs: 2, rule: uniform, RECIPE}
retrain: {epochs: 3, loss: plain, RECIPE}
baseline: 2
eval_batch: 8
latency: {batches: [1], seconds: 0.01}
threads: 1
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the study, on twelve pictures with one or two objects each, and two for the test."""
    things = [thing(100 + 10 * k, (k % 6, k % 3, 8, 8), 7 if k % 2 else 3) for k in range(12)]
    things += [thing(100 + 10 * k, (10, 6, 5, 5), 3) for k in range(0, 12, 3)]
    test = content([thing(500, (1, 1, 8, 8), 3), thing(510, (2, 2, 8, 8))], 2, 500)
    root = coco_set(tmp_path_factory.mktemp("coco") / "cells", train=content(things, 12), test=test)
    return STUDY.replace("RECIPE", RECIPE).replace("PATH", str(root))


@pytest.fixture(scope="module")
def detection(text: str, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A run without its report. Do not write into its folder."""
    return run_up_to("report", Study.from_yaml(text, folder=tmp_path_factory.mktemp("runs") / "whole"))


def test_every_stage_finds_objects(detection: Study) -> None:
    record = detection.record
    assert list(record.result(BASE).history[-1].metrics) == ["map", "ap50", "loss"]
    (decided,) = record.result(FINALISTS).rounds
    assert len(decided.finalists) == 2
    assert all(finalist.loss > 0 for finalist in decided.finalists)
    winner = record.result(EXTRACT).roles["winner"]
    assert (winner.difference, winner.same_objects) == (0, True)
    rows = {row.model: row.test for row in record.result(RETRAIN).rows}
    assert {"map", "ap_small", "ar100", "loss"} <= set(rows["winner, retrained"])
    assert "2 test images: small differences mean little" in Findings(record).warnings, "an image has no share of AP"


def spoilt(said: dict[str, Any], **changes: Any) -> str:
    """An annotation file whose second annotation is changed."""
    said["annotations"][1].update(changes)
    return json.dumps(said)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda said: spoilt(said, image_id=9), "annotations.1 is of picture 9, which is not among the file's images"),
        (lambda said: spoilt(said, category_id=9), "annotations.1 has the category 9; the file's categories are 3, 7"),
        (lambda said: "boxes", "no JSON (expected value at line 1 column 1)"),
        (lambda said: json.dumps({**said, "annotations": said["annotations"][:1] * 10_000}), "has 10,000 objects"),
        (lambda said: spoilt(said, bbox=[0, float("nan"), 2, 2]), "annotations.1.bbox.1: found nan; input should be a"),
        (lambda said: spoilt(said, segmentation={"size": [9, 9], "counts": [81]}), "a mask of 9 x 9 pixels in a"),
    ],
    ids=["picture", "category", "JSON", "10,000 boxes", "NaN", "mask"],
)  # fmt: skip
def test_what_is_wrong_with_annotations_is_said_in_one_sentence(
    spoil: Callable[[dict[str, Any]], str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = content([thing(100 + 10 * k, (1, 1, 8, 8)) for k in range(4)])
    root = coco_set(tmp_path / "cells", train=said)
    (root / "annotations" / "instances_train.json").write_text(spoil(said))
    (tmp_path / "study.yaml").write_text(STUDY.replace("RECIPE", RECIPE).replace("PATH", str(root)))
    assert cli.main(["run", str(tmp_path / "study.yaml"), "--folder", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """A folder takes one more file, and then none."""
    flush, files = system_files._flush, 0

    def full(path: Path) -> None:
        nonlocal files
        files += path.parent == folder
        if path.parent == folder and files > 1:
            raise OSError(28, "No space left on device")
        flush(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system_files, "_flush", full)
        yield


def killed(folder: Path, text: str, stage: str) -> None:
    """Runs the study until it is killed (SIGKILL) before the second checkpoint of a stage gets its name."""
    moment = {"text": text, "stage": stage, "writes": 2}
    process = PROCESSES.Process(target=run_and_die, args=(folder,), kwargs=moment)
    process.start()
    process.join(240)
    assert process.exitcode == -signal.SIGKILL
    assert list((folder / stage).glob("*training.safetensors")), f"the first checkpoint of {stage}"


@pytest.mark.long
def test_killed_in_the_middle_and_without_room_it_ends_as_one_that_was_not(
    detection: Study, text: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    killed(folder, text, "base")
    with full_disk(folder / "supernet"), pytest.raises(NasError, match=r"checkpoint of .* No space left") as caught:
        Study.open(folder).run(quiet=True)
    assert "\n" not in str(caught.value)
    killed(folder, text, "retrain")
    assert outcome(run_up_to("report", Study.open(folder))) == outcome(detection)


def test_shared_weights_are_judged_by_precision_by_the_loss_and_beside_proxies(
    detection: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 5)
    with pytest.raises(StrategyError, match=r"proxies: found dss; it sums what a model puts out, .* several tensors;"):
        detection.tau(architectures=3, epochs=1, seeds=1, proxies=["macs", "dss"])
    assert "retrained" not in capsys.readouterr().err, "refused before anything is trained"
    truth = detection.tau(architectures=3, epochs=1, seeds=1, proxies=["all"])
    assert {"shared_map", "shared_loss", "retrained_map", "retrained_loss"} <= set(truth.table)
    assert truth.table["retrained_loss"].nunique() == 3
    assert "tau of loss" in set(truth.summary["statistic"])
    scores = set(truth.scores["score"])
    assert {"macs", "gradient_norm", "divergence", "weight_entropy", "ridge"} <= scores
    assert {"synflow", "dss", "jacobian_covariance"}.isdisjoint(scores)
    assert "synflow is left out: it sums what a model puts out" in capsys.readouterr().err
