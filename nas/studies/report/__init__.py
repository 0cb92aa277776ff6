"""The report of a run: numbers in words, plots, terminal summary, page, files."""
