"""Where the files that a document names are looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from nas.documents.document import TEXT


@final
@dataclass(frozen=True)
class Lookup:
    """The working directory first, then the document's folder, then the folder above that.

    studies/digits.yaml thus names searchspaces/vit_digits.yaml, and runs from anywhere.
    """

    folder: Path
    """The document's folder; the working directory for a text."""

    @classmethod
    def beside(cls, name: str) -> Lookup:
        """Where to look for what the document of this name names."""
        return cls(Path() if name == TEXT else Path(name).parent)

    def find(self, text: str) -> Path | None:
        """The first file or folder of this path that exists, None when there is none."""
        path = Path(text).expanduser()
        candidates = (path, self.folder / path, self.folder.resolve().parent / path)
        return next((candidate for candidate in candidates if candidate.exists()), None)

    def absolute(self, text: str) -> Path:
        """The absolute path of what is found; of what is not, as seen from the working directory."""
        return (self.find(text) or Path(text).expanduser()).resolve()
