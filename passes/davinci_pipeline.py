"""A generated kernel → machine code, all passes in memory: what the compiler calls once per distinct kernel.

The order is fixed: rings, then addresses, then flags (dependences are byte ranges), then state and registers.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ..dialects.davinci import KernelOp
from ..lowering.davinci_to_code import kernel_records
from ..runtime.errors import AscendError
from ..runtime.isa.encode import encode_image
from ..runtime.isa.record import Record
from ..runtime.soc import Soc
from .davinci_allocate_buffers import allocate_buffers
from .davinci_double_buffer import double_buffer
from .davinci_hoist_scalars import hoist_scalars
from .davinci_insert_sync import insert_sync
from .davinci_lower_addresses import lower_addresses
from .davinci_materialize_state import materialize_state
from .davinci_reduce_strength import reduce_strength, restore_products
from .davinci_sink_scalars import sink_scalars
from .davinci_tile_rings import tile_rings

PIPELINE: tuple[tuple[str, Callable[[KernelOp, Soc], None]], ...] = (
    ("davinci-double-buffer", double_buffer),
    ("davinci-hoist-scalars", lambda kernel, soc: hoist_scalars(kernel)),
    ("davinci-allocate-buffers", allocate_buffers),
    ("davinci-insert-sync", insert_sync),
    ("davinci-materialize-state", lambda kernel, soc: materialize_state(kernel)),
    ("davinci-tile-rings", lambda kernel, soc: tile_rings(kernel)),
    ("davinci-lower-addresses", lambda kernel, soc: lower_addresses(kernel)),
    ("davinci-reduce-strength", lambda kernel, soc: reduce_strength(kernel)),
)


def lower_kernel(kernel: KernelOp, soc: Soc, times: dict[str, float] | None = None) -> bytes:
    """Lowers `kernel` in place and returns its image; `times` collects seconds per pass."""
    records = lower_to_records(kernel, soc, times)
    begin = perf_counter()
    image = encode_image(records, len(kernel.body.block.args))
    if times is not None:
        times["encode"] = times.get("encode", 0.0) + perf_counter() - begin
    return image


def lower_to_records(kernel: KernelOp, soc: Soc, times: dict[str, float] | None = None) -> list[Record]:
    """The same without the bytes: its instructions."""
    for name, run in PIPELINE:
        begin = perf_counter()
        run(kernel, soc)
        if times is not None:
            times[name] = times.get(name, 0.0) + perf_counter() - begin
    begin = perf_counter()
    try:
        records = kernel_records(kernel)
    except AscendError as error:
        if error.code != "E40012":
            raise
        restore_products(kernel)
        sink_scalars(kernel)
        records = kernel_records(kernel)
    if times is not None:
        times["assign"] = times.get("assign", 0.0) + perf_counter() - begin
    return records
