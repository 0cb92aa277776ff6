"""The supernet: a timm model whose every sub-network shares its weights."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.axes import Entry
from nas.errors import ModelError, SpaceError
from nas.searchspaces import Architecture, SearchSpace
from nas.searchspaces.axis_names import DEPTH, dimension, is_bits, is_rank
from nas.supernets.carve import Whole, carve, extracted, mix_bits
from nas.supernets.cost import Cost
from nas.supernets.decompositions import Directions, Factoring
from nas.supernets.factoring import CutDirections
from nas.supernets.families import family_of
from nas.supernets.families._base import Piece
from nas.supernets.gates import bits_gates, depth_gates, gated
from nas.supernets.prefixes import Keys
from nas.supernets.saved import Blueprint
from nas.supernets.selection import Selection
from nas.supernets.slicing import Cut, Where, permute, permute_within
from nas.supernets.timm_models import differs, outline_of


@final
class Supernet(nn.Module):
    """A model and a space of its sub-networks, which run on slices of its weights.

    The architecture is an argument of every call, never a state. The state dict is the model's own, so checkpoints pass
    between both. Nested weight sharing as in once-for-all (arXiv 1908.09791) and AutoFormer (arXiv 2107.00651); unlike
    them, the forward is the model's own, on sliced parameters, so that a sub-network is its extracted module by
    construction.
    """

    def __init__(self, model: nn.Module, space: SearchSpace) -> None:
        """Raises ModelError for a model that no family supports, SpaceError for a space made for other axes."""
        super().__init__()
        self.family = family = family_of(model)
        self.model = model
        self.space = space
        self.table = family.table(model, space.axes)
        _check_fits(space, model)
        self.cost = Cost(self.table, space)
        self.selection = Selection(self.table, family, model)
        self._directions = CutDirections(self.table)
        self._whole = Whole(model, family, self.table, self._directions.of)
        self._refreshed = 0
        self._keys = Keys(self.table)
        self.register_state_dict_post_hook(_name_as_model)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_name_as_supernet)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor, architecture: Architecture) -> Tensor:
        """Outputs of one sub-network for images x (batch x channels x height x width)."""
        outputs: Tensor = self.subnet(architecture)(x)
        return outputs

    def subnet(self, architecture: Architecture, replaced: Mapping[str, Tensor] | None = None) -> nn.Module:
        """One sub-network as a module: timm's and torch's classes, whose parameters are slices of the supernet's.

        Make it once to run many batches. It is differentiable towards the supernet's parameters, sees their values at
        this moment, and has the supernet's present mode (train or eval). `replaced` (parameter of the whole model ->
        tensor of its shape) stand in for the supernet's own, such as norms that a sub-network does not share. Raises
        SpaceError for a foreign architecture. Ranks at which nothing is factored may have any value, as they have in
        older runs.
        """
        self.space.check(self.space.spelled(architecture))
        parameters: dict[str, Tensor] = {**dict(self.model.named_parameters()), **(replaced or {})}
        return self._carve(parameters, self.space.sizes(architecture))

    def relaxed(self, x: Tensor, gates: Mapping[str, Tensor], where: Where = "consumed") -> Tensor:
        """Outputs of the whole model with the units of some axes multiplied by gates (axis -> one value per unit).

        `where="consumed"` multiplies what the next layer reads, after the activation (DAN's output mixing: nested
        choices collapse into the sum of the gates that keep a unit). `where="produced"` multiplies what a layer writes,
        before the activation (SiDT). A gate on "depth.3" scales what block 3 adds to the residual stream; where the
        model runs as a graph, the block gives its share of what it computes. On "fc1_bits.3" the last unit's gate is
        the share of what the matrix computes as it is; the rest is computed in int8, whose inputs are rounded with
        those that other gates leave out. Else gates act on the parameters, so a pass costs what a plain pass does.
        Raises ModelError for an axis that has no exact gate.
        """
        outputs: Tensor = self.relaxed_model(gates, where)(x)
        return outputs

    def relaxed_model(self, gates: Mapping[str, Tensor], where: Where = "consumed") -> nn.Module:
        """The whole model with gates folded into its parameters; see `relaxed`."""
        relaxed = self._carve(gated(dict(self.model.named_parameters()), self.table, gates, where), {})
        if self.table.as_graph:
            self.family.mix(relaxed, depth_gates(gates))
        mix_bits(relaxed, self.table, bits_gates(gates))
        return relaxed

    @torch.no_grad()
    def reorder(self, importance: Mapping[str, Tensor]) -> None:
        """Sort units by descending importance (axis -> one score per unit), so that a size keeps the best ones.

        Heads, head dimensions, hidden units and the embedding are permuted in the weights, which leaves the model's
        function as it is. Tokens and the inputs of single layers cannot be permuted; their order is remembered in
        `selection`. Equal scores keep their order. Raises ModelError for an unknown axis or a wrong number of scores.
        """
        orders = {axis: self.order(axis, scores) for axis, scores in importance.items()}
        fixed = {axis: order for axis, order in orders.items() if self.selection.selects(axis)}
        self._refuse_packed(orders)
        moved = {axis: order for axis, order in orders.items() if axis not in fixed}
        for name, parameter in self.model.named_parameters():
            permute(parameter, self.table.entries[name], self.table.frame, moved)
        for name, buffer in self.model.named_buffers():
            if name in self.table.buffers:
                permute(buffer, self.table.buffers[name], self.table.frame, moved)
        self.selection.follow(moved)
        self.selection.update(fixed)
        self._directions.follow(moved)
        self.refresh()

    @torch.no_grad()
    def sort_within(self, importance: Mapping[str, Tensor]) -> None:
        """Sort the units of the second of two packed axes by descending importance, in each unit of the first by
        itself: "heads.3 head_dim.3" -> a score for each dimension of each head, head by head. The function stays as it
        is.

        Raises ModelError where another chosen axis counts their positions, or matrices are factored by what they read.
        """
        self._refuse_packed(part for packed in importance for part in packed.split())
        if importance and self.factoring.covariances:
            raise ModelError("sort_within: matrices are factored by what they read, unit by unit: sort first")
        for packed, scores in importance.items():
            first, second = (self.table.frame.full(part) for part in packed.split())
            order = scores.reshape(first, second).argsort(dim=1, descending=True, stable=True)
            for name, parameter in self.model.named_parameters():
                permute_within(parameter, self.table.entries[name], self.table.frame, packed, order)
        self.refresh()

    def orders(self, axis: str) -> bool:
        """Whether the units of an axis can be put in another order: not blocks, not bits, and not directions of
        matrices, which have the order in which they were found.
        """
        name = dimension(axis)
        known = axis in self.table.frame.axes and name in self.family.elastic(self.model)
        return known and name != DEPTH and not is_rank(name) and not is_bits(name)

    @torch.no_grad()
    def fold(self, gates: Mapping[str, Tensor], where: Where = "consumed") -> None:
        """Multiply gates into the weights for good, signs included: afterwards the plain model is `relaxed_model`.

        Raises ModelError for bits, and for blocks of a model that runs as a graph: no weights write all that they add.
        """
        if bits := bits_gates(gates):
            raise ModelError(f"the gate of {next(iter(bits))} cannot be folded: a layer rounds, or it does not")
        if self.table.as_graph and (blocks := depth_gates(gates)):
            raise ModelError(f"the gate of block {next(iter(blocks))} cannot be folded: no weight writes all it adds")
        own = dict(self.model.named_parameters())
        for name, value in gated(own, self.table, gates, where).items():
            own[name].copy_(value)
        self.refresh()

    def extract(self, architecture: Architecture, replaced: Mapping[str, Tensor] | None = None) -> nn.Module:
        """One sub-network as a module of its own: timm's and torch's classes, parameters copied and trainable.

        `replaced` as in `subnet`.
        """
        with torch.no_grad():
            return extracted(self.subnet(architecture, replaced), self.family)

    def blueprint(self, architecture: Architecture, about: Mapping[str, Any] | None = None) -> Blueprint:
        """How to rebuild `extract(architecture)` from the JSON beside its weights; `about` is for the reader.

        Raises ModelError when the model is not what timm builds from the space's `model_args`, so that loading could
        not rebuild it.
        """
        if difference := differs(self.model, self.space.model, self.space.model_args):
            raise ModelError(
                f"the model is not {self.space.model} with the space's model_args ({difference}): a saved sub-network"
                " could not be rebuilt; give SearchSpace.from_yaml the model_args that built the model"
            )
        sizes = self.space.sizes(architecture)
        shrunk = {axis: size for axis, size in sizes.items() if size < self.table.frame.axes[axis]}
        about = {"architecture": dict(architecture), **(about or {})}
        return Blueprint(self.space.model, self.space.model_args, shrunk, self.selection.state(), about)

    @property
    def factoring(self) -> Factoring:
        """How matrices are factored."""
        return self._directions.factoring

    def factor_by(self, factoring: Factoring) -> None:
        """Factor matrices by another decomposition from now on."""
        self._directions.factoring = factoring
        self.refresh()

    def directions(self, entry: Entry) -> Directions:
        """Directions along which a matrix would be factored if nothing of it were cut."""
        weight = self.model.get_parameter(entry.parameter)
        return self._directions.of(entry, weight, Cut(self.table.frame, {}))

    def refresh(self) -> None:
        """Forget the directions along which matrices are factored: they are computed anew when next needed.

        Directions of older weights still give a valid factoring, only not the best one; training refreshes once per
        epoch and at its end.
        """
        self._refreshed += 1
        self._directions.forget()

    def steps(self, subnet: nn.Module, architecture: Architecture) -> list[tuple[Hashable, Piece]]:
        """The forward of a `subnet` in steps, each with a key. Where the keys of two sub-networks agree up to a step,
        so do their activations after it, to the last bit, as long as `version` stays the same.
        """
        # Keys are made of sizes alone: weights and orders are the same for all sub-networks of one `version`.
        steps = self.family.steps(subnet)
        keep = Cut(self.table.frame, self.space.sizes(architecture))
        return list(zip(self._keys.of(steps, keep.size), steps, strict=True))

    def deciding(self, step: Piece) -> tuple[str, ...]:
        """The axes whose sizes decide what a step computes with."""
        return self._keys.deciding(step.reads)

    @property
    def version(self) -> Hashable:
        """Another value whenever sub-networks may compute something else: after a change of weights (that torch notes),
        of orders, or of the directions along which matrices are factored.
        """
        tensors = (*self.model.parameters(), *self.model.buffers())
        weights = tuple((id(tensor), tensor.data_ptr(), tensor._version) for tensor in tensors)
        return weights, self.selection.changes, self._refreshed

    def _carve(self, parameters: Mapping[str, Tensor], sizes: Mapping[str, int]) -> nn.Module:
        device = next(self.model.parameters()).device
        # Which tokens stay is read off, also where the model has shapes and no values.
        device = torch.device("cpu") if device.type == "meta" else device
        keep = Cut(self.table.frame, sizes, self.selection.kept(sizes, device))
        if torch.is_inference_mode_enabled():
            # Inference tensors take other kernels than the parameters of an extracted model, and round otherwise.
            with torch.inference_mode(False), torch.no_grad():
                return carve(self._whole, parameters, keep)
        return carve(self._whole, parameters, keep)

    def order(self, axis: str, scores: Tensor) -> Tensor:
        """The units of an axis by descending scores, protected ones first. Raises ModelError as `reorder` does."""
        frame = self.table.frame
        if not self.orders(axis):
            raise ModelError(f"reorder: the units of '{axis}' have no order on this model")
        scores = torch.as_tensor(scores, dtype=torch.float32, device=next(self.model.parameters()).device)
        if scores.shape != (frame.axes[axis],) or scores.isnan().any():
            wrong = "a score that is not a number" if scores.isnan().any() else f"{tuple(scores.shape)} scores"
            raise ModelError(f"reorder: '{axis}' needs one score for each of {frame.axes[axis]} units, got {wrong}")
        # Protected units stay in front, whatever their scores.
        first = frame.protected.get(axis, 0)
        rest = torch.argsort(scores[first:], descending=True, stable=True) + first
        return torch.cat([torch.arange(first, device=rest.device), rest])

    def _refuse_packed(self, axes: Iterable[str]) -> None:
        """Units that another chosen axis selects from in packs cannot move: its order counts their positions."""
        # proj_in selects from "heads.3 head_dim.3", two axes packed into one: with 64 dimensions a head, its unit 70
        # is dimension 6 of head 1. Its order is a list of such numbers, which mean other units once heads are permuted.
        within = self.table.frame.within
        packed = {
            part: axis for axis in self.space.axes for part in within.get(axis, "").split() if " " in within[axis]
        }
        if (axis := next((axis for axis in axes if axis in packed), None)) is not None:
            raise ModelError(
                f"reorder: {packed[axis]} selects from the units of '{axis}', which therefore keep their order"
            )


def _check_fits(space: SearchSpace, model: nn.Module) -> None:
    """Raise SpaceError when `space` was resolved against other axes than those of `model`."""
    axes, resolved = outline_of(model, space.model).axes, space.outline.axes
    wrong: Iterable[str] = (axis for axis in {**resolved, **axes} if resolved.get(axis) != axes.get(axis))
    if (axis := next(iter(wrong), None)) is not None:
        raise SpaceError(
            f"the space was made for {space.model} with {axis} = {resolved.get(axis)}, this model has "
            f"{axes.get(axis)}; build the model with the space's model_args"
        )


def _name_as_model(module: nn.Module, state_dict: dict[str, Any], prefix: str, local_metadata: Any) -> None:  # noqa: ARG001
    """Name the entries of a supernet's state dict as the model does."""
    inner = f"{prefix}model."
    for name in [name for name in state_dict if name.startswith(inner)]:
        state_dict[prefix + name.removeprefix(inner)] = state_dict.pop(name)


def _name_as_supernet(module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """The way back, before loading; what followed from the old weights is forgotten."""
    assert isinstance(module, Supernet)
    module.refresh()
    for name in [name for name in state_dict if name.startswith(prefix)]:
        state_dict[f"{prefix}model.{name.removeprefix(prefix)}"] = state_dict.pop(name)
