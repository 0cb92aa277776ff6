"""Ray Tune as a strategy: workers of a cluster measure what another strategy proposes."""

from nas.strategies.with_raytune.strategy import WithRaytune

__all__ = ["WithRaytune"]
