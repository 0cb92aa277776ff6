"""finalists: the best of the search are trained for a while, all alike, and compared picture by picture, before one of
them is called the winner.

In each round all that are left begin anew with their weights in the supernet, and are trained by the study's recipe for
retraining, in a share of its epochs that doubles from round to round. On the search-validation split, half of them
stay: those with the least loss, and none that is certainly worse than the best. The test split is not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nas.evaluation.per_input import losses_of_each
from nas.searchspaces import Architecture
from nas.studies.file.config import RetrainSpec
from nas.studies.run.folder import read_json, write_json
from nas.studies.run.paired import paired
from nas.studies.run.results import EXPLORE, FINALISTS, RETRAIN, FinalistsResult, WinnerResult
from nas.studies.run.rounds import FinalistResult, FinalistTraining, RoundResult
from nas.studies.stages import trainers
from nas.studies.stages.retrain import learnt, runtime_of
from nas.studies.stages.workshop import Workshop

SHARE = 0.5
"""Of the epochs of a retraining, in the last round."""


def run(workshop: Workshop) -> FinalistsResult:
    """Round by round until one is left; what was trained before is not trained again."""
    explored = workshop.folder.need(EXPLORE)
    finalists = {finalist.digest: finalist for finalist in explored.finalists}
    if not finalists:
        return FinalistsResult(winner=explored.winner, rounds=[])
    left, rounds = list(finalists.values()), list[RoundResult]()
    lengths = lengths_of(len(left), workshop.config.retrain.epochs)
    with trainers.gathered(workshop.study, RETRAIN):
        for number, epochs in enumerate(lengths, 1):
            place = workshop.folder.stage(FINALISTS.name) / f"round-{number}"
            trainings = [_training(workshop, finalist, epochs, place) for finalist in left]
            most = 1 if number == len(lengths) else math.ceil(len(left) / 2)
            rounds.append(decided(finalists, trainings, epochs, most))
            left = [finalists[finalist.digest] for finalist in rounds[-1].finalists if finalist.kept]
            if len(left) == 1:
                break
    return FinalistsResult(winner=left[0], rounds=rounds)


def lengths_of(count: int, epochs: int) -> list[int]:
    """The epochs of each round, for so many finalists and a retraining of so many epochs: enough rounds to halve them
    to one, but none twice as long as nothing.
    """
    rounds = math.ceil(math.log2(count))
    shares = [SHARE / 2**later for later in reversed(range(rounds))]
    return sorted({max(1, round(epochs * share)) for share in shares})  # equal rounds would be the same trainings


def decided(
    finalists: Mapping[str, WinnerResult], trainings: Sequence[FinalistTraining], epochs: int, most: int
) -> RoundResult:
    """The round's table, the least mean loss first: at most so many stay, and none that is certainly behind.
    `finalists` are all that there were, by their digests, in the order of their scores.
    """
    ranked = sorted(trainings, key=lambda training: (training.loss, training.digest))
    rows = []
    for rank, training in enumerate(ranked):
        finalist, behind = finalists[training.digest], paired(training.losses, ranked[0].losses)
        rows.append(
            FinalistResult(
                strategy=finalist.strategy,
                number=finalist.number,
                digest=finalist.digest,
                place=1 + list(finalists).index(finalist.digest),
                costs=finalist.costs,
                shared=finalist.metrics,
                loss=training.loss,
                validation=training.validation,
                behind=behind,
                kept=rank < most and not behind.certain,
            )
        )
    return RoundResult(epochs=epochs, images=len(ranked[0].losses), finalists=rows)


def _training(workshop: Workshop, finalist: WinnerResult, epochs: int, place: Path) -> FinalistTraining:
    """Trains a finalist and measures it, unless that was done."""
    path = place / f"{finalist.digest}.json"
    if path.exists():
        return read_json(path, FinalistTraining, remedy=workshop.folder.again(FINALISTS))
    place.mkdir(exist_ok=True)
    architecture, supernet = Architecture(finalist.architecture), workshop.supernets.of(finalist.strategy)
    checkpoint = place / f"{finalist.digest}-training.safetensors"
    model, _ = learnt(
        workshop,
        _short(workshop.config.retrain, epochs),
        supernet,
        architecture,
        runtime=runtime_of(workshop, f"finalist {finalist.digest}", checkpoint, architecture),
        extracted=lambda: supernet.extract(architecture),
    )
    split, task, device = workshop.data.validation, workshop.task, workshop.device
    training = FinalistTraining(
        digest=finalist.digest,
        validation=workshop.evaluation(model).metrics,
        losses=losses_of_each(model, split, task, device=device, batch=workshop.config.eval_batch),
    )
    workshop.check_lease()
    write_json(path, training)
    checkpoint.unlink(missing_ok=True)
    return training


def _short(spec: RetrainSpec, epochs: int) -> RetrainSpec:
    """The recipe in fewer epochs: too few to cut one block in each, where it is gradual."""
    return replace(spec, epochs=epochs, gradual=False, importance=RetrainSpec.importance)
