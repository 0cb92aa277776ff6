"""The public names and their signatures, frozen: a change here is a change for users, and belongs in the README too."""

from __future__ import annotations

import inspect
import subprocess
import sys

import nas

SIGNATURES = {
    "Architecture": "(values: Mapping[str, Value]) -> None",
    "Limit": "(cost: CostModel, **bounds: Bound) -> None",
    "SearchSpace.from_yaml": (
        "(path_or_text: str | Path, *, model_args: Mapping[str, Any] | None = None, outline: Outline | None = None)"
        " -> SearchSpace"
    ),
    "SearchSpace.sample": "(self, rng: np.random.Generator, limit: Limit | None = None) -> Architecture",
    "SearchSpace.check": "(self, architecture: Mapping[str, Any]) -> None",
    "SearchSpace.to_table": "(self, architectures: Sequence[Mapping[str, Any]]) -> Table",
    "SearchSpace.from_table": "(self, table: Indices | Sequence[Sequence[int]]) -> list[Architecture]",
    "Supernet": "(model: nn.Module, space: SearchSpace) -> None",
    "Supernet.forward": "(self, x: Tensor, architecture: Architecture) -> Tensor",
    "Supernet.relaxed": "(self, x: Tensor, gates: Mapping[str, Tensor], where: Where = consumed) -> Tensor",
    "Supernet.reorder": "(self, importance: Mapping[str, Tensor]) -> None",
    "Supernet.extract": (
        "(self, architecture: Architecture, replaced: Mapping[str, Tensor] | None = None) -> nn.Module"
    ),
    "Study": (
        "(*, space: SpaceLike, data: PicturesLike, strategy: Strategy | str | Path | Mapping[str, Any],"
        " model: nn.Module | str | None = None, limit: str | Mapping[str, Any] | None = None,"
        " folder: str | Path | None = None, callbacks: Sequence[Callback] = (), **settings: Any) -> None"
    ),
    "Callback.on_epoch": "(self, training: str, epoch: Epoch) -> None",
    "Callback.on_stage": "(self, stage: str, result: StageResult) -> None",
    "Callback.on_trial": "(self, trial: Trial) -> None",
    "Study.forecast": "(self) -> Forecast",
    "Study.from_yaml": (
        "(path_or_text: str | Path, *, overrides: Sequence[str] | Mapping[str, str] = (),"
        " folder: str | Path | None = None, trust: bool = False) -> Study"
    ),
    "Study.run": "(self, *, quiet: bool = False, start: str | None = None) -> Record",
    "Study.trials": "(self) -> pd.DataFrame",
    "Study.pareto": "(self) -> pd.DataFrame",
    "Study.tau": (
        "(self, *, architectures: int = 12, seeds: int = 3, epochs: int | None = None, loss: str | None = None,"
        " from_scratch: bool = False, workers: int = 1, address: str = local, beside: Sequence[Path] = (),"
        " proxies: Sequence[str] = ()) -> RankTruth"
    ),
    "Study.running": "(self) -> pd.DataFrame",
    "evaluate": (
        "(model: str | Path | nn.Module, data: DataLike | None = None, *, split: str = test,"
        " checkpoint: str | Path | None = None, pretrained: bool = False,"
        " overrides: Sequence[str] | Mapping[str, str] = (), batch: int = 256, device: str = auto,"
        " amp: str | None = None, predictions: bool = False, progress: bool = False, trust: bool = False)"
        " -> Measurement"
    ),
    "load": "(folder: str | Path) -> nn.Module",
}


def test_names() -> None:
    public = ["Architecture", "Callback", "Limit", "NasError", "SearchSpace", "Study", "Supernet", "evaluate", "load"]
    assert nas.__all__ == public
    assert dir(nas) == sorted([*nas.__all__, "__version__"])


def test_signatures() -> None:
    found = {}
    for name in SIGNATURES:
        holder, _, method = name.partition(".")
        target = getattr(nas, holder)
        found[name] = str(inspect.signature(getattr(target, method) if method else target)).replace("'", "")
    assert found == SIGNATURES


def test_importing_nas_loads_no_torch() -> None:
    code = "import nas, sys; assert 'torch' not in sys.modules; assert 'pandas' not in sys.modules; nas.SearchSpace"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_check_above_can_fail() -> None:
    code = "import nas, sys; nas.Supernet; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 1
