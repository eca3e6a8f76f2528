"""`davinci-allocate-buffers`: gives every buffer its byte offset in its memory.

If all buffers of a memory fit side by side they get bytes of their own, because shared bytes are dependences
that `davinci-insert-sync` must then order.  Only when they do not fit, buffers whose lifetimes do not overlap
in program order share: intervals coloured first-fit, largest first.  A lifetime reaches from the first to the
last item of the home block that uses the buffer; a ring lives as long as the loop of its home block, since its slots
outlive one iteration, and one that is filled before its loop lives to the end of the kernel.

    %a = davinci.alloc : !davinci.buffer<ub, 4096>          →   %a = davinci.alloc at 0 : !davinci.buffer<ub,
    4096> %b = davinci.alloc : !davinci.buffer<ub, 4096>          →   %b = davinci.alloc at 4096 :
    !davinci.buffer<ub, 4096>

Before: rings are made.  After: every alloc has an `address`; capacity and alignment of the SoC hold.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import IntegerAttr, ModuleOp, i64
from xdsl.passes import ModulePass

from ..dialects.davinci import AllocOp, BufferType, KernelOp
from ..runtime.errors import AscendError
from ..runtime.soc import Buffer, Soc
from .davinci_program import BlockNode, Program, kernels, target_soc


@dataclass(slots=True)
class _Life:
    alloc: AllocOp
    size: int
    start: int = 1 << 62
    end: int = -1
    address: int = -1


def _lifetimes(program: Program, soc: Soc) -> dict[str, list[_Life]]:
    """Buffers by memory, with the span of program order in which they hold something."""
    lives: dict[AllocOp, _Life] = {}
    spaces: dict[str, list[_Life]] = {}
    homes: dict[AllocOp, BlockNode] = {}
    for alloc in program.allocs:
        buffer = alloc.result.type
        assert isinstance(buffer, BufferType)
        space = buffer.space.data
        align = soc.core.buffers[space].align
        lives[alloc] = life = _Life(alloc, -(-buffer.size.data // align) * align)
        homes[alloc] = program.home(alloc)
        spaces.setdefault(space, []).append(life)
        if "ring" in alloc.attributes:
            parent = homes[alloc].parent
            if parent is not None:
                life.start, life.end = parent.start, parent.end
    for item in program.instructions:
        for base in item.op.operands:
            owner = base.owner
            if not isinstance(owner, AllocOp):
                continue
            home = homes[owner]
            if "ring" in owner.attributes and home.parent is not None:
                if item.block.depth < home.depth or item.chain[home.depth].block is not home:
                    # filled before its loop: what it holds lives on from one run of the loop to the next
                    lives[owner].start, lives[owner].end = (
                        min(lives[owner].start, item.start),
                        program.root.end,
                    )
                continue
            life, holder = lives[owner], item.chain[home.depth]
            life.start, life.end = min(life.start, holder.start), max(life.end, holder.end)
    return spaces


def _place(lives: list[_Life], share: bool) -> int:
    """Assigns addresses first-fit; returns the bytes needed."""
    placed: list[_Life] = []
    need = 0
    for life in sorted(lives, key=lambda entry: -entry.size) if share else lives:
        taken = sorted(
            (other.address, other.address + other.size)
            for other in placed
            if not share or (life.start <= other.end and other.start <= life.end)
        )
        address = 0
        for low, high in taken:
            if low - address >= life.size:
                break
            address = max(address, high)
        life.address = address
        placed.append(life)
        need = max(need, address + life.size)
    return need


def _describe(life: _Life) -> str:
    depth = life.alloc.ring_depth
    return f"%{life.alloc.result.name_hint or '?'} {depth} x {life.size // depth}"


def _refuse(kernel: KernelOp, space: str, memory: Buffer, need: int, lives: list[_Life]) -> AscendError:
    names = ", ".join(_describe(life) for life in sorted(lives, key=lambda entry: -entry.size))
    return AscendError(
        "E40010",
        f"kernel {kernel.sym_name.data}: buffers of {space} need {need} bytes: {names}",
        expected=f"at most {memory.size} bytes",
        hint="choose smaller tiles or fewer slots",
    )


def allocate_buffers(kernel: KernelOp, soc: Soc, program: Program | None = None) -> None:
    """Sets the address of every alloc of `kernel`."""
    program = program or Program(kernel)
    for space, lives in _lifetimes(program, soc).items():
        memory = soc.core.buffers[space]
        used = [life for life in lives if life.end >= 0]
        for life in lives:
            life.address = 0
        need = _place(used, share=False)
        if need > memory.size:
            need = _place(used, share=True)
        if need > memory.size:
            raise _refuse(kernel, space, memory, need, used)
        for life in lives:
            life.alloc.address = IntegerAttr(life.address, i64)


@dataclass(frozen=True)
class DavinciAllocateBuffersPass(ModulePass):
    """See the module docstring."""

    name = "davinci-allocate-buffers"
    soc: str = ""
    """SoC whose memories hold; default: the module's `ascend.target`."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        soc = target_soc(op, self.soc)
        for kernel in kernels(op):
            allocate_buffers(kernel, soc)
