"""Engines of TensorRT (10 or 11): ONNX files, each compiled for one GPU and for images of one shape."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NoReturn, final

import torch
from torch import Tensor

from nas.deployment import onnx_file
from nas.errors import LatencyError
from nas.foreign import line
from nas.latency.onnx_steps import OUTPUT

WORDS = 200
"""Characters of what TensorRT says that are shown."""


def library() -> Any:
    """The package, which has no types. Raises `LatencyError` where it is not installed, or does not load."""
    try:
        return import_module("tensorrt")
    except ImportError as fault:
        raise LatencyError(
            f"device tensorrt: cannot be imported ({line(str(fault))}): pip install tensorrt, or tensorrt-cu12 where "
            "the GPU's driver knows CUDA 12 only"
        ) from None


@final
class Engines:
    """Builds engines, one after the other, on the current GPU. How long a layer takes by each kernel is found out once,
    and the same layer of the next model gets the same kernel.

    Raises `LatencyError` where TensorRT does not start.
    """

    def __init__(self) -> None:
        self._trt = library()
        self._log = _log(self._trt)
        try:
            self._builder, self._runtime = self._trt.Builder(self._log), self._trt.Runtime(self._log)
        except TypeError:  # what its binding to Python makes of a function that returns nothing
            self._refuse("TensorRT does not start")
        self._config = self._builder.create_builder_config()
        self._config.clear_flag(self._trt.BuilderFlag.TF32)
        self._config.set_timing_cache(self._config.create_timing_cache(b""), ignore_mismatch=False)

    def running(self, content: bytes, images: Tensor, name: str) -> Callable[[Any], Tensor]:
        """What runs the model of an ONNX file on these images (B x C x H x W, on the GPU), in the stream that is the
        current one now; returns its logits (B x K), which the next pass overwrites. `name` is for messages.

        Raises `LatencyError` where TensorRT's parser does not know an operator, or no engine can be built, or run.
        """
        assert images.is_contiguous(), "an address is all that TensorRT sees of images"
        engine = self._built(content, tuple(images.shape), name)
        context = engine.create_execution_context()
        if context is None:
            self._refuse(f"no room for {name} on the GPU; a smaller batch needs less")
        logits = torch.empty(
            tuple(engine.get_tensor_shape(OUTPUT)), dtype=self._dtype_of(engine, OUTPUT), device=images.device
        )
        for tensor_name, tensor in ((onnx_file.INPUT, images), (OUTPUT, logits)):
            context.set_tensor_address(tensor_name, tensor.data_ptr())
        stream = torch.cuda.current_stream().cuda_stream

        def run(_: Tensor) -> Tensor:
            if not context.execute_async_v3(stream):
                self._refuse(f"{name} does not run")
            return logits

        return run

    def _built(self, content: bytes, shape: tuple[int, ...], name: str) -> Any:
        self._log.errors.clear()
        # Numbers stay of the types that the file says. TensorRT 11 always does so.
        network = self._builder.create_network(1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = self._trt.OnnxParser(network, self._log)
        if not parser.parse(content):
            fault = parser.get_error(0)
            node = f"{fault.node_operator()} ({fault.node_name()})"
            raise LatencyError(
                f"device tensorrt: its parser does not take {name}: {line(node)}: {line(fault.desc(), WORDS)}"
            )
        network.get_input(0).shape = shape  # in the file, the batch may have any size
        plan = self._builder.build_serialized_network(network, self._config)
        engine = None if plan is None else self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            self._refuse(f"no engine of {name} could be built")
        return engine

    def _dtype_of(self, engine: Any, tensor_name: str) -> torch.dtype:
        trt = self._trt
        dtypes = {trt.float32: torch.float32, trt.float16: torch.float16, trt.bfloat16: torch.bfloat16}
        return dtypes[engine.get_tensor_dtype(tensor_name)]

    def _refuse(self, what: str) -> NoReturn:
        """With the first error that TensorRT told of: others follow from it."""
        reason = next(iter(self._log.errors), "it does not say why")
        raise LatencyError(f"device tensorrt: {what}: {line(reason, WORDS)}")


def _log(trt: Any) -> Any:
    """What TensorRT writes errors to, in the place of the terminal."""

    class Log(trt.ILogger):  # type: ignore[misc]  # of a package without types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # its binding to Python asks for this call by name
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.ERROR:
                self.errors.append(msg)

    return Log()
