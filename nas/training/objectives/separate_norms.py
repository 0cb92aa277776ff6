"""A supernet whose sub-networks have norm parameters of their own, as in the code of adjoined networks' CNNs (arXiv
2006.05624): two widths of one layer have different statistics, which shared norms must fit at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from torch import Tensor, nn

if TYPE_CHECKING:
    from nas.searchspaces import Architecture
    from nas.supernets import Supernet


@final
class SeparateNorms(nn.Module):
    """Runs the largest architecture as the supernet does, and every other one with norms of its own, which start as
    copies of the supernet's.

    They are whole, and cut like the supernet's: a small network trains the entries that it keeps. All small ones share
    them, such as those that stand for another while blocks are cut.
    """

    def __init__(self, supernet: Supernet) -> None:
        super().__init__()
        self.supernet = supernet
        self.names = norm_parameters(supernet.model)
        shared = dict(supernet.model.named_parameters())
        self.norms = nn.ParameterList([nn.Parameter(shared[name].detach().clone()) for name in self.names])

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Outputs of one sub-network for images x (batch x channels x height x width)."""
        outputs: Tensor = self.subnet(architecture)(x)
        return outputs

    def subnet(self, architecture: Architecture) -> nn.Module:
        """See `Supernet.subnet`."""
        return self.supernet.subnet(architecture, self._own(architecture))

    def extract(self, architecture: Architecture) -> nn.Module:
        """See `Supernet.extract`."""
        return self.supernet.extract(architecture, self._own(architecture))

    def refresh(self) -> None:
        """See `Supernet.refresh`."""
        self.supernet.refresh()

    def _own(self, architecture: Architecture) -> dict[str, Tensor] | None:
        whole = architecture == self.supernet.space.largest
        return None if whole else dict(zip(self.names, self.norms, strict=True))


def norm_parameters(model: nn.Module) -> tuple[str, ...]:
    """Names of the parameters that belong to norm layers (torch's and timm's: those with a `normalized_shape`)."""
    norms = {name for name, module in model.named_modules() if hasattr(module, "normalized_shape")}
    return tuple(name for name, _ in model.named_parameters() if name.rpartition(".")[0] in norms)
