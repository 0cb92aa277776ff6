"""How a run begins, and how it is recognised when it goes on: run.json, prior.json and study.yaml in its folder."""

from __future__ import annotations

import datetime
import io
import uuid

import torch
from ruamel.yaml import YAML

from nas.errors import RunError
from nas.studies.file.resolve import Resolved
from nas.studies.file.settings import differences
from nas.studies.run.folder import RunFolder, write_bytes, write_json
from nas.studies.run.identity import Identity
from nas.studies.run.prior import write_prior
from nas.studies.run.record import Record
from nas.studies.run.results import PREPARE
from nas.system.environment import commit, version
from nas.system.files import OWNER


def begin(study: Resolved, folder: RunFolder) -> None:
    """Writes who this run is; study.yaml last, since it is what makes a folder a run.

    Once `prepare` is done, the folder is this study's, and `RunError` is raised for a study with other settings; until
    then nothing was found that a change of the study could spoil.
    """
    if folder.exists and folder.result(PREPARE) is not None:
        settings = Record.open(folder.path).settings
        if others := differences(settings, study.settings):
            raise RunError(
                f"{folder}: the run in this folder has other settings: {', '.join(others)}; "
                "choose another folder with --folder, or delete this one"
            )
        data = settings["data"]
        if not isinstance(data, dict) or data.get("path") != study.config.data.path:  # the images may have moved
            _write_settings(study, folder)
        return
    identity = Identity(
        id=uuid.uuid4().hex,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=commit(),
        version=version(),
        threads=study.config.threads or torch.get_num_threads(),
    )
    write_json(folder.path / "run.json", identity)
    if study.prior:
        write_prior(folder.prior_file, study.prior)
    _write_settings(study, folder)


def _write_settings(study: Resolved, folder: RunFolder) -> None:
    text, yaml = io.StringIO(), YAML()
    yaml.width = 120
    yaml.dump(dict(study.settings), text)
    write_bytes(folder.study_file, text.getvalue().encode(), OWNER)
