"""The report of 100,000 trials, which are made up: how large its page is, and how long its explorer takes in a
Chromium for what a user does, from the event until the second frame after it.

    python -m benchmarks explorer
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nas.studies.report.explorer import in_page
from nas.studies.study import Study

COUNTS = (5_000, 100_000)
ROUNDS = 15
STUDY = """
space:
  model: vit_tiny_patch16_224
  model_args: {img_size: 8, patch_size: 4, embed_dim: 48, depth: 12, num_heads: 3, class_token: false, global_pool: avg}
  choices:
    heads: {size: [1, 2, 3], per: block}
    mlp: {size: {from: 8, to: 192, step: 8}, per: block}
strategy: {use: evolution, trials: 12, population: 2, sample: 1}
data: {name: digits, train_images: 300}
limit: {macs: 70%}
base: {epochs: 1}
supernet: {epochs: 1}
retrain: {epochs: 1}
finalists: 1
latency: {batches: [1], seconds: 0.01}
threads: 1
name: many
"""
FRAME = """async (act) => {
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const begun = performance.now();
  eval(act);
  await frame();
  await frame();
  return performance.now() - begun;
}"""
SLIDER = "document.querySelector('#explorer-limits input')"
PLANE = "document.getElementById('explorer-plane')"
DEEDS = {
    "a limit moved": "{0}.value = 60 + 8 * {2}; {0}.dispatchEvent(new Event('input'))",
    "another plane": "const x = document.getElementById('explorer-x'); x.selectedIndex = 1 - x.selectedIndex % 2; "
    "x.dispatchEvent(new Event('change'))",
    "the pointer moved": "const box = {1}.getBoundingClientRect(); {1}.dispatchEvent(new MouseEvent('mousemove', "
    "{{clientX: box.left + 100 + 20 * {2}, clientY: box.top + 90 + 5 * {2}}}))",
    "a key along the front": "{1}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'ArrowLeft'}}))",
}


def measure() -> Iterator[dict[str, object]]:
    """Rows of a ViT of 12 blocks: the size of the page, and what a user does in it, as medians over `ROUNDS`."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox", "--disable-gpu"])
        study = Study.from_yaml(STUDY, folder=Path(name) / "run")
        study.run(quiet=True)
        own = (study.folder.path / "report" / "report.html").read_text(encoding="utf-8")
        for count in COUNTS:
            path = Path(name) / f"{count}.html"
            path.write_text(page_of_many(own, count)[0], encoding="utf-8")
            yield {"what": f"page of {count} trials", "unit": "MB", "value": round(path.stat().st_size / 1e6, 2)}
            page = browser.new_page(bypass_csp=True, viewport={"width": 1600, "height": 1000})
            yield from _times(page, path, count)
            page.close()
        browser.close()


def program() -> str:
    """A Chromium of this machine's."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-headless-shell", "google-chrome"))), None)
    assert found is not None, "a Chromium"
    return found


def page_of_many(page: str, count: int, seed: int = 0) -> tuple[str, dict[str, Any]]:
    """A run's page with `count` made-up trials in the place of its own, and these: any architectures of its space, each
    metric and cost drawn by itself.
    """
    found = re.search(r'(?<=<script type="application/json" id="explorer-data">).*?(?=</script>)', page)
    assert found is not None
    data, rng = json.loads(found[0]), np.random.default_rng(seed)
    values = {one["name"]: 1e6 + rng.integers(10**9, size=count) if one["cost"] else rng.beta(8, 2, count)
              for one in data["axes"]}  # fmt: skip
    data["trials"] = {
        "strategy": rng.integers(len(data["strategies"]), size=count).tolist(),
        "number": list(range(count)),
        "digest": [f"{number:012x}" for number in range(count)],
        "role": ["winner"] + [""] * (count - 1),
        "values": {name: some.tolist() for name, some in values.items()},
        "chosen": {one["name"]: rng.integers(len(one["values"]), size=count).tolist() for one in data["choices"]},
    }
    data["all"] = count
    return page[: found.start()] + in_page(data) + page[found.end() :], data


def _times(page: Any, path: Path, count: int) -> Iterator[dict[str, object]]:
    begun = time.perf_counter()
    page.goto(path.as_uri())
    page.wait_for_selector("#explorer-section:not([hidden])")
    yield {"what": f"{count} trials: opened", "unit": "ms", "value": round(1000 * (time.perf_counter() - begun))}
    for deed, act in DEEDS.items():
        took = [page.evaluate(FRAME, act.format(SLIDER, PLANE, turn)) for turn in range(ROUNDS)]
        yield {
            "what": f"{count} trials: {deed}, two frames later",
            "unit": "ms",
            "value": round(statistics.median(took), 1),
            "least": round(min(took), 1),
            "greatest": round(max(took), 1),
        }
