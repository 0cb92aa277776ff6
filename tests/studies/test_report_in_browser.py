"""The report in a real Chromium, served by `nas open`'s server, narrow and wide, light and dark: what is clicked does
what it says, and axe-core finds no fault.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
from machine import browser

from benchmarks.explorer import page_of_many
from nas.studies.report.serving import ReportServer
from nas.studies.run.found import FoundArchitecture
from nas.studies.study import Study

api = pytest.importorskip("playwright.sync_api", reason="a development dependency")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
WIDTHS = [400, 1600]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    program = browser()
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def served(finished: Study) -> Iterator[str]:
    """The address of the report."""
    server = ReportServer(finished.folder.path / "report")
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server.url
    server.close()
    thread.join()


def front_over(study: Study, metric: str) -> list[str]:
    """Digests of the front over MACs and a metric of which less is better, cheapest first."""
    done = study.trials().drop_duplicates(["strategy", "digest"]).sort_values(["macs", metric])
    return list(done[done[metric] < done[metric].cummin().shift(fill_value=np.inf)]["digest"])


@final
@dataclass(frozen=True)
class Explorer:
    """A page, its faults so far, and the explorer in it by what a user sees."""

    page: Any
    faults: list[str]

    def part(self, name: str) -> Any:
        return self.page.locator(f"#explorer-{name}")

    @property
    def within(self) -> int:
        """How many architectures are within the limits, as the page says."""
        return int(self.part("count").text_content().split(" of ")[0].replace(",", ""))

    @property
    def selected(self) -> str:
        """The digest of the selected architecture."""
        return str(self.part("selected").locator(".mono").text_content())

    def slider(self, title: str) -> Any:
        return self.part("limits").locator("label", has_text=title).locator("input")

    def saved(self, button: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.part(button).click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def show(chromium: Any) -> Iterator[Callable[..., Explorer]]:
    """Opens a page; at the end, nothing in it may have failed."""
    contexts, faults = [], []

    def opened(url: str, width: int = 1600, scheme: str = "light") -> Explorer:
        context = chromium.new_context(
            viewport={"width": width, "height": 1000}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type in {"error", "warning"} else None)
        page.goto(url)
        page.wait_for_selector("#explorer-section:not([hidden])")
        return Explorer(page, faults)

    yield opened
    for context in contexts:
        context.close()
    assert not faults


@pytest.mark.parametrize(("width", "scheme"), [(400, "light"), (1600, "dark")])
def test_the_page_fits_and_is_accessible(served: str, show: Callable[..., Explorer], width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="a development dependency")
    explorer = show(served, width, scheme)
    assert explorer.page.evaluate("document.documentElement.scrollWidth") <= width
    explorer.page.locator("details").last.evaluate("one => { one.open = true; }")
    found = axe.Axe().run(explorer.page, options={"resultTypes": ["violations"]}).response
    assert len(found["passes"]) > 20
    assert [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in found["violations"]] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_an_architecture_is_chosen_by_pointer_key_or_table(
    served: str, finished: Study, show: Callable[..., Explorer], width: int
) -> None:
    explorer = show(served, width)
    winner = finished.record.folder.roles()["winner"].digest
    assert explorer.selected == winner
    assert explorer.part("selected").locator(".bar").count() == len(finished.record.choices)

    explorer.part("y").select_option("loss")
    explorer.part("plane").focus()
    walked = []
    for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
        explorer.page.keyboard.press(key)
        walked.append(explorer.selected)
    front = front_over(finished, "loss")
    assert len(front) > 3
    assert walked == [front[0], front[1], front[-1], front[-2]]

    explorer.page.locator("details", has=explorer.part("front")).locator("summary").click()
    explorer.part("front").locator("tbody button").first.click()
    assert explorer.selected == front[0]
    # A pointer that wanders over the plane meets one of them, and a click takes it.
    explorer.part("plane").scroll_into_view_if_needed()
    box, tip = explorer.part("plane").bounding_box(), explorer.part("tip")
    places = [(x, y) for x in range(70, int(box["width"]) - 20, 16) for y in range(20, int(box["height"]) - 50, 16)]
    for x, y in places:
        explorer.page.mouse.move(box["x"] + x, box["y"] + y)
        if tip.is_visible():
            break
    name = tip.text_content().partition(":")[0]
    explorer.page.mouse.click(box["x"] + x, box["y"] + y)
    assert name == explorer.part("selected").locator("h3").text_content()
    assert "MACs" in tip.text_content()


@pytest.mark.parametrize("width", WIDTHS)
def test_limits_and_strategies_filter(
    served: str, finished: Study, show: Callable[..., Explorer], width: int, tmp_path: Path
) -> None:
    explorer, frame = show(served, width), finished.trials()
    done = frame[frame["state"] == "done"].drop_duplicates(["strategy", "digest"])
    explorer.slider("MACs").fill("200")
    assert explorer.within == len(done)
    explorer.slider("MACs").fill("60")
    low, high = done["macs"].min(), done["macs"].max()
    cheap = done[done["macs"] <= low + (high - low) * 60 / 200]
    assert 0 < explorer.within == len(cheap) < len(done)
    explorer.part("strategies").get_by_label("uniform").uncheck()
    left = cheap[cheap["strategy"] != "uniform"]
    assert explorer.within == len(left)
    rows = list(csv.DictReader(explorer.saved("csv", tmp_path).read_text().splitlines()))
    assert [row["digest"] for row in rows] == list(left["digest"])
    assert [float(row["accuracy"]) for row in rows] == list(left["accuracy"])


def test_a_chosen_architecture_is_saved_as_a_file_that_nas_reads(
    served: str, finished: Study, show: Callable[..., Explorer], tmp_path: Path
) -> None:
    explorer = show(served)
    explorer.part("plane").focus()
    explorer.page.keyboard.press("Home")
    found = FoundArchitecture.read(explorer.saved("architecture", tmp_path))
    assert found.digest == explorer.selected in set(finished.trials()["digest"])


def test_of_a_hundred_thousand_the_front_and_a_sample_are_drawn(
    served: str, finished: Study, show: Callable[..., Explorer], tmp_path: Path
) -> None:
    """Limits filter all of them, and the front is that of all."""
    path = tmp_path / "report.html"
    text, data = page_of_many((finished.folder.path / "report" / "report.html").read_text(), 100_000)
    path.write_text(text)
    explorer = show(path.as_uri())
    explorer.slider("MACs").fill("100")
    macs, accuracy = (np.array(data["trials"]["values"][name]) for name in ("macs", "accuracy"))
    inside = np.flatnonzero(macs <= macs.min() + (macs.max() - macs.min()) / 2)
    assert explorer.within == len(inside) > 5000
    assert "Drawn are the front and an even sample of 5,000" in explorer.part("count").text_content()
    inside = inside[np.lexsort((-accuracy[inside], macs[inside]))]
    front = inside[np.r_[True, accuracy[inside][1:] > np.maximum.accumulate(accuracy[inside])[:-1]]]
    assert f"{len(front)} of them on the front" in explorer.part("count").text_content()
    explorer.part("plane").focus()
    explorer.page.keyboard.press("End")
    assert explorer.selected == data["trials"]["digest"][front[-1]]
