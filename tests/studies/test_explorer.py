"""The page's explorer: what it is given, and what it writes; `test_report_in_browser.py` clicks."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd

from nas.searchspaces import Architecture
from nas.studies.report import explorer as explorers
from nas.studies.report.explorer import chosen, explorer, in_page
from nas.studies.report.findings import Findings
from nas.studies.run.found import FoundArchitecture
from nas.studies.study import Study

SCRIPT = Path(explorers.__file__).parent / "explorer.js"


def test_the_page_holds_every_trial(finished: Study) -> None:
    page = (finished.folder.path / "report" / "report.html").read_text()
    (text,) = re.findall(r'<script type="application/json" id="explorer-data">(.*?)</script>', page)
    data, frame = json.loads(text), finished.trials()
    done = frame[frame["state"] == "done"].drop_duplicates(["strategy", "digest"])
    assert data["trials"]["digest"] == list(done["digest"])
    assert data["trials"]["values"]["macs"] == list(done["macs"])
    assert data["trials"]["values"]["accuracy"] == list(done["accuracy"])
    assert {"winner", "uniform"} <= set(data["trials"]["role"])
    for number, digest in enumerate(data["trials"]["digest"]):
        values = {one["name"]: json.loads(one["values"][data["trials"]["chosen"][one["name"]][number]])
                  for one in data["choices"]}  # fmt: skip
        assert Architecture(values).digest == digest
    assert SCRIPT.read_text() in page
    assert max(share for one in data["choices"] for share in one["shares"]) == 1


def test_one_script_runs_in_the_page(finished: Study) -> None:
    page = (finished.folder.path / "report" / "report.html").read_text()
    assert re.findall(r"script-src '(sha256-[\w+/=]{44})'", page)
    assert page.count("<script") == 2
    assert not re.search(r"\son\w+=", page[: page.index("<script")]), "no handlers in attributes"
    assert "innerHTML" not in SCRIPT.read_text()
    assert "insertAdjacentHTML" not in SCRIPT.read_text()


def test_texts_of_others_stay_texts() -> None:
    text = in_page({"</script><script>alert(1)</script>": ["<!-- & a\u202eb", 1, None]})
    assert not set("<>&\u202e") & set(text)
    assert json.loads(text) == {"</script><script>alert(1)</script>": ["<!-- & a\\u202eb", 1, None]}


def test_of_many_trials_the_front_and_a_sample_are_there() -> None:
    numbers = np.arange(250_000)
    done = pd.DataFrame({"strategy": "a", "digest": [f"{number:012x}" for number in numbers]})
    front = done.iloc[[3, 70_000, 249_998]]
    mask = chosen(done, front, [("a", f"{41:012x}")])
    assert mask.sum() == explorers.MOST
    assert mask[[3, 41, 70_000, 249_998]].all()
    gaps = np.diff(np.flatnonzero(mask))
    assert gaps.max() <= 2 * 250_000 / explorers.MOST


def test_an_architecture_of_the_page_is_read_as_a_file(finished: Study, tmp_path: Path) -> None:
    """What `architecture` of the script puts together."""
    data = explorer(Findings(finished.record))
    trials, at = data["trials"], data["trials"]["role"].index("winner")
    places = {one["name"]: trials["chosen"][one["name"]][at] for one in data["choices"]}
    values = ", ".join(f'"{one["name"]}": {one["values"][places[one["name"]]]}' for one in data["choices"])
    costs = {one["name"]: trials["values"][one["name"]][at] for one in data["axes"] if one["cost"]}
    rest = {**data["file"], "strategy": data["strategies"][trials["strategy"][at]], "digest": trials["digest"][at]}
    path = tmp_path / "architecture.json"
    path.write_text(json.dumps({**rest, "costs": costs})[:-1] + f', "architecture": {{{values}}}}}')
    found = FoundArchitecture.read(path)
    assert found.digest == finished.record.folder.roles()["winner"].digest
    assert found.search_space("it").size > 1
