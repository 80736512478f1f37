"""What tests are built from: hand-made frames, markets, problems, studies and the clouds' replies."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
