"""One thread: on a shared machine, two torch processes on two cores fight, and runs take ten times as long."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
