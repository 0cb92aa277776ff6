from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command

from nas import cli
from nas.commands.verbs import EXIT_CODES, GROUPS
from nas.documents.document import read
from nas.errors import ClusterLostError
from nas.supernets import load

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "searchspaces" / "vit_digits.yaml"
SURFACE = """\
nas --version --install-completion --show-completion
axes MODEL --model-args=KEY=VALUE --image-size=N --seconds=N --json=FILE
bench SPACE --to=FILE --batch=N --threads=N --device=DEVICE --energy --check=N --seconds=S
check MODEL --model-args=KEY=VALUE --image-size=N --seconds=N --json=FILE
compare RUN... --csv=FILE --json=FILE --plot=FILE --trust
doctor --json=FILE
evaluate MODEL --data=DATA --split=SPLIT --checkpoint=FILE --pretrained --set=KEY=VALUE --batch=N --device=DEVICE \
--amp=TYPE --workers=N --predictions=FILE --json=FILE --trust
export RUN|MODEL --onnx=FILE --torch-export=FILE --timm=DIR --hf=DIR --openvino=DIR --int8=FILE --script \
--part=PART --data=DATA --overwrite \
--optuna=URL --architecture=FILE --digest=DIGEST --trial=N --trust
extract RUN --to=DIR --digest=DIGEST --trial=N --checkpoint=FILE --pretrained --trust
init MODEL --data=DATA --goal=GOAL --out=DIR --checkpoint=FILE --scratch --within=TIME --model-args=KEY=VALUE \
--device=DEVICE
models PATTERN --json=FILE --csv=FILE
open RUN --browser --trust
pareto RUN --csv=FILE --parquet=FILE --json=FILE --trials --trust
report RUN --json=FILE --trust
retrain RUN --digest=DIGEST --trial=N --study=STUDY --weights=WEIGHTS --set=KEY=VALUE --folder=DIR --trust
run STUDY --set=KEY=VALUE --folder=DIR --quiet --from=STAGE --dry --json=FILE --trust
show PATH --set=KEY=VALUE --json=FILE --trust
tau RUN --architectures=N --seeds=N --epochs=N --loss=LOSS --from-scratch --workers=N --address=ADDRESS --beside=RUN \
--proxies=NAMES --csv=FILE --json=FILE --plot=FILE --trust
watch RUN --seconds=N --once --json=FILE --trust
"""
STUDY = """
space: {space}
strategy: {{use: evolution, trials: 6, population: 3, sample: 2}}
data: {{name: digits, train_images: 100}}
limit: {{macs: 50%}}
base: {{epochs: 1}}
supernet: {{epochs: 1}}
retrain: {{epochs: 1}}
finalists: 2
latency: {{batches: [1], seconds: 0.01}}
threads: 1
name: small
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that the command line made."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "small.yaml").write_text(STUDY.format(space=SPACE))
    assert cli.main(["run", str(folder / "small.yaml"), "--folder", str(folder / "run"), "--quiet"]) == 0
    return folder / "run"


def said(capsys: pytest.CaptureFixture[str], *arguments: str | Path | int, code: int = 0) -> str:
    """What a command prints; on the error stream when it fails."""
    capsys.readouterr()
    assert cli.main([str(argument) for argument in arguments]) == code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.err if code else captured.out


def test_the_surface_is_frozen() -> None:
    lines = []
    top = get_command(cli.app)
    for name, command in [("nas", top), *sorted(top.commands.items())]:  # type: ignore[attr-defined]
        words = [name]
        for parameter in command.params:
            if parameter.param_type_name == "argument":
                words.append(parameter.metavar or "")
            else:
                value = "" if parameter.is_flag else f"={parameter.metavar}"
                words.append(f"{parameter.opts[0]}{value}")
        lines.append(" ".join(words))
    assert "\n".join(lines) + "\n" == SURFACE


def test_help_is_quick_and_loads_no_torch() -> None:
    script = (
        "import sys, time; start = time.process_time(); from nas import cli; code = cli.main(['--help']); "
        "assert code == 0; print(time.process_time() - start, sorted({'torch', 'pandas', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    seconds, loaded = done.stdout.splitlines()[-1].split(" ", 1)
    assert float(seconds) < 0.5
    assert loaded == "[]"


def test_help_lists_every_command_in_its_group_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    help_text = " ".join(said(capsys, "--help").split())
    listed = [help_text.index(f"{group}:") for group in GROUPS]
    assert listed == sorted(listed)
    for name, command in get_command(cli.app).commands.items():  # type: ignore[attr-defined]
        assert command.rich_help_panel in GROUPS
        assert f" {name} {command.help.split()[0]}" in help_text
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in help_text


def test_completion_knows_the_commands() -> None:
    asked = {**os.environ, "_NAS_COMPLETE": "complete_bash", "COMP_WORDS": "nas re", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from nas import cli; sys.argv = ['nas']; sys.exit(cli.main())"],
        env=asked, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.split()) == ["report", "retrain"]


def test_doctor_says_what_is_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import tomllib

    from nas.system import installed

    assert {extra for extra in installed.EXTRAS if extra} == set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    wanted = ["torch>=2.6", "nosuch>=1; extra == 'onnx'", "rich>=99; extra == 'ray'"]
    monkeypatch.setattr(installed, "requires", lambda _: wanted)
    shown = said(capsys, "doctor", "--json", tmp_path / "doctor.json")
    assert "pip install 'nas[onnx]'" in shown
    assert "cores" in shown or "core," in shown
    about = json.loads((tmp_path / "doctor.json").read_text())
    assert {one["name"]: one["good"] for one in about["packages"]} == {"torch": True, "nosuch": False, "rich": False}
    assert about["machine"]["cores"] >= 1
    monkeypatch.setattr(installed, "requires", lambda _: ["torch>=99"])
    assert "torch: missing, or of a version" in said(capsys, "doctor", code=2)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version").startswith("nas 0.")


def test_show_tells_of_a_space_before_anything_trains(capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "show", SPACE)
    for words in (
        "heads.0 … heads.3 (4)",
        "size",
        "1, 2, 3, 4",
        "architectures",
        "least",
        "greatest",
        "3.28 M MACs (6.56 M FLOPs)",
    ):
        assert words in shown


def test_show_says_once_what_many_choices_have_in_common(capsys: pytest.CaptureFixture[str]) -> None:
    title, *_, last = said(capsys, "show", "swin_tiny_alpha").splitlines()
    assert title.endswith("swin_tiny_alpha.yaml: swin_tiny_patch4_window7_224")
    assert last.split(maxsplit=1) == [
        "note", "alpha.2.0 … alpha.2.5 (6): dropped 8, which does not divide heads = 12, mlp = 1536"
    ]  # fmt: skip


def test_show_tells_of_a_study_how_much_fits_its_limit(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    assert "of all architectures" in said(capsys, "show", run.parent / "small.yaml")
    assert "macs <= 1" in said(capsys, "show", run)
    assert "limit" not in said(capsys, "show", run.parent / "small.yaml", "--set", "limit={}", "--set", "finalists=1")


def test_show_refuses_other_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "preset.yaml").write_text("use: uniform\n")
    assert "found the keys use; allowed: a search space" in said(capsys, "show", tmp_path / "preset.yaml", code=2)


def test_a_lost_cluster_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> None:
        raise ClusterLostError("ray: gone")

    monkeypatch.setattr("nas.studies.run.record.Record.open", lost)
    assert cli.main(["report", "run"]) == 75
    assert capsys.readouterr().err == "error: ray: gone\n"


def test_pareto_prints_and_writes_the_front(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    import pandas as pd

    shown = said(capsys, "pareto", run, "--csv", tmp_path / "f.csv", "--parquet", tmp_path / "f.parquet")
    assert "knee" in shown
    assert "hypervolume 0." in shown
    front = pd.read_parquet(tmp_path / "f.parquet")
    assert "heads.0" in front.columns
    assert all(digest in shown for digest in front["digest"])
    assert len(pd.read_csv(tmp_path / "f.csv")) == len(front)
    assert said(capsys, "pareto", run, "--trials").count("evolution") == 6
    for option in ("--csv", "--parquet"):
        error = said(capsys, "pareto", run, option, tmp_path / "nope" / "x", code=2)
        assert error.startswith(f"error: {tmp_path}/nope/x: No such file or directory; ")


def test_what_is_read_can_be_json(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    trials = json.loads(said(capsys, "pareto", run, "--trials", "--json", "-"))
    assert {trial["strategy"] for trial in trials} == {"evolution", "uniform"}
    space = json.loads(said(capsys, "show", run, "--json", "-"))
    assert space["finished"][-1] == "report"
    assert space["space"]["choices"]["heads.0"] == [1, 2, 3, 4]
    rows = json.loads(said(capsys, "compare", run, run, "--json", "-"))
    assert len(rows) == 2 * len(json.loads(said(capsys, "report", run, "--json", "-")))
    said(capsys, "show", SPACE, "--json", tmp_path / "space.json")
    assert json.loads((tmp_path / "space.json").read_text())["limit"] is None
    assert "--json, which goes with --dry" in said(capsys, "run", run, "--json", "-", code=2)
    assert "--from, which goes with" in said(capsys, "run", run, "--dry", "--from", "base", code=2)


def test_watch_says_how_far_a_run_is(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    stages = json.loads(said(capsys, "watch", run, "--json", "-"))
    assert [stage["state"] for stage in stages] == ["done"] * 8
    assert stages[1]["seconds"] > 0
    shown = said(capsys, "watch", run)
    assert "explore" in shown
    assert "nobody runs it" not in shown


def test_report_writes_the_page_anew(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    (run / "report" / "report.html").unlink()
    assert "winner, retrained" in said(capsys, "report", run)
    assert (run / "report" / "report.html").is_file()


def test_extract_writes_a_model_that_loads(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(capsys, "extract", run, "--trial", "2", "--to", tmp_path / "model")
    assert sum(p.numel() for p in load(tmp_path / "model").parameters()) > 0
    assert "not an empty folder" in said(capsys, "extract", run, "--to", tmp_path / "model", code=2)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    said(capsys, "extract", run, "--to", ".")
    assert (Path.cwd() / "model.json").is_file()
    assert "the digest is empty" in said(capsys, "extract", run, "--digest", "", "--to", tmp_path / "other", code=2)
    assert "no finished trial with digest zzz" in said(
        capsys, "extract", run, "--digest", "zzz", "--to", tmp_path / "other", code=2
    )


def test_retrain_takes_any_architecture_of_the_run(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    from nas.studies.run.record import Record

    record = Record.open(run)
    chosen = {model.digest for model in record.folder.roles().values()}
    digest = next(t.architecture.digest for t in record.stored() if t.architecture.digest not in chosen)
    assert f"{digest}, retrained" in said(capsys, "retrain", run, "--digest", digest[:6])
    assert (run / "retrain" / digest / "model.json").is_file()


def test_compare_puts_runs_side_by_side(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    import pandas as pd

    shown = said(capsys, "compare", run, run, "--csv", tmp_path / "both.csv", "--plot", tmp_path / "both.svg")
    assert (tmp_path / "both.svg").read_text().startswith("<svg")
    assert shown.count("winner, retrained") == 2
    frame = pd.read_csv(tmp_path / "both.csv")
    assert frame["hypervolume"].notna().sum() == 2 * (len(frame) // 2 - 1)
    assert {"commit", "seed", "test_accuracy", "latency_ms_batch_1"} <= set(frame.columns)


def test_tau_prints_writes_and_draws_both_rankings(
    capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path
) -> None:
    import pandas as pd

    options = ("--architectures", 3, "--epochs", 1, "--loss", "plain")
    shown = said(capsys, "tau", run, *options, "--csv", tmp_path / "tau.csv", "--plot", tmp_path / "tau.svg")
    frame = pd.read_csv(tmp_path / "tau.csv")
    assert all(digest in shown for digest in frame["digest"])
    for words in ("3 architectures, retrained 1 epoch (plain) from the shared weights", "regret@3", "Of 3 pairs"):
        assert words in shown
    assert (tmp_path / "tau.svg").read_text().startswith("<svg")
    assert "found 2; allowed: 3 or more" in said(capsys, "tau", run, "--architectures", 2, code=2)
    judged = said(capsys, "tau", run, *options, "--proxies", "macs, dss")
    assert "aggregate: accuracy" in judged
    assert "dss" in judged
    assert "did you mean 'synflow'" in said(capsys, "tau", run, "--proxies", "macs,sinflow", code=2)


def test_export_copies_the_trials(capsys: pytest.CaptureFixture[str], run: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'nas[optuna]'")
    shown = said(capsys, "export", run, "--optuna", f"sqlite:///{tmp_path / 'optuna.db'}")
    assert shown.count(": 6 trials") == 2


UNIFORM = ("--set", "strategy=uniform")
"""A strategy that needs no extra."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runn"], "No such command 'runn'"),
        (["run"], "Missing argument 'STUDY'"),
        (["run", "nosuch.yaml"], "nosuch.yaml: found no such file"),
        (["run", "digit"], "digit: found no such file; allowed: a path, or a name of what comes with nas: bccd"),
        (["show", "deit_tini"], "did you mean 'deit_tiny'"),
        (["pareto", "nosuch"], "nosuch: no run here"),
        (["show", str(SPACE), "--set", "choices.heads.size=[9]"], "--set choices.heads.size"),
        (
            ["run", str(ROOT / "studies" / "digits.yaml"), *UNIFORM, "--set", "limit.macs=1%"],
            "no architecture has macs <= ",
        ),
        (["run", str(ROOT / "studies" / "digits.yaml"), *UNIFORM, "--set", "dat.name=x"], "dat: found an unknown key"),
        (
            ["run", str(ROOT / "studies" / "fashion_mnist.yaml"), *UNIFORM, "--set", "data.path=no.npz"],
            "no.npz does not exist",
        ),
    ],
)
def test_a_users_fault_is_a_line_and_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    error = said(capsys, *arguments, code=2)
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


def test_a_run_continues_with_its_own_settings(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    assert "winner, retrained" in said(capsys, "run", run)
    assert "a run continues with its own settings" in said(capsys, "run", run, "--set", "seed=1", code=2)


def test_damaged_files_of_a_run_are_named_with_the_remedy(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    store = run / "trials.sqlite"
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2])
    try:
        assert "trials.sqlite" in said(capsys, "pareto", run, code=2)
    finally:
        store.write_bytes(whole)


SWALLOWED = """
import signal, sys, time, types
from nas import cli

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in whatever a shell starts in the background

class Thing:
    def __del__(self):
        print("here", flush=True)
        for _ in range(1000):
            time.sleep(0.01)

class Study:
    def from_yaml(*_, **__):
        return Study()

    def run(self, quiet, start):
        Thing()
        print("went on", flush=True)

sys.modules["nas.studies.study"] = types.SimpleNamespace(Study=Study)
sys.argv[1:] = ["run", "study.yaml", "--quiet"]
sys.exit(cli.main())
"""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
    ],
)
def test_a_signal_in_a_destructor_is_not_lost(sent: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SWALLOWED], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(sent)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert "continue with: nas run" in error


def test_a_command_leaves_the_signals_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    said(capsys, "--version")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_stopped_run_says_how_to_continue(tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(STUDY.format(space=SPACE).replace("base: {epochs: 1}", "base: {epochs: 9999}"))
    command = [sys.executable, "-m", "nas.cli", "run", str(tmp_path / "long.yaml"), "--folder", str(tmp_path / "run")]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 100
    while not (tmp_path / "run" / "base" / "training.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    _, error = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 143
    assert f"terminated; everything finished is kept, continue with: nas run {tmp_path / 'long.yaml'} --folder" in error
    assert "Traceback" not in error
    assert isinstance(read(tmp_path / "run" / "study.yaml").data, dict)


def test_show_says_what_a_rate_is_scaled_to(capsys: pytest.CaptureFixture[str], run: Path) -> None:
    shown = said(capsys, "show", run.parent / "small.yaml", "--set", "base={lr: 5e-4, lr_base_size: 512, batch: 1024}")
    assert "base: 0.001 for 1024 images a step (lr 0.0005 per 512 images)" in shown
