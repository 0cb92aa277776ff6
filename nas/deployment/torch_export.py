"""torch's own form, `torch.export`: a .pt2 file that `torch.export.load` reads where neither timm nor `nas` is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nas.deployment.checking import compare
from nas.deployment.deployable import Deployable, tensors
from nas.errors import DeploymentError
from nas.system.quiet import quiet


def write(original: Deployable, path: Path) -> str:
    """Writes the model to `path`, reads it again and compares; returns a sentence about the file. The batch may have
    any size. Raises `DeploymentError` where torch cannot write the model, or where the file says something else.
    """
    with quiet():
        try:
            batch = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(original.module, (torch.zeros(2, *original.image),), dynamic_shapes=batch)
        except RuntimeError as wrong:  # what torch.export raises is of many kinds, all of them these
            reason = str(wrong).strip().split("\n")[0]
            raise DeploymentError(
                f"--torch-export: torch cannot write this model ({reason}); nothing was written"
            ) from wrong
        with path.open("wb") as stream:  # of a path, torch wants another ending than that of an unfinished file
            torch.export.save(program, stream)
        with path.open("rb") as stream:
            module: Any = torch.export.load(stream).module()
        closeness = compare("--torch-export", original, lambda images: tensors(module(images)))
    return f"torch.export of torch {torch.__version__}: {closeness}"
