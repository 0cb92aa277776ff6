"""What tests need of the machine, beside Python's packages."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome")


def missing(reason: str) -> NoReturn:
    """On a developer's machine a test is skipped, in CI it is not."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def browser() -> str:
    """The path of a Chromium. Where CI could install none, it has said so (see .ci/run)."""
    if os.environ.get("NAS_WITHOUT_BROWSER"):
        pytest.skip("no browser can be installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    return found or missing(f"no browser: none of {', '.join(BROWSERS)} is installed")
