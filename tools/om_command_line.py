"""What the sub-commands on offline models share: a parser whose `--help` ends with an example, the model behind the
command's name, results as JSON.

Exit status: 0 when everything is as it should be, 1 when a check found something or the command could not do its work
(then with an error block on stderr).
"""

# ruff: noqa: PLC0414 - "as" marks a name that this module hands on

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import AscendError
from .command_line import FOUND_SOMETHING as FOUND_SOMETHING
from .command_line import OK as OK
from .command_line import CommandParser
from .command_line import print_json as print_json

if TYPE_CHECKING:
    from ..runtime.om.model import OmModel
    from ..runtime.om.profiles import OmProfiles


class OmParser(CommandParser):
    """The parser of `atc NAME MODEL.om …`; wrong use is a `UsageError`."""

    def __init__(self, name: str, description: str, example: str) -> None:
        super().__init__(name, description, example)
        self.add_argument(
            "--part", type=int, help="which model or profile of a file that holds several, from 0"
        )


def offline_model(text: str, part: int | None = None, *, digests: bool = False) -> OmModel:
    """The offline model of a path that is there."""
    from ..runtime.om.reader import read_om

    return read_om(existing(text), digests=digests, part=part)


def offline_profiles(text: str, part: int | None = None) -> OmModel | OmProfiles:
    """The same for commands that take all profiles of a model of several sizes."""
    from ..runtime.om.reader import read_offline

    return read_offline(existing(text), digests=False, part=part)


def existing(text: str) -> Path:
    """A file that is there."""
    path = Path(text)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AscendError("E13000", f"the model {text} {what}", expected="an offline model (.om)")
    return path


def writable(text: str | None) -> Path | None:
    """A path whose folder is there; checked before the work, so that nobody waits for nothing."""
    if text is None:
        return None
    if not Path(text).parent.is_dir() or Path(text).is_dir():
        raise AscendError("E13004", f"cannot write {text!r}", expected="a path in a folder that exists")
    return Path(text)
