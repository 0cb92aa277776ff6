"""The conformance suite on every strategy that needs the supernet."""

from nas.testing.relaxed import RelaxedSuite


class TestRelaxed(RelaxedSuite):
    pass
