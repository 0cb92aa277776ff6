"""prepare: everything that can be wrong is found here, before anything trains: data, limit, store."""

from __future__ import annotations

from nas.studies.run.describe import describe_limit, describe_space
from nas.studies.run.described import TableFacts
from nas.studies.run.results import PrepareResult
from nas.studies.stages.base import start
from nas.studies.stages.trainers import TRAINING, recipe
from nas.studies.stages.workshop import Workshop, describe_data
from nas.system.environment import describe


def run(workshop: Workshop) -> PrepareResult:
    """Loads the data, checks the limit, makes the table of trials; the result describes the study's frame."""
    data = workshop.data
    workshop.keep_listing()
    workshop.keep_tables()
    # What is wrong with weights is said before anything trains, and while the study may still be changed.
    for stage in TRAINING:
        if (spec := recipe(workshop.config, stage).teacher) is not None and not spec.own:
            workshop.teacher_of(stage)
    if workshop.config.base.checkpoint:
        start(workshop)
    with workshop.store() as store:
        store.clear(workshop.run_id)
    return PrepareResult(
        space=describe_space(workshop.space, workshop.cost),
        base=workshop.base_costs,
        limit=describe_limit(workshop.limit),
        data=describe_data(data),
        device=workshop.device.type,
        tables={quantity: TableFacts.of(table) for quantity, table in workshop.study.tables.items()},
        preprocessing=data.preprocessing,
        outputs=dict(workshop.task.about(data.class_names)),
        notes=[*data.notes, *_large_batches(workshop), *_other_libraries(workshop)],
    )


def _large_batches(workshop: Workshop) -> list[str]:
    """A note per stage whose batches hold more images than there are: all are in each of them."""
    images = len(workshop.data.train)
    recipes = {stage.name: recipe(workshop.config, stage) for stage in TRAINING}
    return [
        f"{stage}.batch: {one.batch}, and there are {images} training images: all are in each batch"
        for stage, one in recipes.items()
        if one.epochs and one.batch > images
    ]


def _other_libraries(workshop: Workshop) -> list[str]:
    """A note where a table was measured with other libraries than this run has."""
    here, notes = describe(), []
    for quantity, table in workshop.study.tables.items():
        measured = table.conditions.libraries
        known = [name for name in ("torch", "timm") if name in measured and name in here]
        differ = [f"{name} {measured[name]}, here {here[name]}" for name in known if measured[name] != here[name]]
        notes += [f"{quantity}: its table was measured with {', '.join(differ)}"] if differ else []
    return notes
