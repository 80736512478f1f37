"""Writes a plan for finance: CSV that equals the screen."""
