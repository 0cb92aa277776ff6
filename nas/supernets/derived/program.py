"""The forward of a model as a program: a graph of torch's operations, captured without values.

It is captured by `torch.export`, for a batch of so many images that their number stands for nothing else.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind

from nas.errors import ModelError
from nas.supernets.derived.inlining import inlined
from nas.system.quiet import quiet

BATCH = 1009
"""Images of the captured batch: a prime that is no width, so that dimensions which hold it are told by it."""

RANDOM = frozenset({
    "rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "bernoulli", "multinomial",
    "normal", "uniform",
})  # fmt: skip
"""Operations that draw numbers. Dropout is none of them: where a model is evaluated, it does nothing."""

TensorKind = Literal["parameter", "buffer", "constant", "image"]
_KINDS: Mapping[InputKind, TensorKind] = {
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
    InputKind.USER_INPUT: "image",
}


@final
@dataclass(frozen=True)
class Program:
    """What a forward computes: `inputs` says for each placeholder of the graph what it stands for (a kind, and the name
    in the state dict), `tensors` holds these, and `output` is the node that gives the logits.
    """

    code: fx.GraphModule
    inputs: Mapping[str, tuple[TensorKind, str]]
    tensors: Mapping[str, Tensor]
    output: str

    def nodes(self) -> Iterator[fx.Node]:
        """Operations, in order."""
        return (node for node in self.code.graph.nodes if node.op not in ("placeholder", "output"))


def sharing(model: nn.Module) -> nn.Module:
    """A copy of a model with the same tensors: what its forward keeps for later is not kept in the model."""
    tensors: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, tensors)


def capture(model: nn.Module, image: tuple[int, int, int], *, training: bool = False) -> Program:
    """The program of a model on images of this shape (channels, height, width). Raises `ModelError` for a forward that
    cannot be captured: whose steps depend on values, whose operations need them, or which draws random numbers where a
    model is evaluated.
    """
    kind = type(model).__name__
    own = sharing(model).train(training)
    first = next((tensor for tensor in model.parameters() if tensor.is_floating_point()), torch.empty(0))
    try:
        # What fails is raised, and need not be logged with its traceback, as torch does.
        # What the forward makes without a device is where the model is. The images are views of one: they take no room.
        with torch.device(first.device), quiet(logging.ERROR):
            images = torch.empty(1, *image, dtype=first.dtype).expand(BATCH, *image)
            exported = torch.export.export(own, (images,), strict=False)
    except Exception as fault:  # whatever a forward does without values, or torch makes of it
        size = " x ".join(map(str, image))
        reason = (str(fault).strip().splitlines() or [""])[0] or type(fault).__name__
        raise ModelError(
            f"the forward of {kind} cannot be captured on images of {size}: {reason[:300]}; allowed: one that takes "
            "such images alone (of another size: --image-size N, or a study's data.image_size), and whose steps depend "
            "on no values"
        ) from fault
    renamed = inlined(exported.graph_module)
    _forget_conditions(exported.graph_module)
    if not training:
        _require_repeatable(exported.graph_module, kind)
    inputs, tensors, first_names = {}, {}, _first_names(own)
    for spec in exported.graph_signature.input_specs:
        name = str(getattr(spec.arg, "name", ""))
        state = str(spec.target or "")
        inputs[name] = (_KINDS.get(spec.kind, "constant"), first_names.get(state, state))
        if spec.kind is not InputKind.USER_INPUT:
            tensors[name] = _tensor(exported, state)
        else:
            tensors[name] = images
    outputs = tuple(renamed.get(str(name), str(name)) for name in exported.graph_signature.user_outputs)
    return Program(exported.graph_module, inputs, tensors, _logits(exported.graph_module, outputs, kind))


def _forget_conditions(code: fx.GraphModule) -> None:
    """Leave out what held where it was captured: the precision, which is another one under autocast, and how memory is
    laid out, which attention does otherwise on other devices: no view may rely on it.
    """
    for node in list(code.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            code.graph.erase_node(node)
        elif node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default


def require_logits(program: Program, classes: int, kind: str) -> None:
    """Raises `ModelError` for a model that gives no logit for each of `classes`."""
    output = next(node for node in program.code.graph.nodes if node.name == program.output)
    shape = tuple(output.meta["val"].shape[1:])
    if shape != (classes,):
        found = " x ".join(map(str, shape)) or "1"
        raise ModelError(f"{kind} gives {found} numbers for an image; allowed: {classes}, a logit for each class")


def _require_repeatable(code: fx.GraphModule, kind: str) -> None:
    """Outputs that are drawn anew every time cannot be compared."""
    names = (getattr(getattr(node.target, "overloadpacket", None), "__name__", "") for node in code.graph.nodes)
    if drawn := next((name for name in names if name.removesuffix("_") in RANDOM), ""):
        raise ModelError(
            f"the forward of {kind} draws random numbers in evaluation too ('{drawn}'); allowed: one that gives the "
            "same for the same images"
        )


def _first_names(model: nn.Module) -> dict[str, str]:
    """Every name of a parameter or buffer -> the first one, where modules share it."""
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(tensor), name)
        for tensors in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False))
        for name, tensor in tensors
    }


def _tensor(exported: torch.export.ExportedProgram, name: str) -> Tensor:
    stored: Any = exported.state_dict.get(name, exported.constants.get(name))
    assert isinstance(stored, Tensor), name
    return stored.detach()


def _logits(code: fx.GraphModule, outputs: tuple[str, ...], kind: str) -> str:
    """The first output with a batch dimension: logits, where a model gives more."""
    nodes = {node.name: node for node in code.graph.nodes}
    for name in outputs:
        value = nodes[name].meta.get("val") if name in nodes else None
        if isinstance(value, Tensor) and value.dim() and value.shape[0] == BATCH:
            return name
    raise ModelError(f"the forward of {kind} gives no tensor with a row per image; allowed: logits, alone or first")
