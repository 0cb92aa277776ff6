"""Strategies: a file or a package each, and what a study names in `use:` is its name. None imports another one."""
