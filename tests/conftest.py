"""One thread: on a shared machine, two torch processes on two cores fight, and runs take ten times as long. Ray's
workers are as important as the tests that wait for them, and no test fails for its time. What is remembered of models
lies in a cache folder of these tests alone.
"""

from __future__ import annotations

import atexit
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
os.environ.setdefault("RAY_worker_niceness", "0")
CACHE = TemporaryDirectory(prefix="nas-tests-")
atexit.register(CACHE.cleanup)
os.environ["XDG_CACHE_HOME"] = CACHE.name
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

SLOW = (
    *("test_on_ray.py", "test_yaml_files.py", "test_with_raytune.py", "test_strategy_suite.py", "test_families.py"),
    *("test_cli.py", "test_warm_start.py", "test_study_workers.py", "test_ranks.py", "test_tau.py", "test_fuzz.py"),
)
"""Files that take long: they come first, so that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: SLOW.index(item.path.name) if item.path.name in SLOW else len(SLOW))


def installer(folders: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, type], None]:
    """What `plug_in` gives, for as long as a patch lasts."""

    def add(group: str, name: str, plugin: type) -> None:
        folder = folders.mktemp("installed")
        module = plugin.__module__
        metadata = folder / f"{module}-0.1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n", encoding="utf-8")
        (metadata / "entry_points.txt").write_text(
            f"[{group}]\n{name} = {module}:{plugin.__name__}\n", encoding="utf-8"
        )
        monkeypatch.syspath_prepend(folder)
        source = Path(inspect.getfile(plugin)).parent
        paths = [str(folder), str(source), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))

    return add


@pytest.fixture
def plug_in(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str, type], None]:
    """Makes a class known as a user's package does: `plug_in("nas.quantities", "weight_memory", WeightMemory)`.

    It is a real entry point, of a package that is installed for the length of a test; child processes find it too.
    """
    return installer(tmp_path_factory, monkeypatch)


@pytest.fixture(scope="module")
def module_plug_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, str, type], None]]:
    """As `plug_in`, for as long as the tests of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        yield installer(tmp_path_factory, patch)
