"""One name for each array type."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Index = NDArray[np.intp]
Flags = NDArray[np.bool_]
