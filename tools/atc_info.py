"""`atc --mode=6` and `--display_model_info=1`: sizes of an offline model, worded as the public tool does."""

from __future__ import annotations

from pathlib import Path

from ..runtime.errors import AscendError
from ..runtime.om import format as f
from ..runtime.om.model import OmModel
from ..runtime.om.profiles import OmProfiles
from ..runtime.om.reader import read_container, read_offline
from .atc_flags import ParsedFlags


def display(flags: ParsedFlags) -> None:
    """Print the sizes of `--om`."""
    if "om" not in flags:
        raise AscendError(
            "E10054", "The required parameter --om is empty", expected="--om=MODEL.om with --mode=6"
        )
    if "framework" in flags:
        raise AscendError(
            "E10057", "--framework and --mode=6 exclude each other", hint="leave --framework out"
        )
    path = Path(flags.get("om"))
    print(info_text(read_offline(path, digests=False), path))


def info_text(found: OmModel | OmProfiles, path: Path) -> str:
    """The block that is printed; what profiles have in common is said of all of them."""
    model = found.branches[0] if isinstance(found, OmProfiles) else found
    partitions = read_container(path).partitions
    sizes = {
        name: len(partitions.get(number, b""))
        for name, number in (
            ("modeldef_size", f.Partition.MODEL_DEF),
            ("weight_data_size", f.Partition.WEIGHTS_DATA),
            ("tbe_kernels_size", f.Partition.TBE_KERNELS),
            ("cust_aicpu_kernel_store_size", f.Partition.CUST_AICPU_KERNELS),
            ("task_info_size", f.Partition.TASK_INFO),
            ("so_store_size", f.Partition.SO_BINS),
        )
    }
    attrs = model.attrs
    return "\n".join(
        [
            "============ Display Model Info start ============",
            f"Original Atc command line: {attrs.get('atc_cmdline', '')}",
            f"system   info: atc_version[{attrs.get('atc_version', '')}], soc_version[{model.soc}], "
            f"framework_type[{attrs.get('framework_type', '')}].",
            f"resource info: memory_size[{model.memory_size} B], weight_size[{model.weight_size} B], "
            f"stream_num[{model.stream_num}], event_num[0].",
            f"om       info: {', '.join(f'{name}[{size} B]' for name, size in sizes.items())}.",
            "============ Display Model Info end   ============",
        ]
    )
