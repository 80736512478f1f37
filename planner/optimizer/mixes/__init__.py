"""Whole machines for a load: which mixes there are, which is cheapest, which few types to keep."""
