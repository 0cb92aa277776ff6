"""Some libraries say much of themselves that is of no use to who asked for something else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(most: int = logging.WARNING) -> Iterator[None]:
    """No warnings, and nothing of the log up to this level: by default, errors alone are left."""
    before = logging.root.manager.disable
    logging.disable(most)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
