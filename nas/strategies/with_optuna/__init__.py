"""Optuna's samplers as a strategy, and searches as studies in its storages."""

from nas.strategies.with_optuna.strategy import WithOptuna

__all__ = ["WithOptuna"]
