"""What is known to be wrong with an image: each damaged range once, in order of place."""

from forensics.model import ImageDamage

_MOST = 100_000  # a wrecked terabyte has thirty million chunks; the report needs to say so, not to list them


class DamageNotes:
    """Collects damage while an image is opened and read. `chunk_size` is bytes of the medium, `size` the medium's size."""

    def __init__(self) -> None:
        self._notes: dict[ImageDamage, None] = {}
        self._chunks: dict[int, ImageDamage] = {}
        self._more = False

    def note(self, message: str, offset: int = 0, size: int = 0) -> None:
        """A general defect, or (with a size) a range of the medium that reads as zeros."""
        if len(self._notes) < _MOST:
            self._notes[ImageDamage(offset, size, message)] = None
        else:
            self._more = True

    def chunk(self, number: int, offset: int, size: int, message: str) -> None:
        """Chunk `number` is damaged; said once, however often it is read."""
        if number in self._chunks:
            return
        if len(self._chunks) < _MOST:
            self._chunks[number] = ImageDamage(offset, size, message)
        else:
            self._more = True

    def all(self) -> tuple[ImageDamage, ...]:
        """Everything known so far, sorted by offset, size and message."""
        found = sorted([*self._notes, *self._chunks.values()], key=lambda item: (item.offset, item.size, item.message))
        if self._more:
            found.append(ImageDamage(0, 0, f"more than {_MOST} places are damaged; those beyond are zeroed and not listed"))
        return tuple(found)
