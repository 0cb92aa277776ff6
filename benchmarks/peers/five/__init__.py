"""Ours beside Torch-Pruning (arXiv 2301.12900) on five small models: which axes each finds, and what they are worth."""
