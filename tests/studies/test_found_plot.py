"""Pictures of objects in the report, and what a run's folder may say of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nas.studies.report import found_plot, plots
from nas.studies.run.measured import LocatedFacts

FACTS = TypeAdapter(LocatedFacts)
OBJECT = {"label": 1, "box": [1, 1, 5, 4], "score": 0.9, "mask": [10, 20, 66]}


def facts(**changed: Any) -> dict[str, Any]:
    picture = {"height": 8, "width": 12, "true": [OBJECT], "found": [OBJECT, {**OBJECT, "label": 0, "mask": None}]}
    return {
        "classes": ["ant", "bee"],
        "curves": {"ant": [1.0] * 101, "bee": [0.5] * 101},
        "pictures": [picture],
        "averages": {"ant": 0.7, "bee": 0.4},
    } | changed


def test_pictures_have_a_column_for_the_truth_and_one_for_each_model() -> None:
    located = FACTS.validate_json(json.dumps(facts()))
    assert json.loads(FACTS.dump_json(located)) == json.loads(json.dumps(facts()))
    images = np.zeros((4, 16, 32, 3), np.uint8)
    figure = found_plot.found(images, {"base": located, "winner": located})
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["there", "base", "winner"]
    assert [len(axis.patches) for axis in figure.axes] == [1, 2, 2]
    assert {axis.get_xlim() for axis in figure.axes} == {(0, 12)}, "the letterbox's grey is cut off"
    assert "<svg" in plots.svg(figure)


def test_precision_has_a_panel_per_class_while_there_are_few() -> None:
    few = FACTS.validate_python(facts())
    figure = found_plot.precision({"base": few, "winner": few})
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["ant", "bee"]
    assert [line.get_label() for line in figure.axes[1].lines] == ["base, AP50 50.0 %", "winner, AP50 50.0 %"]
    many = FACTS.validate_python(facts(curves={f"class {k}": [0.5] * 101 for k in range(9)}))
    figure = found_plot.precision({"base": many})
    assert figure.axes[0].get_title(loc="left") == "mean of 9 classes"


def test_earlier_runs_recorded_no_average_precision_of_classes() -> None:
    earlier = {key: value for key, value in facts().items() if key != "averages"}
    assert FACTS.validate_python(earlier).averages == {}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"classes": ["ant"]}, "objects of the classes that are named"),
        ({"curves": {"ant": [1.0] * 100}}, "at least 101"),
        ({"pictures": [{"height": 8, "width": 11, "true": [OBJECT], "found": []}]}, "masks of the picture's size"),
        ({"pictures": [{"height": 0, "width": 11, "true": [], "found": []}]}, "greater than or equal to 1"),
    ],
)
def test_what_is_damaged_is_no_facts(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        FACTS.validate_python(facts(**changed))
