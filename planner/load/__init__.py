"""What arrives: traffic histories in, sample paths of the future out."""

from planner.load.paths import Load, ServiceLoad

__all__ = ["Load", "ServiceLoad"]
