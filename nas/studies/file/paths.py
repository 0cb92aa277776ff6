"""Paths and URLs of a study made absolute, so that its run can be continued from anywhere."""

from __future__ import annotations

from collections.abc import Collection

from nas.documents.document import Document
from nas.documents.fields import marked
from nas.documents.lookup import Lookup
from nas.documents.markers import Located
from nas.errors import Fault, StoreError
from nas.studies.file.config import StudyConfig


def absolute(document: Document, lookup: Lookup, unread: Collection[str]) -> tuple[Document, list[Fault]]:
    """The document with absolute paths, and what is missing or no URL. Under the keys `unread`, such as a finished
    stage's, files may be gone, and paths stay as they are.
    """
    faults = []
    for path, marker in marked(StudyConfig, document.data):
        text = document.get(path)
        # Values of the wrong type, and empty ones, are faults of the field's type.
        if not isinstance(marker, Located) or not isinstance(text, str) or not text or path[0] in unread:
            continue
        try:
            location = marker.locate(text, lookup)
        except StoreError as refusal:
            faults.append(document.refused(path, refusal))
            continue
        if location is None:
            faults.append(document.fault(path, f"'{text}', which does not exist", "a file"))
        else:
            document = document.replaced(path, location)
    return document, faults
