"""The `with` statement of what has a `close`."""

from __future__ import annotations

import pytest

from maskferry.closing import Closing


class Tap(Closing):
    def __init__(self) -> None:
        self.calls: list[str] = []

    def close(self) -> None:
        self.calls.append("close")


class Main(Tap):
    """Ends otherwise than by `close`."""

    def _leave(self) -> None:
        self.calls.append("shutdown")


@pytest.mark.parametrize(("kind", "call"), [(Tap, "close"), (Main, "shutdown")])
def test_a_block_gives_the_object_and_closes_it(kind: type[Tap], call: str) -> None:
    made = kind()
    with made as given:
        assert given is made
        assert made.calls == []
    assert made.calls == [call]


def test_an_error_in_the_block_closes_it_and_goes_through() -> None:
    tap = Tap()
    with pytest.raises(ZeroDivisionError), tap:
        _ = 1 / 0
    assert tap.calls == ["close"]
