"""Movie.BYU files: nothing but numbers.

Four counts (parts, points, polygons, entries of the list of polygons), first and last polygon of
each part, the points' coordinates, then for each polygon its points, from 1, the last one negative.
"""

from __future__ import annotations

import re

from snapws.mesh_formats.reading import Reader

# Columns of a fixed width leave no blank before a minus sign.
_GLUED = re.compile(rb"(?<=[0-9.])(?=[+-])")


def scrub(data: bytes, source: str) -> bytes:
    """Write a Movie.BYU file afresh; see `snapws.mesh_formats`."""
    reader = Reader(_GLUED.sub(b" ", data), source)
    parts, points, polygons, entries = (reader.count() for _ in range(4))
    if not (parts and points and polygons):
        raise reader.damaged("a file without parts, points or polygons is no Movie.BYU mesh")
    header = b"%d %d %d %d\n" % (parts, points, polygons, entries)
    ranges = reader.numbers(2 * parts, whole=True)
    coordinates = reader.numbers(3 * points)
    corners = reader.numbers(whole=True)
    ids = reader.integers(corners)
    if (ids < 0).sum() != polygons or ids[-1] > 0:
        raise reader.damaged(f"{(ids < 0).sum()} polygons, where the first line says {polygons}")
    if (ids == 0).any() or ids.max() > points or ids.min() < -points:
        raise reader.damaged(f"a polygon has a corner that is none of the {points} points")
    return header + ranges + coordinates + corners
