"""TensorRT on the processor, as far as `nas` calls it, by the names and the order of arguments of NVIDIA's own binding.

Its parser reads ONNX; its engines are sessions of onnxruntime, for images of one shape, on what lies in memory at the
addresses that a context is given. It fails as NVIDIA's does: by an error that it logs, and by returning nothing.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

STREAM = 77
"""The handle of the stream that is not torch's own."""


class DataType(enum.Enum):
    FLOAT = onnx.TensorProto.FLOAT
    HALF = onnx.TensorProto.FLOAT16
    BF16 = onnx.TensorProto.BFLOAT16


class NetworkDefinitionCreationFlag(enum.IntEnum):
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    TF32 = 7


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self) -> None:
        self.constructed = True


class Config:
    def __init__(self) -> None:
        self.flags, self.cache = {BuilderFlag.TF32}, None

    def clear_flag(self, flag: BuilderFlag) -> None:
        self.flags.remove(flag)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> object:
        assert serialized_timing_cache == b""
        return object()

    def set_timing_cache(self, cache: object, ignore_mismatch: bool) -> bool:
        self.cache = cache
        return not ignore_mismatch


class Network:
    """What a parser fills."""

    model: onnx.ModelProto
    input: SimpleNamespace

    def get_input(self, index: int) -> SimpleNamespace:
        assert index == 0
        return self.input


@dataclass
class ParserError:
    number: int
    of: onnx.NodeProto

    def node(self) -> int:
        return self.number

    def node_name(self) -> str:
        return self.of.name

    def node_operator(self) -> str:
        return self.of.op_type

    def desc(self) -> str:
        return "Plugin not found,\nare the plugin name, version, and namespace correct?"


class Context:
    def __init__(self, fake: Fake, session: Any, shape: tuple[int, ...]) -> None:
        self.fake, self.session, self.shape, self.addresses = fake, session, shape, dict[str, int]()

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self.fake.stops or set(self.addresses) != {"images", "logits"}:
            return False
        self.fake.streams.append(stream_handle)
        dtype = np.float16 if "float16" in self.session.get_inputs()[0].type else np.float32
        (found,) = self.session.run(None, {"images": at(self.addresses["images"], self.shape, dtype)})
        at(self.addresses["logits"], found.shape, found.dtype)[:] = found
        return True


class Engine:
    def __init__(self, fake: Fake, plan: bytes) -> None:
        self.fake, self.session = fake, onnxruntime.InferenceSession(plan, providers=["CPUExecutionProvider"])
        model = onnx.load_from_string(plan)
        self.shape = shape_of(model)
        self.dtypes = {value.name: DataType(value.type.tensor_type.elem_type) for value in model.graph.output}

    def create_execution_context(self) -> Context | None:
        return None if self.fake.is_full else Context(self.fake, self.session, self.shape)

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert name == "logits"
        return (self.shape[0], *self.session.get_outputs()[0].shape[1:])

    def get_tensor_dtype(self, name: str) -> DataType:
        return self.dtypes[name]


@dataclass
class Fake:
    """unknown   operators that its parser does not take
    dead      whether it finds no driver
    hopeless  whether no engine can be built
    is_full   whether there is no room for what an engine needs to run
    stops     whether engines do not run
    """

    unknown: frozenset[str] = frozenset()
    dead: bool = False
    hopeless: bool = False
    is_full: bool = False
    stops: bool = False
    parsed: list[onnx.ModelProto] = field(default_factory=list)
    built: list[tuple[tuple[int, ...], Config]] = field(default_factory=list)
    streams: list[int] = field(default_factory=list)

    def module(self) -> SimpleNamespace:
        """What `import tensorrt` gives."""
        return SimpleNamespace(
            __version__="11.0.0",
            float32=DataType.FLOAT,
            float16=DataType.HALF,
            bfloat16=DataType.BF16,
            ILogger=ILogger,
            BuilderFlag=BuilderFlag,
            NetworkDefinitionCreationFlag=NetworkDefinitionCreationFlag,
            Builder=lambda logger: self.started(logger, self._builder),
            OnnxParser=self._parser,
            Runtime=lambda logger: self.started(
                logger, lambda _: SimpleNamespace(deserialize_cuda_engine=lambda plan: Engine(self, plan))
            ),
        )

    def started(self, logger: Any, make: Callable[[Any], Any]) -> Any:
        assert logger.constructed
        if self.dead:
            logger.log(ILogger.WARNING, "Unable to determine GPU memory usage")
            logger.log(ILogger.INTERNAL_ERROR, "CUDA initialization failure with error: 35.")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return make(logger)

    def _builder(self, logger: Any) -> SimpleNamespace:
        def create_network(flags: int) -> Network:
            assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED, "types of the file would not be kept"
            return Network()

        def build_serialized_network(network: Network, config: Config) -> bytes | None:
            if self.hopeless or -1 in network.input.shape:
                reason = "Could not find any implementation" if self.hopeless else "no optimization profile"
                logger.log(ILogger.ERROR, f"Error Code 10: Internal Error ({reason})")
                logger.log(ILogger.ERROR, "Error Code 2: Assertion engine != nullptr failed")
                return None
            self.built.append((network.input.shape, config))
            dims = network.model.graph.input[0].type.tensor_type.shape.dim
            for dim, size in zip(dims, network.input.shape, strict=True):
                dim.dim_value = size
            return network.model.SerializeToString()

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=Config,
            build_serialized_network=build_serialized_network,
        )

    def _parser(self, network: Network, logger: Any) -> SimpleNamespace:
        errors: list[ParserError] = []

        def parse(model: bytes) -> bool:
            network.model = onnx.load_from_string(model)
            network.input = SimpleNamespace(shape=shape_of(network.model))
            nodes = enumerate(network.model.graph.node)
            errors.extend(ParserError(number, node) for number, node in nodes if node.op_type in self.unknown)
            self.parsed.append(network.model)
            return not errors

        return SimpleNamespace(parse=parse, get_error=errors.__getitem__, num_errors=len(errors))


def shape_of(model: onnx.ModelProto) -> tuple[int, ...]:
    """Of the images; -1 for what may have any size."""
    return tuple(dim.dim_value or -1 for dim in model.graph.input[0].type.tensor_type.shape.dim)


def at(address: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """What lies there in memory, itself and no copy."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_byte * size).from_address(address), dtype=dtype).reshape(shape)
