"""An NNI experiment: NNI's manager, with its web page, runs one process per candidate, which extracts and retrains it.

`trials_of` is what a strategy calls, in the process of `nas`. It starts `host`, a process that keeps NNI's manager (a
server on node.js) and ends with it when `nas` ends, however it ends. The manager starts a `trial` for each candidate.
"""

from nas.strategies._nni_experiment.search import Experiment, trials_of

__all__ = ["Experiment", "trials_of"]
