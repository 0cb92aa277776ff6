from nas.testing.quantities import QuantitySuite


class TestQuantities(QuantitySuite):
    pass
