"""Times in which a pipe was busy, and fewer of them where there are too many to keep or to show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias


class Segment(NamedTuple):
    """[start, end) in cycles from the launch of the task, in `busy` of which the pipe worked on `times`
    instructions, most of the time on `record`."""

    start: int
    end: int
    busy: int
    times: int
    record: int


Tracks: TypeAlias = Mapping[tuple[int, int], Sequence[Segment]]
"""(core, number of the pipe) → its segments in order, none overlapping."""


def merged(segments: Sequence[Segment], limit: int) -> list[Segment]:
    """At most `limit` segments: the narrowest gaps are closed first."""
    if len(segments) <= limit:
        return list(segments)
    gaps = [later.start - earlier.end for earlier, later in pairwise(segments)]
    widest = sorted(gaps)[len(segments) - limit - 1]
    found: list[Segment] = []
    group = [segments[0]]
    for gap, segment in zip(gaps, segments[1:], strict=True):
        if gap > widest:
            found.append(_joined(group))
            group = []
        group.append(segment)
    found.append(_joined(group))
    return found


def _joined(group: Sequence[Segment]) -> Segment:
    if len(group) == 1:
        return group[0]
    cycles: Counter[int] = Counter()
    for segment in group:
        cycles[segment.record] += segment.busy
    most = max(cycles, key=lambda record: cycles[record])
    return Segment(group[0].start, group[-1].end, cycles.total(), sum(s.times for s in group), most)


def shortened(tracks: Tracks, limit: int) -> Tracks:
    """The tracks with about `limit` segments in all, each by its share; no track loses everything."""
    wanted = sum(len(segments) for segments in tracks.values())
    if wanted <= limit:
        return tracks
    return {
        track: merged(segments, max(1, len(segments) * limit // wanted)) for track, segments in tracks.items()
    }
