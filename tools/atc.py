"""`atc`: the command a user types. Compiles a model to an offline model (`.om`), runs one on the simulator,
and answers questions about both.

    atc --framework=5 --model=resnet18.onnx --output=resnet18 --soc_version=Ascend310P3 --input_shape="image:1,3,224,224"
    atc convert resnet18.onnx
    atc run --model=resnet18.om --input=image.npy --output=out.npz --trace=trace.json

Command lines written for the public tool work unchanged (`atc_classic.py`): same flags and spellings, same messages,
same exit status. The rest are sub-commands (`atc_commands.py`). Everything heavy is imported when it is needed:
`atc --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .atc_commands import BY_NAME
from .diagnostics import guarded


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the console script."""
    sys.exit(guarded(_main, sys.argv[1:] if args is None else args))


def _main(args: Sequence[str] | None) -> int:
    words = list(args or ())
    if words and words[0] in BY_NAME:
        return BY_NAME[words[0]].load()(words[1:])
    from .atc_classic import classic

    return classic(words)
