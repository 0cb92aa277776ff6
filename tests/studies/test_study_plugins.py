"""The reader of studies knows no option of a plug-in: a toy strategy and a toy task say themselves what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import pytest
from ruamel.yaml import YAML
from studies_fakes import TINY

import nas.studies.file
from nas import importance, plugins, search
from nas.documents.fields import hints, is_options, readings
from nas.documents.markers import DatabaseUrl, FilePath, JournalOrUrl, MayChange
from nas.errors import ConfigError
from nas.plugins import installed
from nas.quantities import Quantity
from nas.search import Problem, Strategy, Trial
from nas.search.searcher import SearcherOptions
from nas.search.sizing import CriterionOptions
from nas.studies.file import config
from nas.studies.file.config import StudyConfig
from nas.studies.file.resolve import resolve
from nas.studies.file.settings import differences
from nas.studies.study import Study
from nas.tasks import Task
from nas.training import rules


@dataclass(frozen=True)
class Archive:
    """Options inside options."""

    book: Annotated[str, FilePath()] | None = None
    ledger: Annotated[str, DatabaseUrl()] | None = None


@dataclass(frozen=True, kw_only=True)
class Toy(Strategy):
    """A strategy with one field of each kind."""

    diary: Annotated[str, JournalOrUrl()] | None = None
    archive: Archive = field(default_factory=Archive)
    adviser: SearcherOptions = "uniform"
    judges: Sequence[CriterionOptions] = ()
    helpers: Annotated[int, MayChange()] = 1

    def search(self, problem: Problem) -> Iterator[Trial]:
        raise NotImplementedError


METRIC = Quantity(name="deviation", title="deviation", origin="measured", better="less")


@dataclass(frozen=True, kw_only=True)
class _ToyTask(Task):
    outputs: int = 2

    @property
    def metrics(self) -> tuple[Quantity, ...]:
        return (METRIC,)

    def model_args(self, facts: Any) -> dict[str, Any]:
        return {"in_chans": facts.channels, "num_classes": self.outputs}


unused = {name: lambda *_: None for name in _ToyTask.__abstractmethods__}
ToyTask = dataclass(frozen=True, kw_only=True)(type("ToyTask", (_ToyTask,), unused))


class Entry:
    """An entry point of an installed package."""

    def __init__(self, name: str, value: type) -> None:
        self.name, self.value = name, value

    def load(self) -> type:
        return self.value


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"nas.strategies": (Entry("toy", Toy),), "nas.tasks": (Entry("toytask", ToyTask),)}
    monkeypatch.setattr(plugins, "installed", lambda package: (*entries.get(package, ()), *installed(package)))


def study(folder: Path, strategy: str) -> Path:
    lines = [f"strategy: {strategy}" if line.startswith("strategy:") else line for line in TINY.splitlines()]
    path = folder / "study.yaml"
    path.write_text("\n".join(lines))
    return path


def test_paths_and_urls_of_a_strategy_the_reader_has_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    for name in ("book.txt", "old.db", "diary.log"):
        (tmp_path / "a" / name).touch()
    (tmp_path / "a" / "adviser.yaml").write_text("use: evolution\npopulation: 7\n")
    (tmp_path / "a" / "toy.yaml").write_text("use: toy\nadviser: {use: adviser.yaml, sample: 2}\ntrials: 9\n")
    path = study(tmp_path / "a", "{use: toy.yaml, diary: diary.log, archive: {book: book.txt}}")
    monkeypatch.chdir(tmp_path)
    resolved = resolve(path.relative_to(tmp_path), ["strategy.archive.ledger=sqlite:///old.db"])
    strategy = resolved.strategy
    assert isinstance(strategy, Toy)
    assert strategy.diary == f"{tmp_path}/a/diary.log"
    assert strategy.archive == Archive(f"{tmp_path}/a/book.txt", f"sqlite:///{tmp_path}/a/old.db")
    assert strategy.adviser == {"use": "evolution", "population": 7, "sample": 2}
    assert (strategy.trials, resolved.config.strategy_name) == (9, "toy")


def test_what_is_inside_a_plug_in_of_a_plug_in_is_located_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    (tmp_path / "a").mkdir()
    path = study(tmp_path / "a", "{use: toy, adviser: {use: with_optuna, storage: trials.journal}}")
    (tmp_path / "a" / "trials.journal").touch()
    monkeypatch.chdir(tmp_path)
    strategy = resolve(path).strategy
    assert isinstance(strategy, Toy)
    assert isinstance(strategy.adviser, Mapping)
    assert strategy.adviser["storage"] == f"{tmp_path}/a/trials.journal"


def test_faults_lie_at_their_own_keys_and_passwords_are_hidden(tmp_path: Path) -> None:
    path = study(
        tmp_path,
        """
  use: toy
  diary: postgresql://me:s3cret@host:port/x
  archive: {book: nosuch.txt, ledger: "sqlite://"}
  adviser: {use: evolution, population: none}
  judges:
  - {use: taylor, image: 3}
  - magnitud
""",
    )
    with pytest.raises(ConfigError) as caught:
        resolve(path)
    start = path.read_text().splitlines().index("strategy: ") + 1
    lines = {fault.key: int(fault.where.split(":")[-2]) - start for fault in caught.value.faults}
    assert lines == {
        "strategy.diary": 2, "strategy.archive.book": 3, "strategy.archive.ledger": 3,
        "strategy.adviser.population": 4, "strategy.judges.0.image": 6, "strategy.judges.1.use": 7,
    }  # fmt: skip
    assert "s3cret" not in str(caught.value)
    assert "did you mean 'magnitude'?" in str(caught.value)


def test_what_may_change_is_said_by_the_field(tmp_path: Path) -> None:
    one, two = (resolve(study(tmp_path, f"{{use: toy, helpers: {n}}}")).settings for n in (1, 2))
    assert differences(one, two) == []
    other = resolve(study(tmp_path, "{use: toy, adviser: evolution}")).settings
    assert "strategy.adviser.use (there uniform, now evolution)" in differences(one, other)


def test_a_plug_in_that_is_left_out_is_the_one_of_the_field_s_default(tmp_path: Path) -> None:
    """Also after the settings were written and read again, which spells it out."""
    first = resolve(study(tmp_path, "{use: toy}"))
    kept = tmp_path / "kept.yaml"
    with kept.open("w") as file:
        YAML().dump(dict(first.settings), file)
    again = resolve(kept)
    assert again.settings["strategy"]["adviser"] == {"use": "uniform"}
    assert first.settings["strategy"]["adviser"] == "uniform"
    assert differences(first.settings, again.settings) == []


def test_a_preset_names_no_other_preset(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("use: one.yaml\n")
    with pytest.raises(ConfigError, match=r"one.yaml:1:1: use: found 'one.yaml'; allowed: a name"):
        resolve(study(tmp_path, "one.yaml"))


def test_the_task_makes_the_model_and_names_the_objective(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(TINY.replace("data:", "task: {use: toytask, outputs: 3}\ndata:", 1))
    resolved = resolve(path)
    assert resolved.task == ToyTask(outputs=3)
    assert resolved.space.model_args["num_classes"] == 3
    assert resolved.settings["task"] == {"use": "toytask", "outputs": 3}
    assert resolved.config.objectives == {"deviation": "min"}
    assert resolve(path, ["objectives={deviation: max, params: min}"]).config.objectives == {
        "deviation": "max",
        "params": "min",
    }
    with pytest.raises(
        ConfigError, match=r"objectives\.accuracy: found 'accuracy'; allowed: deviation, macs, flops, param"
    ):
        resolve(path, ["objectives={accuracy: max}"])


def test_classification_is_the_default_task() -> None:
    resolved = resolve(TINY)
    assert resolved.settings["task"] == {"use": "classification"}
    assert resolved.config.objectives == {"accuracy": "max"}
    with pytest.raises(ConfigError, match=r"task\.use: found 'clasification'; .*did you mean 'classification'\?"):
        resolve(TINY, ["task=clasification"])


def test_a_run_that_lacks_settings_of_later_versions_counts_them_as_their_defaults() -> None:
    settings = resolve(TINY).settings
    stored = {key: value for key, value in settings.items() if key not in ("task", "latency", "importance")}
    stored["supernet"] = {key: value for key, value in settings["supernet"].items() if key != "within_limit"}
    stored["strategy"] = {key: value for key, value in settings["strategy"].items() if key != "parents"}
    changed = resolve(
        TINY, ["importance=magnitude", "task=toytask", "strategy.parents=elite", "supernet.within_limit=true"]
    )
    told = " ".join(differences(stored, changed.settings))
    for difference in (
        "importance.use (there given, now magnitude)",
        "task.use (there classification, now toytask)",
        "strategy.parents (there young, now elite)",
        "supernet.within_limit (there False, now True)",
    ):
        assert difference in told
    assert differences(stored, settings) == []


def test_a_run_made_before_there_were_tasks_is_continued(finished: Study, tmp_path: Path) -> None:
    stored = {key: value for key, value in finished.record.settings.items() if key != "task"}
    assert differences(stored, resolve(finished.folder.study_file).settings) == []


def test_the_reader_names_no_option_of_a_plug_in() -> None:
    """Apart from words that are keys of a study as well, no text in its code is an option's name."""
    words = set()
    for path in set(Path(nas.studies.file.__file__).parent.glob("*.py")) - {Path(config.__file__)}:
        tree = ast.parse(path.read_text())
        words |= {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    kinds = [
        *search.installed().values(),
        *(folder.find(name) for folder in (importance, rules) for name in folder.names()),
    ]
    options = {option.name for kind in kinds for option in fields(kind)}
    assert {"storage", "searcher", "images", "random"} <= options
    assert words & options - study_keys(StudyConfig) == set()


def study_keys(kind: type) -> set[str]:
    """The keys of a study, and of the mappings in it, but not of plug-ins."""
    keys = set(hints(kind))
    for hint in hints(kind).values():
        for inner, _ in readings(hint):
            keys |= study_keys(inner) if is_options(inner) else set()
    return keys
