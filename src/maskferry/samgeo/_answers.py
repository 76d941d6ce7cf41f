"""What samgeo's methods for prompts return: the id of an object, which is samgeo's dict as well."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView
from typing import Any, Self

from maskferry.data import FrameMasks
from maskferry.samgeo._lazy_views import FrameOutputs

__all__ = ["PromptAnswer"]


class PromptAnswer(int):
    """The id of the object that was prompted, and ``{"frame_index": ..., "outputs": ...}``.

    ``answer["outputs"]`` is what is on that frame, this object included, as `FrameOutputs` has it.
    """

    _frame: int
    _outputs: FrameOutputs | Callable[[], FrameMasks]

    def __new__(cls, object_id: int, frame: int, outputs: FrameOutputs | Callable[[], FrameMasks]) -> Self:
        """Make one.

        Args:
            object_id: the object.
            frame: the frame that it was prompted on.
            outputs: what is on that frame; or gives it, when it is first looked at.
        """
        self = super().__new__(cls, object_id)
        self._frame, self._outputs = frame, outputs
        return self

    def _found(self) -> FrameOutputs:
        if not isinstance(self._outputs, FrameOutputs):
            self._outputs = FrameOutputs(self._outputs())
        return self._outputs

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401
        if key == "frame_index":
            return self._frame
        if key == "outputs":
            return self._found()
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in ("frame_index", "outputs")

    def __iter__(self) -> Iterator[str]:
        return iter(("frame_index", "outputs"))

    def _as_dict(self) -> dict[str, Any]:
        return {key: self[key] for key in self}

    def keys(self) -> KeysView[str]:
        """As a dict's."""
        return self._as_dict().keys()

    def values(self) -> ValuesView[Any]:
        """As a dict's."""
        return self._as_dict().values()

    def items(self) -> ItemsView[str, Any]:
        """As a dict's."""
        return self._as_dict().items()

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401
        """As a dict's."""
        return self._as_dict().get(key, default)

    def __reduce__(self) -> tuple[Any, ...]:
        return PromptAnswer, (int(self), self._frame, self._found())
