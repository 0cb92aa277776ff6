"""The page: one self-contained HTML file with results, plots, proof and settings, that works offline."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure

from nas import quantities, words
from nas.documents.text import Plain, dotted
from nas.preprocessing import sides
from nas.searchspaces.axis_names import QUERIES, axis_name
from nas.studies.report import found_plot, plots
from nas.studies.report.confusion_plot import confusion
from nas.studies.report.explorer import explorer, in_page
from nas.studies.report.findings import Findings, TokenNotes
from nas.studies.report.rank_plot import rank_plot
from nas.studies.report.tables import statistic
from nas.studies.report.tokens import tokens
from nas.studies.report.trajectories import trajectories
from nas.studies.run.examples import EXAMPLES, FOUND, load_examples
from nas.studies.run.rates import scaled_rates
from nas.studies.run.rows import BASE_MODEL
from nas.system.environment import describe
from nas.system.terminal import literally

MARKS = {"winner": "winner", "uniform": "uniform's winner"}
"""Role -> the word that marks its trial in the front's plot."""


def page(findings: Findings) -> str:
    """The whole page as HTML."""
    script, data = _text("explorer.js"), explorer(findings)
    return _template().render(
        style=Markup(_text("page.css")),
        script=Markup(script),
        script_hash=Markup(_hash(script)),
        explored_data=data,
        explorer_json=Markup(in_page(data)),
        findings=findings,
        record=findings.record,
        task=findings.record.task,
        metric=findings.metric,
        size=quantities.find(quantities.SIZE),
        costs=findings.costs,
        rows=findings.rows,
        base=findings.retrained.row(BASE_MODEL),
        prepared=findings.prepared,
        explored=findings.explored,
        extracted=findings.extracted.roles,
        latency=findings.retrained.latency,
        figures={name: Markup(plots.svg(figure)) for name, figure in _figures(findings)},
        settings=_settings(findings.record.settings),
        rates=scaled_rates(findings.record.settings),
        environment=describe(),
    )


@cache
def _template() -> Template:
    """The page without its values; reading it takes a tenth of a page's time."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters |= {
        "percent": words.percent,
        "share": words.share,
        "ms": words.milliseconds,
        "seconds": words.seconds,
        "architectures": words.architectures,
    }
    environment.globals |= {
        "statistic": statistic,
        "multiples": quantities.multiples,
        "in_words": quantities.in_words,
        "sides": sides,
    }
    return environment.from_string(_text("page.html"))


def _text(name: str) -> str:
    return (files("nas.studies.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the page's policy calls its one script: no other one runs in it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _figures(findings: Findings) -> Iterator[tuple[str, Figure]]:
    """Every plot, with its name in the template; one without data is left out."""
    record, winner = findings.record, findings.extracted.winner
    yield "front", _front(findings)
    yield "architecture", plots.architecture(winner.kept, winner.full)
    objective = record.objectives[0]
    yield "progress", plots.progress(findings.trials, objective, findings.quantity(objective.metric), record.strategy)
    if shares := [epoch for epoch in findings.explored.relaxation if epoch.metrics]:
        yield "trajectories", trajectories(shares)
    if findings.tokens:
        yield "tokens", _tokens(findings, findings.tokens)
    for truth in findings.ranks:
        yield truth.name, rank_plot(truth, findings.metric)
    if findings.located:
        images = load_examples(findings.record.folder.path / "retrain" / FOUND)
        if images is not None:
            yield "found", found_plot.found(images, findings.located)
        yield "precision", found_plot.precision(findings.located)
    if findings.confusion:
        yield "confusion", confusion(findings.confusion.classes, findings.confusion.models)
    if findings.histories:
        yield "curves", plots.curves(findings.histories, findings.metric)


def _front(findings: Findings) -> Figure:
    record, roles, extracted = findings.record, findings.roles, findings.extracted.roles
    marks = {word: (roles[role].strategy, extracted[role].digest) for role, word in MARKS.items() if role in extracted}
    cost = findings.drawn_cost
    return plots.front(
        findings.trials,
        findings.front,
        plots.Plane(findings.quantity(record.objectives[0].metric), cost),
        strategy=record.strategy,
        marks=marks,
        most=record.bounds.get(cost.name, (0.0, float("inf")))[1],
    )


def _tokens(findings: Findings, notes: TokenNotes) -> Figure:
    total = findings.extracted.winner.full[axis_name(QUERIES, next(iter(notes.positions)))]
    examples = load_examples(findings.record.folder.path / "explore" / EXAMPLES)
    return tokens(notes.positions, total, notes.grid, examples)


def _settings(settings: Mapping[str, Plain]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings grouped by their first key, single ones first."""
    single = [(key, _in_words(value)) for key, value in settings.items() if not isinstance(value, Mapping)]
    groups = [(key, _pairs(value)) for key, value in settings.items() if isinstance(value, Mapping)]
    return [("study", single), *groups]


def _pairs(settings: Mapping[str, Plain], above: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Settings under a key, those of inner mappings with dotted keys."""
    pairs: list[tuple[str, str]] = []
    for key, value in settings.items():
        path = (*above, key)
        pairs += _pairs(value, path) if isinstance(value, Mapping) and value else [(dotted(path), _in_words(value))]
    return pairs


def _in_words(value: Plain) -> str:
    if value is None or value == {}:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _shown(value: object) -> object:
    """What stands in the page in the place of a value: a text without passwords and marks that turn the writing."""
    return literally(value) if type(value) is str else value
