from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from studies_fakes import trial

from nas import quantities
from nas.errors import RunError
from nas.quantities import RESERVED, Quantity
from nas.search import Objective, Trial
from nas.searchspaces import Architecture
from nas.studies.report.tables import trials_table
from nas.studies.run.frames import (
    best_so_far,
    candidates_per_hour,
    front_objectives,
    hypervolume,
    ideal_and_worst,
    knee,
    pareto_frame,
    trials_frame,
)
from nas.studies.study import Study
from nas.tasks.classification import ACCURACY as ACCURACY_METRIC
from nas.tasks.classification import Classification

ACCURACY, MACS = Objective("accuracy", maximise=True), Objective("macs", maximise=False)
CHOICES = ["heads.0", "mlp.0"]


def frame(*points: tuple[float, int], most: float = np.inf) -> pd.DataFrame:
    """A frame of trials with these accuracies and MACs."""
    trials = [
        trial(n, accuracy, costs={"macs": macs, "params": 7}, architecture=Architecture({"heads.0": n, "mlp.0": 0.5}))
        for n, (accuracy, macs) in enumerate(points)
    ]
    return trials_frame(trials, study="s", choices=CHOICES, bounds={"macs": (0, most)})


def test_a_frame_has_one_column_per_choice_between_head_and_tail() -> None:
    found = trials_frame([trial(0), trial(1, None)], study="s", choices=CHOICES, bounds={"macs": (0, 1005)})
    assert list(found.columns) == [
        "study", "strategy", "seed", "number", "heads.0", "mlp.0", "accuracy", "loss", "macs", "flops", "params",
        "feasible", "seconds", "state", "share", "digest", "cached", "error",
    ]  # fmt: skip
    shown = ["heads.0", "mlp.0", "accuracy", "macs", "flops"]
    assert found[shown].iloc[0].to_list() == [1, 0.25, 0.5, 1000, 2000]
    assert found["feasible"].tolist() == [True, False]
    assert found["state"].tolist() == ["done", "failed"]
    assert found["accuracy"].isna().tolist() == [False, True]


def test_candidates_per_hour_count_what_was_measured_and_the_time_it_took() -> None:
    mine = [replace(trial(n, strategy="mine"), seconds=s) for n, s in enumerate((2.0, 4.0, 0.0))]
    mine[2] = replace(mine[2], cached=True)
    stopped = replace(trial(3, strategy="halved"), seconds=0.5, state="stopped", notes={"share": 0.25})
    repeated = replace(trial(4, strategy="repeats"), seconds=0.0, cached=True)
    found = trials_frame([*mine, stopped, repeated], study="s", choices=CHOICES, bounds={})
    assert candidates_per_hour(found) == {"mine": 1200.0, "halved": 7200.0}
    assert found["share"].tolist() == [1, 1, 1, 0.25, 1]
    assert candidates_per_hour(found[:0]) == {}


def test_trials_that_were_measured_part_by_part_have_a_standard_error() -> None:
    raced = replace(trial(1), notes={"parts": [0.5, 0.75, 0.5, 0.25]})
    found = trials_frame([trial(0), raced], study="s", choices=CHOICES, bounds={})
    assert found.columns[-1] == "standard_error"
    assert found["standard_error"].tolist() == pytest.approx([np.nan, 0.2041 / 2], abs=1e-4, nan_ok=True)
    console = Console(width=200)
    with console.capture() as shown:
        console.print(trials_table(found, "trials", Classification().metrics, ACCURACY_METRIC, 100))
    assert "standard error" in shown.get()
    assert "0.1021" in shown.get(), "from the parts"
    assert "0.0500" in shown.get(), "of 100 images, half of them right"
    with console.capture() as shown:
        console.print(trials_table(found, "trials", Classification().metrics, None, 100))
    assert "standard error" not in shown.get()


def test_a_frame_of_nothing_has_the_same_types() -> None:
    empty = trials_frame([], study="s", choices=CHOICES, bounds={})
    full = trials_frame([trial()], study="s", choices=CHOICES, bounds={})
    assert empty.empty
    assert empty.dtypes.drop(CHOICES).to_dict() == full.dtypes.drop([*CHOICES, "accuracy", "loss"]).to_dict()
    assert pareto_frame(empty, [ACCURACY, MACS]).empty


def test_the_front_holds_what_nobody_dominates_cheapest_first() -> None:
    found = pareto_frame(frame((0.5, 10), (0.9, 30), (0.4, 20), (0.95, 90), (0.8, 20), most=50), [ACCURACY, MACS])
    assert found[["accuracy", "macs"]].to_numpy().tolist() == [[0.5, 10], [0.8, 20], [0.9, 30]]
    assert found["knee"].tolist() == [False, True, False]


def test_an_architecture_measured_twice_is_on_the_front_once() -> None:
    twice = [trial(0), trial(0, strategy="uniform", cached=True)]
    found = pareto_frame(trials_frame(twice, study="s", choices=CHOICES, bounds={}), [ACCURACY, MACS])
    assert len(found) == 1


def test_an_architecture_of_two_supernets_is_on_the_front_with_its_better_value() -> None:
    twice = [trial(0, 0.5), trial(0, 0.7, strategy="uniform")]
    found = pareto_frame(trials_frame(twice, study="s", choices=CHOICES, bounds={}), [ACCURACY, MACS])
    assert found["accuracy"].tolist() == [0.7]


def test_the_front_agrees_with_its_definition_for_three_objectives() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (60, 3))
    trials = [
        trial(
            n, a / 10, costs={"macs": int(m), "params": int(p)}, architecture=Architecture({"heads.0": n, "mlp.0": 1})
        )
        for n, (a, m, p) in enumerate(values)
    ]
    objectives = [ACCURACY, MACS, Objective("params", maximise=False)]
    found = pareto_frame(trials_frame(trials, study="s", choices=CHOICES, bounds={}), objectives)
    losses = values * [-1, 1, 1]
    expected = {
        n for n, one in enumerate(losses) if not ((losses <= one).all(axis=1) & (losses < one).any(axis=1)).any()
    }
    assert set(found["number"]) == expected


def test_the_knee_is_the_best_compromise() -> None:
    assert knee(np.array([[0.0, 10.0], [1.0, 2.0], [9.0, 1.0], [10.0, 0.0]])) == 1
    assert knee(np.array([[3.0, 3.0]])) == 0


def test_the_hypervolume_of_one_point_is_a_rectangle() -> None:
    ends = {"accuracy": (1.0, 0.0), "macs": (0.0, 100.0)}
    assert hypervolume(frame((0.8, 25)), [ACCURACY, MACS], ends) == pytest.approx(0.8 * 0.75)
    assert hypervolume(frame((0.8, 25), (0.5, 50)), [ACCURACY, MACS], ends) == pytest.approx(0.6)
    assert hypervolume(frame((0.8, 25), most=1), [ACCURACY, MACS], ends) == 0.0


def test_the_box_is_the_base_models_cost_by_the_metrics_own_ends() -> None:
    loss, flops = Objective("loss", maximise=False), Objective("flops", maximise=False)
    known = (*quantities.costs(), *Classification().metrics)
    ends = ideal_and_worst([ACCURACY, MACS, flops, loss], known, {"macs": 100}, frame((0.8, 25), (0.5, 50)))
    assert ends == {"accuracy": (1.0, 0.0), "macs": (0.0, 100.0), "flops": (0.0, 200.0), "loss": (0.0, 0.5)}


def test_a_study_that_wants_the_opposite_has_the_box_upside_down() -> None:
    most = Objective("macs", maximise=True)
    ends = ideal_and_worst([most], quantities.costs(), {"macs": 100}, frame((0.8, 25)))
    assert ends == {"macs": (100.0, 0.0)}
    assert hypervolume(frame((0.8, 25)), [most], ends) == pytest.approx(0.25)


def test_costs_of_a_quantity_that_came_later_are_missing_and_no_damage() -> None:
    old = trial(0, costs={"macs": 1000})
    assert list(trials_frame([old], study="s", choices=CHOICES, bounds={}).filter(["macs", "flops", "params"])) == [
        "macs", "flops",
    ]  # fmt: skip
    mixed = trials_frame([old, trial(1)], study="s", choices=CHOICES, bounds={})
    assert mixed["params"].isna().tolist() == [True, False]
    assert mixed.dtypes[["macs", "params"]].astype(str).to_list() == ["int64", "float64"]


def test_a_single_objective_gets_macs_beside_it() -> None:
    assert front_objectives([ACCURACY]) == (ACCURACY, MACS)
    assert front_objectives([MACS]) == (MACS, Objective("params", maximise=False))
    assert front_objectives([MACS, ACCURACY]) == (MACS, ACCURACY)


def test_best_so_far_skips_what_does_not_count() -> None:
    found = frame((0.5, 10), (0.9, 99), (0.4, 10), (0.6, 10), most=50)
    assert best_so_far(found, ACCURACY).tolist() == [0.5, 0.5, 0.5, 0.6]


def test_an_objective_that_nobody_measured_is_named() -> None:
    with pytest.raises(RunError, match=r"no column 'speed' among the trials; there are: .*accuracy"):
        pareto_frame(frame((0.5, 10)), [Objective("speed", maximise=True), MACS])


def test_runs_concatenate_and_go_to_parquet_and_back(finished: Study, tmp_path: Path) -> None:
    other: list[Trial] = [trial(0), trial(1, None)]
    joined = pd.concat(
        [finished.trials(), trials_frame(other, study="other", choices=CHOICES, bounds={})], ignore_index=True
    )
    assert len(joined) == 26
    assert joined["study"].unique().tolist() == ["tiny", "other"]
    joined.to_parquet(tmp_path / "trials.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "trials.parquet"), joined)
    finished.pareto().to_parquet(tmp_path / "front.parquet")


def test_a_studys_frames_tell_its_search(finished: Study) -> None:
    trials, front = finished.trials(), finished.pareto()
    assert trials.groupby("strategy").size().to_dict() == {"evolution": 12, "uniform": 12}
    assert trials["feasible"].all()
    assert set(front["digest"]) <= set(trials["digest"])
    assert front["macs"].is_monotonic_increasing
    assert front["accuracy"].is_monotonic_increasing
    assert front["knee"].sum() == 1
    assert 0 < finished.record.hypervolume() < 1


def test_no_quantity_may_be_called_as_another_column() -> None:
    trials = trials_frame([trial()], study="s", choices=[], bounds={})
    others = {*pareto_frame(trials, [ACCURACY, MACS]).columns} - {"accuracy", "loss", "macs", "flops", "params"}
    assert others <= RESERVED
    with pytest.raises(AssertionError, match="may not be called 'error'"):
        Quantity(name="error", title="error", origin="measured")


def test_an_objective_that_nobody_knows_here_is_named() -> None:
    with pytest.raises(RunError, match="no quantity 'joules', an objective of the run; there are: macs, flops, params"):
        ideal_and_worst([Objective("joules", maximise=False)], quantities.costs(), {"macs": 100}, frame((0.8, 25)))
