"""Conformance suites: inherit one in a test file, and it finds and tests every plug-in that is installed.

`nas.testing.choices.ChoiceSuite`, `nas.testing.families.FamilySuite`, `nas.testing.quantities.QuantitySuite`,
`nas.testing.relaxed.RelaxedSuite`, `nas.testing.strategies.StrategySuite`. They need pytest, and are imported one by
one so that a package that brings a strategy need not have what the others need.
"""
