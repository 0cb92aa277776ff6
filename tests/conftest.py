"""One thread: on a shared machine, two torch processes on two cores fight, and runs take ten times as long. Ray's
workers are as important as the tests that wait for them, and no test fails for its time.
"""

from __future__ import annotations

import os

import torch
from hypothesis import settings

torch.set_num_threads(1)
os.environ.setdefault("RAY_worker_niceness", "0")
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
