"""The colours that ITK-SNAP gives to new labels, for tables without colours."""

from __future__ import annotations

# Read off the labels that ITK-SNAP makes, one after the other: the 130 come again from the start.
_COLORS = bytes.fromhex(
    "ff000000ff000000ffffff0000ffffff00ffffefd50000cdcd853fd2b48c66cdaa000080008b8b2e8b57"
    "ffe4e16a5acddda0dde9967aa52a2afffafa9370dbda70d64b0082ffb6c13cb371ffebcdffe4c4daa520"
    "008080bc8f8fff69b4ffdab9deb8877fff008b45137cfc00ffffe04682b4006400ee82eeeee8aaf0fff0"
    "f5deb3b8860b20b2aaff1493191970708090228b22f8f8fff5fffaffa07a90ee90adff2f4169e1ff6347"
    "faf0e680000032cd32f4a460fffff07b68eeffa500add8e6ffc0cb7fffd4ff8c008fbc8fdc143cfdf5e6"
    "fffaf000ced100ff7f800080fffacdfa80729400d3b22222ff7f5087ceeb6495edf0e68cfaebd7fff5ee"
    "6b8e2387cefa00008b8b008bf5f5dcba55d3ffe4b5ffdead00bfffd2691efff8dc2f4f4f483d8bafeeee"
    "808000b0e0e6fff0f58b0000f0ffffffd700d8bfd8778899db709348d1ccff00ffc715859acd32bdb76b"
    "f0f8ffe6e6fa00fa9a556b2f40e0d09932cccd5c5cfafad25f9ea0008000ff4500e0ffffb0c4de8a2be2"
    "1e90fff0808098fb98a0522d"
)


def color_of_new_label(index: int) -> tuple[int, int, int]:
    """Return the colour that ITK-SNAP gives to a new label.

    Args:
        index: The index of the label, 1 or more.

    >>> color_of_new_label(1), color_of_new_label(7)
    ((255, 0, 0), (255, 239, 213))
    """
    start = (index - 1) % (len(_COLORS) // 3) * 3
    red, green, blue = _COLORS[start : start + 3]
    return red, green, blue
