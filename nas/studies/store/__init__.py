"""The store: the table of trials, and who drives a run."""
