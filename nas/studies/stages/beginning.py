"""How a run begins, and how it is recognised when it goes on: run.json, prior.json and study.yaml in its folder."""

from __future__ import annotations

import datetime
import io
import uuid
from collections.abc import Collection
from dataclasses import replace

import torch
from ruamel.yaml import YAML

from nas.documents.document import read
from nas.errors import RunError
from nas.studies.file.resolve import Resolved
from nas.studies.file.settings import adjusted, changed, differences
from nas.studies.run.folder import RunFolder, write_bytes, write_json
from nas.studies.run.identity import Identity
from nas.studies.run.prior import write_prior
from nas.studies.run.record import Record
from nas.studies.run.results import PREPARE, RETRAIN, STAGES, Stage, StageResult
from nas.studies.run.seals import of_data
from nas.system.environment import commit, version
from nas.system.files import OWNER


def begin(study: Resolved, folder: RunFolder, anew: Collection[Stage[StageResult]] = ()) -> None:
    """Writes who this run is; study.yaml last, since it is what makes a folder a run. What there is of the stages
    `anew` is about to be dropped.

    Once `prepare` is done, the folder is this study's, and `RunError` is raised for a study with other settings; until
    then nothing was found that a change of the study could spoil.
    """
    if folder.exists and folder.done(PREPARE):
        record = Record.open(folder.path)
        settings = record.settings
        untouched = [stage.name for stage in STAGES if stage in anew or folder.untouched(stage)]
        if others := differences(settings, study.settings, untouched):
            raise RunError(
                f"{folder}: the run in this folder has other settings: {', '.join(others)}; "
                "choose another folder with --folder, or delete this one"
            )
        data = settings["data"]
        moved = not isinstance(data, dict) or data.get("path") != study.config.data.path  # the images
        timed = changed(settings, study.settings, "latency")
        if timed and folder.done(RETRAIN):
            folder.reopen(RETRAIN)  # what was retrained stays, and is timed again
        remeasured = changed(settings, study.settings, "eval_batch")
        if moved or timed or remeasured or adjusted(settings, study.settings):
            _write_settings(study, folder, record.identity)
        return
    identity = Identity(
        id=uuid.uuid4().hex,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit(),
        version=version(),
        threads=study.config.threads or torch.get_num_threads(),
    )
    if study.prior:
        write_prior(folder.prior_file, study.prior)
    _write_settings(study, folder, identity)


def _write_settings(study: Resolved, folder: RunFolder, identity: Identity) -> None:
    """Writes run.json, with the checksum that study.yaml is about to have, and then that."""
    text, yaml = io.StringIO(), YAML()
    yaml.width = 120
    yaml.dump(dict(study.settings), text)
    content = text.getvalue()
    write_json(folder.path / "run.json", replace(identity, settings=[*identity.settings, of_data(read(content).data)]))
    write_bytes(folder.study_file, content.encode(), OWNER)
