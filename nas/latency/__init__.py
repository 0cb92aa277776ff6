"""Latency of sub-networks before any of them is run: the sum of what the steps of a forward take on a device, each
measured at some sizes of the choices that decide it.
"""

from nas.latency.building import measured_table
from nas.latency.checking import Prediction, predicted_and_timed
from nas.latency.table import LatencyTable

__all__ = ["LatencyTable", "Prediction", "measured_table", "predicted_and_timed"]
