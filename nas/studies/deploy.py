"""The winner of a run, or a saved model, leaves: which model that is, on which images it is compared, and where each of
its forms goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

from torch import Tensor

from nas.data import NamedSplit, list_images, load_split
from nas.deployment import (
    Deployable,
    checking,
    deployable,
    example_script,
    hf_folder,
    int8,
    onnx_file,
    openvino_model,
    timm_folder,
    torch_export,
)
from nas.detectors._base import Detector
from nas.documents.document import read
from nas.errors import DataError, DeploymentError, RunError
from nas.evaluation.evaluate import evaluate
from nas.preprocessing import sides, size_of
from nas.studies.measure.pictures import pictures
from nas.studies.measure.subjects import STUDY
from nas.studies.models import COLOURS, Extracted, of_folder, of_run, winner_of
from nas.studies.run.folder import replaced_folder
from nas.studies.run.record import Record
from nas.studies.run.results import PREPARE
from nas.supernets.families import family_of
from nas.supernets.model_input import ModelInput
from nas.supernets.saved import RECIPE
from nas.system.files import replace_file, replacing

BATCH = 64
"""Images at a time where accuracies are measured."""


@final
@dataclass(frozen=True)
class AskedModel:
    """A model that is to leave.

    path            of a run, or of a saved model
    digest, number  another architecture of a run than its winner, by its trial, with its weights in the supernet
    part            see `nas.deployment.deployable`
    data            pictures on which it is compared; None for those of the run
    trust           see `Record.open`
    """

    path: Path
    digest: str | None = None
    number: int | None = None
    part: str | None = None
    data: str | None = None
    trust: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Forms:
    """Where each form goes that is asked for: files, and folders of timm, transformers and OpenVINO.

    int8      beside it goes a file, NAME.json, with accuracies before and after
    script    beside the ONNX file goes a script that runs it
    """

    onnx: Path | None = None
    torch_export: Path | None = None
    timm: Path | None = None
    hf: Path | None = None
    openvino: Path | None = None
    int8: Path | None = None
    script: bool = False

    @property
    def numbers(self) -> Path | None:
        """Where the accuracies of int8 go."""
        return None if self.int8 is None else self.int8.with_name(f"{self.int8.name}.json")

    @property
    def script_file(self) -> Path | None:
        """Where the script goes."""
        runs = self.onnx or self.int8
        return runs.with_suffix(".py") if self.script and runs is not None else None

    def check(self, *, overwrite: bool) -> None:
        """Raises `RunError` where something is in the way, `DeploymentError` where a package is missing."""
        for path in (self.onnx, self.torch_export, self.int8, self.numbers, self.script_file):
            if path is not None and path.exists() and not (overwrite and path.is_file()):
                raise RunError(f"{path}: exists; give another name" + (", or --overwrite" if path.is_file() else ""))
        for folder in filter(None, (self.timm, self.hf, self.openvino)):
            if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise RunError(f"{folder}: exists and is not an empty folder; choose another")
        if self.hf is not None:
            hf_folder.require_packages()
        if self.openvino is not None:
            openvino_model.require_packages()
        if self.script and self.script_file is None:
            raise RunError("--script: found neither --onnx FILE nor --int8 FILE; needed: the file that it runs")
        if self.onnx is not None or self.int8 is not None:
            onnx_file.require_packages()


def deploy(asked: AskedModel, forms: Forms, *, overwrite: bool = False) -> Iterator[str]:
    """Writes a model in the forms that are asked for, each compared with the model before it has its name; yields what
    a user should know, a sentence at a time.

    Raises `RunError` where something is in the way or missing, `DeploymentError` where a form cannot hold the model.
    """
    forms.check(overwrite=overwrite)
    record = Record.open(asked.path, trust=asked.trust) if (asked.path / STUDY).is_file() else None
    model = _model(asked, record)
    yield from (f"note: {note}" for note in model.notes)
    real, why_none = _real(asked, record, model)
    if why_none:
        yield f"note: compared on random images only: {why_none}"
    original = deployable(model.module, _image(model), asked.part, real)
    for path, form in ((forms.onnx, onnx_file), (forms.torch_export, torch_export)):
        if path is not None:
            with replacing(path) as partial:
                sentence = form.write(original, partial)
            yield f"{path}: {sentence}; {_size(path)}"
    for to, write in _folders(forms, model, original):
        with replaced_folder(to) as folder:
            sentence = write(folder)
        yield f"{to}: {sentence}; {_size(to)}"
    if forms.int8 is not None and forms.numbers is not None:
        with replacing(forms.int8) as partial:
            quantised, metric = _quantise(asked, record, model, original, partial)
        replace_file(forms.numbers, quantised.json())
        yield f"{forms.int8}: {quantised.sentence(metric)}"
    if forms.script_file is not None:
        yield f"{forms.script_file}: {_write_script(forms, asked, model)}"


def _folders(forms: Forms, model: Extracted, original: Deployable) -> Iterator[tuple[Path, Callable[[Path], str]]]:
    """The folders that are asked for, each with what writes to it."""
    of, classes = model.blueprint, model.blueprint.about.get("classes")
    named = classes if isinstance(classes, list) else ()
    if forms.timm is not None:
        yield forms.timm, lambda folder: timm_folder.write(original, of.model, of.model_args, folder)
    if forms.hf is not None:
        images = _input(model)
        yield forms.hf, lambda folder: hf_folder.write(original, of.model, of.model_args, folder, images, named)
    if forms.openvino is not None:
        yield forms.openvino, lambda folder: openvino_model.write(original, folder)


def _size(path: Path) -> str:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.2f} MB"


def _quantise(
    asked: AskedModel, record: Record | None, model: Extracted, original: Deployable, path: Path
) -> tuple[int8.Quantised, str]:
    """Writes the model in int8; returns what became of it, and the name of the metric that counts.

    Raises `DeploymentError` for what is no classifier, or of other classes than the data.
    """
    train, test = (_split(asked, record, model, name) for name in ("train", "test"))
    images = next(train.split.shuffled(0).batches(int8.CALIBRATION)).inputs
    classes = original.answers(images[:1])[0].shape[1:]
    if isinstance(model.module, Detector) or classes != (len(test.class_names),):
        found = "a detector" if isinstance(model.module, Detector) else f"a model of {classes[0]} classes"
        raise DeploymentError(f"--int8: found {found}; allowed: a classifier of the classes of {test.name}")
    with TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.onnx"
        onnx_file.write(original, whole)
        int8.write(original, path, whole, images)
        size = whole.stat().st_size
    run = onnx_file.session(path)
    before = evaluate(original.module, test.split, test.task, batch=BATCH)
    after = evaluate(lambda inputs: run(inputs)[0], test.split, test.task, batch=BATCH)
    quantised = int8.Quantised(
        before=before.metrics,
        after=after.metrics,
        images=before.n,
        calibration=len(images),
        bytes_before=size,
        bytes_after=path.stat().st_size,
    )
    return quantised, test.task.metrics[0].name


def _write_script(forms: Forms, asked: AskedModel, model: Extracted) -> str:
    """Writes the script, and tries it. Raises `DeploymentError` for what is no classifier."""
    path, runs, images = forms.script_file, forms.onnx or forms.int8, _input(model)
    assert path is not None
    assert runs is not None
    if images is None or isinstance(model.module, Detector):
        found = "a detector" if images else "a model that does not say how pictures are prepared"
        raise DeploymentError(f"--script: {asked.path}: found {found}; allowed: a classifier that does")
    classes = model.blueprint.about.get("classes")
    with replacing(path) as partial:
        partial.write_bytes(example_script.text(runs.name, images, classes if isinstance(classes, list) else ()))
        example_script.check(partial, runs, images)
    return f"python {path.name} FOLDER says what is in its pictures: the file's probabilities, in a process of its own"


def _model(asked: AskedModel, record: Record | None) -> Extracted:
    if record is None:
        if asked.digest is not None or asked.number is not None:
            raise RunError(f"{asked.path}: found a model; --digest and --trial go with a run")
        return of_folder(asked.path)
    if asked.digest is None and asked.number is None:
        return winner_of(record)
    return of_run(record, digest=asked.digest, number=asked.number)


def _input(model: Extracted) -> ModelInput | None:
    """How its images are prepared, where that is known."""
    known = model.blueprint.about.get("input")
    return ModelInput.of_json(known, Path(RECIPE)) if isinstance(known, Mapping) else None


def _image(model: Extracted) -> tuple[int, int, int]:
    """Channels, height and width of its images."""
    if (images := _input(model)) is not None:
        return (images.channels, *sides(images.size))
    channels = int(model.blueprint.model_args.get("in_chans", COLOURS))
    return (channels, *sides(size_of(*family_of(model.module).image_size(model.module))))


def _real(asked: AskedModel, record: Record | None, model: Extracted) -> tuple[Tensor | None, str]:
    """Some images of the search-validation split, or the reason why there are none."""
    if record is None and asked.data is None:
        return None, "a saved model has no data (--data DATA names some)"
    try:
        split = _split(asked, record, model, "validation").split
        return next(split.batches(checking.IMAGES)).inputs, ""
    except DataError as missing:
        if asked.data is not None:
            raise
        return None, str(missing)


def _split(asked: AskedModel, record: Record | None, model: Extracted, name: str) -> NamedSplit:
    """A split of the data, prepared as the model wants it. Raises `DataError` or `DeploymentError`."""
    images = _input(model)
    if images is None:
        raise DeploymentError(f"{asked.path}: does not say how pictures are prepared; leave out --data")
    said = pictures(asked.data, None if record is None else read(record.folder.study_file), ())
    index = None
    if record is not None and asked.data is None and record.folder.done(PREPARE):
        record.folder.verify(PREPARE)
        index = record.folder.index
    split = load_split(
        said.data,
        name,
        task=None if record is None else record.task,
        image_size=images.size,
        seed=said.seed,
        constants=images.preprocessing,
        listing=list_images(said.data, index),
    )
    if split.channels != images.channels:
        raise DataError(f"{split.name}: found {split.channels} channels; the model takes {images.channels}")
    return split
