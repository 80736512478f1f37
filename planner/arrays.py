"""One name for each array type.

Names of the shapes stand in docstrings: ``(paths, hours)``. Times are UTC; money is float64.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]
