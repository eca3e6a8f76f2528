"""A generated kernel → machine code, all passes in memory: what the compiler calls once per distinct kernel.

The order is fixed: rings, then addresses, then flags (dependences are byte ranges), then state and registers.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ..dialects.davinci import KernelOp
from ..lowering.davinci_to_code import encode_kernel
from ..runtime.errors import AscendError
from ..runtime.soc import Soc
from .davinci_allocate_buffers import allocate_buffers
from .davinci_double_buffer import double_buffer
from .davinci_hoist_scalars import hoist_scalars
from .davinci_insert_sync import insert_sync
from .davinci_lower_addresses import lower_addresses
from .davinci_materialize_state import materialize_state
from .davinci_sink_scalars import sink_scalars

PIPELINE: tuple[tuple[str, Callable[[KernelOp, Soc], None]], ...] = (
    ("davinci-double-buffer", double_buffer),
    ("davinci-hoist-scalars", lambda kernel, soc: hoist_scalars(kernel)),
    ("davinci-allocate-buffers", allocate_buffers),
    ("davinci-insert-sync", insert_sync),
    ("davinci-materialize-state", lambda kernel, soc: materialize_state(kernel)),
    ("davinci-lower-addresses", lambda kernel, soc: lower_addresses(kernel)),
)


def lower_kernel(kernel: KernelOp, soc: Soc, times: dict[str, float] | None = None) -> bytes:
    """Lowers `kernel` in place and returns its image; `times` collects seconds per pass."""
    for name, run in PIPELINE:
        begin = perf_counter()
        run(kernel, soc)
        if times is not None:
            times[name] = times.get(name, 0.0) + perf_counter() - begin
    begin = perf_counter()
    try:
        image = encode_kernel(kernel)
    except AscendError as error:
        if error.code != "E40012":
            raise
        sink_scalars(kernel)
        image = encode_kernel(kernel)
    if times is not None:
        times["encode"] = times.get("encode", 0.0) + perf_counter() - begin
    return image
