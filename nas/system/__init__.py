"""The machine and what surrounds it: clusters, databases, processes, files, the environment of a result."""
