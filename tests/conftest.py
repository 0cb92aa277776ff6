"""One thread: on a shared machine, two torch processes on two cores fight, and runs take ten times as long. And no test
fails for its time.
"""

from __future__ import annotations

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
