"""What pyproject.toml cannot say: the ready-made files at the root go into the wheel, as data of `nas.ready_made`."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FOLDERS = ("searchspaces", "strategies", "studies")


class BuildWithReadyMade(build_py):
    """Copies the YAML files of the three folders; a checkout reads them where they are."""

    def run(self) -> None:
        """Builds the modules, then copies."""
        super().run()
        for source, target in self.ready_made().items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def ready_made(self) -> dict[Path, Path]:
        """File -> where it goes."""
        if self.editable_mode:
            return {}
        root, into = Path(__file__).parent, Path(self.build_lib) / "nas" / "ready_made"
        files = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*.yaml"))]
        return {file: into / file.relative_to(root) for file in files}

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files that were written."""
        return [*super().get_outputs(include_bytecode), *map(str, self.ready_made().values())]


setup(cmdclass={"build_py": BuildWithReadyMade})
