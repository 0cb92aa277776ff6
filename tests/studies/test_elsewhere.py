"""An architecture goes where it is needed: into a file, into a model without its run, into another study."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from studies_fakes import TINY
from torch import nn

import nas
from nas import cli
from nas.errors import CheckpointError, NasError, RunError, SpaceError
from nas.evaluation import Watch
from nas.searchspaces import Architecture
from nas.searchspaces.axis_names import TOKENS, dimension
from nas.studies.models import of_file, of_run
from nas.studies.run.folder import write_json
from nas.studies.run.found import FoundArchitecture, found_by
from nas.studies.run.record import Record
from nas.studies.stages import elsewhere, workshop
from nas.studies.stages.running import remaining
from nas.studies.study import Study
from nas.supernets import read_blueprint

FOUND_IN = (
    TINY.replace("trials: 12", "trials: 3")
    .replace("retrain: {epochs: 2}", "retrain: {epochs: 1, loss: plain}")
    .replace("    heads:", "    tokens: {keep: [0.5, 1.0], per: block}\n    heads:")
)
OTHER = (
    FOUND_IN.replace("train_images: 300", "train_images: 150, image_size: 16")
    .replace("name: tiny", "name: larger")
    .replace("retrain: {epochs: 1,", "retrain: {epochs: 2,")
    .replace("base: {epochs: 2}", "base: {epochs: 1}")
)
"""The same space, for images of twice the side."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return Study.from_yaml(FOUND_IN, folder=tmp_path_factory.mktemp("run") / "found").run(quiet=True)


@pytest.fixture(scope="module")
def found(run: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an architecture that keeps fewer tokens in its second block."""
    halved = next(t for t in run.stored() if t.architecture["tokens.1"] == 0.5)
    path = tmp_path_factory.mktemp("files") / "architecture.json"
    said = ["--architecture", str(path), "--digest", halved.architecture.digest[:8]]
    assert cli.main(["export", str(run.folder), *said]) == 0
    return path


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the other study, whose base is trained when it is first asked for."""
    return tmp_path_factory.mktemp("other") / "larger"


def there(folder: Path, **changes: str) -> Study:
    return Study.from_yaml(OTHER, overrides={key.replace("__", "."): value for key, value in changes.items()},
                           folder=folder)  # fmt: skip


def weights(place: Path) -> Mapping[str, Any]:
    return nas.load(place / "retrained").state_dict()


def test_a_file_holds_what_is_needed_and_says_when_it_was_changed(run: Record, found: Path, tmp_path: Path) -> None:
    architecture = FoundArchitecture.read(found)
    assert architecture == found_by(run, digest=architecture.digest)
    assert architecture.study == run.label
    assert architecture.search_space("file").sizes(architecture.value)["heads.0"] in (1, 2)
    content = json.loads(found.read_text())
    for change, message in (
        ({"digest": "0" * 12}, "checksum"),
        ({"digest": "0" * 12, "sha256": None}, "missing or wrong|keys that belong"),
        ({"space": {}, "sha256": None}, "'space.model' is missing"),
    ):
        changed = {key: value for key, value in {**content, **change}.items() if value is not None}
        (tmp_path / "a.json").write_text(json.dumps(changed))
        with pytest.raises(RunError, match=message):
            FoundArchitecture.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b" " * (2**24 + 1))
    for path in (tmp_path / "a.json", tmp_path, tmp_path / "none.json"):
        with pytest.raises(RunError, match="allowed: an architecture's file"):
            FoundArchitecture.read(path)


@pytest.mark.parametrize("start", ["base", "scratch", "supernet"])
def test_it_is_retrained_at_another_size(run: Record, found: Path, larger: Path, start: str) -> None:
    architecture, study = FoundArchitecture.read(found), there(larger)
    source = run if start == "supernet" else None
    row = study.retrain_found(architecture, weights=start, source=source, quiet=True)
    name = f"{architecture.digest}-{start}{f'-of-{run.label}' if source else ''}"
    place = larger / "architectures" / name
    assert (row.study, row.digest, row.strategy) == ("larger", architecture.digest, architecture.strategy)
    assert row.costs["macs"] == study.resolved.cost.counts(architecture.value)["macs"] > architecture.costs["macs"]
    assert 0 <= row.test["accuracy"] <= 1
    assert study.record.finished == ("prepare", "base")
    model = nas.load(place / "retrained")
    assert model(torch.zeros(1, 1, 16, 16)).shape == (1, 10)
    kept = {axis: size for axis, size in read_blueprint(place / "retrained").sizes.items() if dimension(axis) == TOKENS}
    assert kept["tokens.1"] == 8, "half of the 16 tokens here, of 4 there"
    assert read_blueprint(place / "retrained").about["input"]["size"] == 16
    before = (place / "retrained.json").stat().st_mtime_ns
    assert there(larger).retrain_found(architecture, weights=start, source=source, quiet=True) == row
    assert (place / "retrained.json").stat().st_mtime_ns == before


def test_where_it_starts(found: Path, larger: Path, run: Record, tmp_path: Path) -> None:
    def started(start: Any, source: Record | None = None) -> Mapping[str, torch.Tensor]:
        at = elsewhere._Start(there(larger)._workshop(), FoundArchitecture.read(found), start, source)
        return at.supernet(tmp_path).model.state_dict()

    base, theirs = (
        load_file(folder / stage / "weights.safetensors")
        for folder, stage in ((larger, "base"), (run.folder.path, "supernet"))
    )
    fresh = there(larger)._workshop().fresh_model().state_dict()
    by_base, by_run, by_scratch = started("base"), started("supernet", run), started("scratch")
    assert all(torch.equal(by_base[name], base[name]) for name in base)
    assert all(torch.equal(by_scratch[name], fresh[name]) for name in fresh)
    assert not torch.equal(by_scratch["head.weight"], by_base["head.weight"])
    assert {name for name in theirs if not torch.equal(by_run[name], theirs[name])} == {"pos_embed"}
    assert (theirs["pos_embed"].shape[1], by_run["pos_embed"].shape[1]) == (4, 16)


def test_a_killed_one_goes_on_to_the_same_end(
    found: Path, larger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = FoundArchitecture.read(found)
    shutil.copytree(larger, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "architectures")
    calls = 0

    def dies(watch: Watch, module: nn.Module) -> Mapping[str, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return whole(watch, module)

    whole = Watch.__call__
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "__call__", dies)
        with pytest.raises(KeyboardInterrupt):
            there(tmp_path / "copy").retrain_found(architecture, quiet=True)
    place = tmp_path / "copy" / "architectures" / f"{architecture.digest}-base"
    assert (place / "retrained-training.safetensors").exists()
    there(tmp_path / "copy").retrain_found(architecture, quiet=True)
    assert not (place / "retrained-training.safetensors").exists()
    ends = weights(place), weights(larger / "architectures" / place.name)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])


def test_other_weights_than_it_began_with_are_told(found: Path, larger: Path, tmp_path: Path) -> None:
    architecture = FoundArchitecture.read(found)
    place = larger / "architectures" / f"{architecture.digest}-base"
    shutil.copy(place / "origin.json", tmp_path / "kept")
    content = json.loads((place / "origin.json").read_text())
    del content["sha256"]
    try:
        write_json(place / "origin.json", {**content, "files": {"base/weights.safetensors": "0" * 64}})
        with pytest.raises(RunError, match="weights that were made anew since"):
            there(larger).retrain_found(architecture, quiet=True)
    finally:
        shutil.copy(tmp_path / "kept", place / "origin.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("space.choices.heads.size", "[2]", "choice 'heads.[01]': found 1; allowed: 2"),
        ("space.choices.tokens.keep", "[0.75, 1.0]", "choice 'tokens.[01]': found 0.5; allowed: 0.75, 1"),
        ("space.choices.embed", "{size: [8, 16]}", "choice 'embed'"),
    ],
)
def test_a_space_without_it_is_one_sentence(found: Path, tmp_path: Path, key: str, value: str, message: str) -> None:
    architecture = FoundArchitecture.read(found)
    values = {**architecture.architecture, "heads.0": 1, "heads.1": 1}
    narrow = FoundArchitecture(
        **{**vars(architecture), "architecture": values, "digest": Architecture(values).digest},
    )
    study = Study.from_yaml(OTHER, overrides={key: value}, folder=tmp_path / "run")
    with pytest.raises(SpaceError, match=message) as fault:
        study.retrain_found(narrow, quiet=True)
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "run").exists()


def test_commands(run: Record, found: Path, larger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "larger.yaml").write_text(OTHER)
    there_too = ["--study", str(tmp_path / "larger.yaml"), "--folder", str(larger)]
    digest = FoundArchitecture.read(found).digest
    for source in ([str(found)], [str(run.folder), "--digest", digest]):
        assert cli.main(["retrain", *source, *there_too]) == 0
        assert f"{digest}, retrained" in capsys.readouterr().out
    assert cli.main(["retrain", str(found), "--study", str(larger), "--weights", "scratch"]) == 0
    capsys.readouterr()
    for words, message in (
        (["retrain", str(found)], "needed: --study STUDY"),
        (["retrain", str(found), "--digest", "a", *there_too], "found --digest, which goes with a run"),
        (["retrain", str(run.folder), "--weights", "base"], "found --weights, which goes with --study"),
        (["retrain", str(found), "--weights", "bas", *there_too], "did you mean 'base'"),
        (["export", str(run.folder)], "found nothing to write"),
        (["extract", str(run.folder), "--pretrained", "--to", "x"], "goes with the file of an architecture"),
        (["extract", str(found), "--trial", "1", "--to", "x"], "found --trial, which goes with a run"),
    ):
        assert cli.main(words) == 2
        assert message in capsys.readouterr().err


def gone(*_: object, **__: object) -> None:
    raise AssertionError("the data are looked at")


def test_a_model_of_a_run_without_its_data(run: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Study.open(run.folder.path).extract()
    monkeypatch.setattr(workshop, "load_data", gone)
    monkeypatch.setattr("nas.studies.file.subject.inspect_data", gone)
    assert cli.main(["extract", str(run.folder), "--to", str(tmp_path / "model")]) == 0
    model, winner = nas.load(tmp_path / "model"), nas.load(run.folder.path / "extract" / "winner")
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in model.state_dict().items())
    ours, theirs = (read_blueprint(path).about for path in (tmp_path / "model", run.folder.path / "extract" / "winner"))
    assert {**ours, **{cost: theirs[cost] for cost in ("macs", "params")}} == theirs
    assert model.pretrained_cfg == winner.pretrained_cfg


def test_a_model_of_a_run_that_has_saved_none(run: Record, tmp_path: Path) -> None:
    shutil.copytree(run.folder.path, tmp_path / "run")
    for stage in ("extract", "retrain", "report"):
        shutil.rmtree(tmp_path / "run" / stage)
    about = of_run(Record.open(tmp_path / "run")).blueprint.about
    assert about["classes"] == [str(k) for k in range(10)]
    assert about["input"]["size"] == 8


def test_a_model_of_a_file_has_its_part_of_a_checkpoint(run: Record, found: Path, tmp_path: Path) -> None:
    architecture = FoundArchitecture.read(found)
    base = run.folder.path / "base" / "weights.safetensors"
    assert cli.main(["extract", str(found), "--checkpoint", str(base), "--to", str(tmp_path / "model")]) == 0
    model = nas.load(tmp_path / "model")
    whole = nas.Supernet(Study.open(run.folder.path)._workshop().base_model(), architecture.search_space("file"))
    expected = whole.extract(architecture.value).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    fresh = of_file(architecture, "file", checkpoint=None, pretrained=False)
    assert "fresh" in fresh.notes[0]
    asked: list[tuple[type[NasError], dict[str, Any]]] = [
        (CheckpointError, {"checkpoint": found, "pretrained": False}),
        (RunError, {"checkpoint": base, "pretrained": True}),
    ]
    for kind, options in asked:
        with pytest.raises(kind):
            of_file(architecture, "file", **options)


def test_the_study_trains_its_own_supernet_for_a_file(found: Path, tmp_path: Path) -> None:
    architecture, study = FoundArchitecture.read(found), there(tmp_path / "run", supernet__epochs="1", base__epochs="0")
    assert elsewhere.stage_before(study.resolved.config, "supernet", None).name == "supernet"
    study.retrain_found(architecture, weights="supernet", quiet=True)
    assert study.record.finished == ("prepare", "base", "supernet")
    assert [stage.name for stage in remaining(study.folder)] == ["explore", "finalists", "extract", "retrain", "report"]
