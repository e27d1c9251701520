"""How large a JPEG's picture is, from its header alone. Nothing is decoded."""

#: markers that stand alone, without a length: the beginning, restarts, and one of no meaning
_BARE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
#: where the picture's data begin, or end: the size stands before
_TOO_LATE = frozenset({0xD9, 0xDA})
#: frame headers of every kind of coding; C4, C8 and CC among them are none
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_MOST_SEGMENTS = 64


def jpeg_size(image: memoryview | bytes) -> tuple[int, int] | None:
    """Width and height in pixels; ``None`` where the header does not tell them. Never raises.

    Shape: segments of FF, marker u8, length u16 BE (itself included); a frame header goes on with precision u8,
    height u16 BE, width u16 BE. A height of 0 is told later in the stream, which is not looked for.
    Source: ITU-T T.81, annex B.
    """
    at, end = 0, len(image)
    for _ in range(_MOST_SEGMENTS):
        while at + 1 < end and image[at] == 0xFF and image[at + 1] == 0xFF:
            at += 1
        if at + 1 >= end or image[at] != 0xFF or image[at + 1] in _TOO_LATE:
            return None
        marker = image[at + 1]
        at += 2
        if marker in _BARE:
            continue
        if at + 2 > end:
            return None
        if marker in _FRAMES:
            height, width = int.from_bytes(image[at + 3 : at + 5], "big"), int.from_bytes(image[at + 5 : at + 7], "big")
            return (width, height) if at + 7 <= end and width and height else None
        at += max(2, int.from_bytes(image[at : at + 2], "big"))
    return None
