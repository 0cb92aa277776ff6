"""The page: one self-contained HTML file with results, plots, proof and settings, that works offline."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from nas import words
from nas.documents.text import dotted
from nas.searchspaces.axis_names import QUERIES, axis_name
from nas.studies.report import plots
from nas.studies.report.findings import Findings
from nas.studies.report.rank_plot import rank_plot
from nas.studies.report.tokens import tokens
from nas.studies.report.trajectories import trajectories
from nas.studies.run.examples import EXAMPLES, load_examples
from nas.system.database import hidden
from nas.system.environment import describe

MARKS = {"winner": "winner", "uniform": "uniform's winner"}


def page(facts: Findings) -> str:
    """The whole page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "amount": words.amount,
        "percent": words.percent,
        "share": words.share,
        "points": words.points,
        "ms": words.milliseconds,
        "seconds": words.seconds,
        "architectures": words.architectures,
        "statistic": words.statistic,
    }
    folder = files("nas.studies.report")
    template = environment.from_string((folder / "page.html").read_text(encoding="utf-8"))
    record = facts.record
    return template.render(
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        facts=facts,
        record=record,
        rows=facts.rows,
        batches=words.batches(facts.rows),
        base=facts.row("base"),
        prepared=record.result("prepare"),
        explored=record.result("explore"),
        extracted={role: found for role, found in record.result("extract").items() if isinstance(found, Mapping)},
        latency=record.result("retrain")["latency"],
        figures=_figures(facts),
        settings=_settings(record.settings),
        environment=describe(),
    )


def _figures(facts: Findings) -> dict[str, Markup]:
    """Every plot, by its name in the template; one without data is left out."""
    record, objective = facts.record, facts.record.objectives[0]
    chosen = record.result("extract")
    explored = record.result("explore")
    marks = {w: (explored[role]["strategy"], chosen[role]["digest"]) for role, w in MARKS.items() if role in chosen}
    most = record.bounds.get("macs", (0.0, float("inf")))[1]
    drawn = {
        "front": plots.front(facts.trials, facts.pareto, objective, strategy=record.strategy, marks=marks, most=most),
        "architecture": plots.architecture(chosen["winner"]["kept"], chosen["winner"]["full"]),
        "progress": plots.progress(facts.trials, objective, record.strategy),
    }
    if any(row["metrics"] for row in facts.relaxation):
        drawn["trajectories"] = trajectories([row for row in facts.relaxation if row["metrics"]])
    if "positions" in facts.notes:
        total = chosen["winner"]["full"][axis_name(QUERIES, next(iter(facts.notes["positions"])))]
        examples = load_examples(record.folder.path / "explore" / EXAMPLES)
        drawn["tokens"] = tokens(facts.notes["positions"], total, facts.notes["grid"], examples)
    for truth in facts.ranks:
        drawn[truth.name] = rank_plot(truth)
    if facts.histories:
        drawn["curves"] = plots.curves(facts.histories)
    return {name: Markup(plots.svg(figure)) for name, figure in drawn.items()}


def _settings(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings grouped by their first key, single ones first."""
    single = [(key, _plain(value)) for key, value in settings.items() if not isinstance(value, Mapping)]
    groups = [(key, _pairs(value)) for key, value in settings.items() if isinstance(value, Mapping)]
    return [("study", single), *groups]


def _pairs(value: Mapping[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, inner in value.items():
        here = (*above, key)
        pairs += _pairs(inner, here) if isinstance(inner, Mapping) and inner else [(dotted(here), _plain(inner))]
    return pairs


def _plain(value: Any) -> str:
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else hidden(str(value))
