"""How good masks and tracks are, by published protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.metrics._davis import Score as Score
    from maskferry.metrics._davis import Statistics as Statistics
    from maskferry.metrics._davis import boundary_accuracy as boundary_accuracy
    from maskferry.metrics._davis import boundary_map as boundary_map
    from maskferry.metrics._davis import mean_score as mean_score
    from maskferry.metrics._davis import region_similarity as region_similarity
    from maskferry.metrics._davis import score_sequence as score_sequence
    from maskferry.metrics._davis import sequence_statistics as sequence_statistics
    from maskferry.metrics._tracking import TrackingScore as TrackingScore
    from maskferry.metrics._tracking import score_tracking as score_tracking

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.metrics._davis": (
            "Score",
            "Statistics",
            "boundary_accuracy",
            "boundary_map",
            "mean_score",
            "region_similarity",
            "score_sequence",
            "sequence_statistics",
        ),
        "maskferry.metrics._tracking": ("TrackingScore", "score_tracking"),
    },
)
