"""The geo tools that come with rsrag: what a scene is, and where it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsrag import hookimpl

if TYPE_CHECKING:
    from rsrag.interfaces import GeoTool


@hookimpl
def rsrag_tools() -> list[type[GeoTool]]:
    """`describe_scene` and `locate`."""
    from .describe import DescribeScene
    from .locate import Locate

    return [DescribeScene, Locate]
