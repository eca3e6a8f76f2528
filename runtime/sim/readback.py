"""Executors of the scalar unit that read what the vector unit found: counts of vreduce and vmrgsort4, the value of
vcmax and vcmin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..isa.record import Decoded
from ..soc import Soc
from .checks import Executor, Ints, State
from .vector_more import extreme_bits

if TYPE_CHECKING:
    from .memory import Core


def make_readback(record: Decoded, soc: Soc) -> Executor:
    """get_rsvd_cnt, get_max_min_cnt and get_vms4_sr: the register as a scalar."""

    def kept(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> int:
        return core.kept

    def found(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> int:
        return extreme_bits(core.found)

    def merged(core: Core, addresses: Ints, scalars: Ints, fields: Ints, state: State) -> int:
        return core.merged

    return {"RSVD_CNT": kept, "MAX_MIN_CNT": found, "VMS4_SR": merged}[record.row.reads[0]]
