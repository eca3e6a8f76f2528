"""`atc compare A.om B.om`: what is different between two offline models."""

from __future__ import annotations

from collections.abc import Sequence

from .om_command_line import FOUND_SOMETHING, OK, OmParser, offline_model, print_json


def run_command(words: Sequence[str]) -> int:
    """The sub-command: 0 if nothing is different, 1 if something is."""
    parser = OmParser(
        "compare",
        "Says what is different between two offline models: graph, weights, code, schedule, predicted cycles.",
        "atc compare before.om after.om --json",
    )
    parser.add_argument("one", help="offline model (.om)")
    parser.add_argument("other", help="the other one")
    parser.add_argument("--no-cycles", action="store_true", help="do not ask the timing model")
    parser.add_argument(
        "--all", action="store_true", help="list every difference, not the first of each section"
    )
    arguments = parser.parse_args(words)

    from .om_cycles import cycles_by_task
    from .om_diff import changes_json, diff_text, differences

    one, other = (offline_model(name, arguments.part) for name in (arguments.one, arguments.other))
    cycles = [None if arguments.no_cycles else cycles_by_task(model)[0] for model in (one, other)]
    changes = differences(one, other, (cycles[0], cycles[1]))
    if arguments.json:
        sums = [None if took is None else sum(took) for took in cycles]
        print_json({"models": [arguments.one, arguments.other], "cycles": sums, **changes_json(changes)})
    else:
        most = len(changes) if arguments.all else 40
        print(diff_text(changes, (arguments.one, arguments.other), most), end="")
    return FOUND_SOMETHING if changes else OK
