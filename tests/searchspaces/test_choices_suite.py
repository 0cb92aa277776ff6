from nas.testing.choices import ChoiceSuite


class TestChoices(ChoiceSuite):
    pass
