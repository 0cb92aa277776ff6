"""The two files of a first study, with a comment at whatever a newcomer may want to change."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

from nas import quantities, words
from nas.data import DataSpec
from nas.foreign import printable
from nas.studies.drafting.aims import Aim
from nas.studies.drafting.choosing import ChosenSpace
from nas.studies.drafting.plan import TrainingPlan
from nas.studies.forecast.forecast import Forecast
from nas.studies.forecast.shown import in_words
from nas.system.machine import Machine

STUDY, SPACE = "study.yaml", "space.yaml"
COLUMN = 32
"""Where comments begin."""
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*[A-Za-z0-9_/-]")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
"""Text that means itself in YAML, and words that have that form and do not."""
_AMOUNT = re.compile(r"[0-9.]+ ?[%kMG]?")


@final
@dataclass(frozen=True, kw_only=True)
class StudyDraft:
    """What stands in the study's file, see `StudyConfig`. `validation` is None where the data bring a split for it."""

    name: str
    folder: Path
    data: DataSpec
    aim: Aim
    goal: Mapping[str, str]
    pretrained: bool
    checkpoint: Path | None
    validation: float | None
    batch: int
    eval_batch: int
    device: str
    plan: TrainingPlan


def study_text(draft: StudyDraft, forecast: Forecast | None, machine: Machine | None = None) -> str:
    """The study. Without a forecast, as it is read to make one."""
    plan = draft.plan
    lines = [
        *_heading(draft, forecast, machine),
        _line("space", _scalar(str(Path(draft.folder.name) / SPACE)), "what may be chosen"),
        *([_line("task", _flow(draft.aim.options), draft.aim.about_task)] if draft.aim.options else []),
        _line("strategy", f"{{use: evolution, trials: {plan.trials}}}", "all proposals keep to the limit"),
        "data:",
        *[_line(f"  {key}", value) for key, value in _data(draft.data).items()],
    ]
    if draft.validation is not None:
        lines.append(_line("  validation", str(draft.validation), "of the training pictures, for the search alone"))
    lines += [
        _line("limit", _flow(draft.goal), draft.aim.about_limit),
        _line("importance", "magnitude", "so that small sizes keep the units that weigh most"),
        f"base:{' ' * (COLUMN - 5)}# the whole model; {plan.reason}",
        *_weights(draft),
        *_recipe(plan.base, plan.lr, draft, plan.about_augment),
        f"supernet:{' ' * (COLUMN - 9)}# all sub-networks together, by the largest, the smallest and two others",
        *_recipe(plan.supernet, plan.lr, draft, ""),
        *_retraining(draft),
        *([] if plan.compete else [_line("finalists", "1", "the best trial wins; 5: the best are trained first")]),
        _line("eval_batch", str(draft.eval_batch), "pictures that are measured together: as memory allows"),
        *([_line("device", draft.device)] if draft.device != "auto" else []),
        _line("seed", "0"),
        _line("name", _scalar(draft.name), f"its run lies in runs/{draft.name}"),
    ]
    return "\n".join(lines) + "\n"


def _retraining(draft: StudyDraft) -> Iterator[str]:
    plan = draft.plan
    adjoined = plan.loss == "adjoined"
    beside = ", beside the largest network" if adjoined else ""
    yield f"retrain:{' ' * (COLUMN - 8)}# the winner learns again{beside}"
    yield from _recipe(plan.retrain, plan.lr / 2, draft, "")
    yield _line("  small_ce", "true", "and from the classes itself") if adjoined else _line("  loss", plan.loss)


def _weights(draft: StudyDraft) -> Iterator[str]:
    if draft.pretrained:
        yield _line("  pretrained", "true", "timm's weights, from its cache or fetched once")
    if draft.checkpoint is not None:
        yield _line("  checkpoint", _scalar(str(draft.checkpoint)))


def _heading(draft: StudyDraft, forecast: Forecast | None, machine: Machine | None) -> list[str]:
    path = printable(str(draft.folder / STUDY))
    heading = [f"# {draft.name}: a first study, written by nas init.", "#", f"# Command: nas run {path}"]
    if forecast is not None:
        heading += [
            f"# Time:    about {words.roughly(forecast.seconds)} on {machine}, from a few timed steps",
            f"# Memory:  {in_words(forecast.memory)}",
        ]
    return [*heading, f"# Result:  runs/{draft.name}/report/report.html", ""]


def _recipe(epochs: int, lr: float, draft: StudyDraft, about_augment: str) -> list[str]:
    return [
        _line("  epochs", str(epochs)),
        _line("  lr", f"{lr:g}"),
        _line("  warmup", "1"),
        _line("  batch", str(draft.batch)),
        _line("  augment", draft.plan.augment, about_augment),
    ]


def space_text(chosen: ChosenSpace, model_args: Mapping[str, Any], model: str, draft: StudyDraft) -> str:
    """The space."""
    space, cost = chosen.space, chosen.cost
    lines = [
        f"# What may be chosen of {printable(model)}: {words.architectures(space.size)} architectures,",
        f"# from {quantities.in_words(cost.counts(space.smallest))}",
        f"# to {quantities.in_words(cost.counts(space.largest))}.",
        f"# Command: nas show {printable(str(draft.folder / SPACE))}",
        _line("model", _scalar(model)),
    ]
    if model_args:
        lines.append(_line("model_args", _flow(model_args)))
    lines.append("choices:")
    for proposal in chosen.proposals:
        lines += [f"  # {proposal.meaning}", f"  {proposal.name}: {_flow(proposal.mapping)}"]
    if chosen.tokens:
        lines += ["  # share of the tokens that a block still sees: what saves most time",
                  "  # tokens: {keep: [0.5, 0.7, 0.85, 1.0], per: block, order: never-grows}"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _data(spec: DataSpec) -> dict[str, str]:
    """What is not as by default."""
    written = {one.name: getattr(spec, one.name) for one in fields(spec) if getattr(spec, one.name) != one.default}
    return {key: _value(value) for key, value in written.items() if key != "validation"}


def _line(key: str, value: str, comment: str = "") -> str:
    line = f"{key}: {value}"
    return f"{line:{COLUMN - 1}} # {comment}" if comment else line


def _scalar(text: str) -> str:
    """Text as YAML reads it back, whatever is in it."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)


def _flow(mapping: Mapping[str, Any]) -> str:
    """A mapping on one line: JSON with bare keys where they are plain words, and plain values."""
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in mapping.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return json.dumps(list(value))
    if isinstance(value, str):
        return value if _AMOUNT.fullmatch(value) else _scalar(value)
    return json.dumps(value)
