"""AN: one factor for the whole network."""

from fractions import Fraction

import pytest

from nas.errors import StrategyError
from nas.searchspaces import Limit
from nas.strategies.an import An
from nas.testing.toy import Toy

HALVES = "model: toy\nchoices:\n  heads: {size: [1, 2, 3]}\n  mlp: {size: [48, 96, 144, 192]}\n"


def test_alpha_divides_every_choice_alike() -> None:
    search = Toy(HALVES).search(trials=1)
    found = An(alpha=2).ask(search, 0)
    assert {name: found[name] for name in ("heads.0", "mlp.5")} == {"heads.0": 1, "mlp.5": 96}
    assert An(alpha=1).ask(search, 0) == search.problem.space.largest


def test_without_an_alpha_it_is_the_least_within_the_limit() -> None:
    toy = Toy(HALVES)
    limit = Limit(toy, macs="60%")
    found = An().ask(toy.search(trials=1, limit=limit), 0)
    assert limit.allows(found)
    larger = [An(alpha=a).ask(toy.search(trials=1), 0) for a in (1.0, 1.2, 1.33, 1.5)]
    costs = {int(toy.additive("macs")(toy.space.as_table([a]))[0]) for a in larger if limit.allows(a)}
    assert int(toy.additive("macs")(toy.space.as_table([found]))[0]) >= max(costs, default=0)


@pytest.mark.parametrize("share", ["90%", "75%", "60%", "45%", "40%"])
def test_the_least_alpha_is_exact(share: str) -> None:
    """Against every alpha in steps of 1/100, and those at which a size changes: sizes by hand, in integers."""
    toy = Toy(HALVES)
    limit = Limit(toy, macs=share)
    alphas = sorted({Fraction(n, 100) for n in range(100, 401)} | {Fraction(4, 3)})
    for alpha in alphas:
        heads = max((n for n in (1, 2, 3) if n * alpha <= 3), default=1)
        hidden = max((n for n in (48, 96, 144, 192) if n * alpha <= 192), default=48)
        expected = {name: heads if name.startswith("heads") else hidden for name in toy.space}
        if limit.allows(expected):
            assert dict(An().ask(toy.search(trials=1, limit=limit), 0)) == expected
            assert alpha > 1
            return
    raise AssertionError("no alpha was feasible")


def test_what_divides_nothing_is_refused() -> None:
    toy = Toy(HALVES)
    with pytest.raises(StrategyError, match=r"alpha 8 divides nothing .* alpha up to 4"):
        An(alpha=8).check(toy.problem(trials=1))
    with pytest.raises(StrategyError, match="give an alpha"):
        An().check(toy.problem(trials=1))
    with pytest.raises(StrategyError, match="leaves more than the limit"):
        An(alpha=1).check(toy.problem(trials=1, limit=Limit(toy, macs="50%")))


def test_depth_stays_whole() -> None:
    toy = Toy("model: toy\nchoices:\n  depth: {depth: [3, 6]}\n  mlp: {size: [64, 192]}\n")
    assert An(alpha=3).ask(toy.search(trials=1), 0)["depth"] == 6
