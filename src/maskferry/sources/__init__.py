"""Where frames come from. `open_source` reads whatever it is given; importing this package imports no decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.data import Source as Source
    from maskferry.data import VideoLike as VideoLike
    from maskferry.sources._checks import parse_rate as parse_rate
    from maskferry.sources._download import download_file as download_file
    from maskferry.sources._frame_info import frame_info_of as frame_info_of
    from maskferry.sources._identity import source_digest as source_digest
    from maskferry.sources._identity import video_digest as video_digest
    from maskferry.sources._open import open_source as open_source
    from maskferry.sources._series import open_series as open_series
    from maskferry.sources._series_routing import is_series as is_series
    from maskferry.sources._series_source import describe_series as describe_series
    from maskferry.sources._series_source import reopen_series as reopen_series
    from maskferry.sources._tiff import is_geotiff as is_geotiff

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.data": ("Source", "VideoLike"),
        "maskferry.sources._checks": ("parse_rate",),
        "maskferry.sources._download": ("download_file",),
        "maskferry.sources._frame_info": ("frame_info_of",),
        "maskferry.sources._identity": ("source_digest", "video_digest"),
        "maskferry.sources._open": ("open_source",),
        "maskferry.sources._series": ("open_series",),
        "maskferry.sources._series_source": ("describe_series", "reopen_series"),
        "maskferry.sources._series_routing": ("is_series",),
        "maskferry.sources._tiff": ("is_geotiff",),
    },
)
