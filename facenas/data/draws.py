"""Random numbers that are functions of a seed and of the number of a sample, for many samples at once.

    base(i) = mix(i + g * (seed + 1)),   u(i, k) = mix(base(i) + g * (k + 1)) >> 11, as a share of 2^53

with mix and g (the golden ratio in 64 bits) of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Which samples are drawn
together changes none of them.
"""

import numpy as np
import numpy.typing as npt

from facenas.arrays import Float64Array, IntArray

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def uniforms(seed: int, numbers: IntArray, count: int) -> Float64Array:
    """float64 [n, count] in [0, 1): `count` numbers of each of n samples (int64 [n], 0 or more)."""
    start = np.uint64(_GOLDEN * (seed + 1) & _MASK)
    steps = np.array([_GOLDEN * (k + 1) & _MASK for k in range(count)], np.uint64)
    base = _mix(numbers.astype(np.uint64) + start)
    return np.asarray((_mix(base[:, None] + steps) >> np.uint64(11)) * 2.0**-53, np.float64)


def _mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Arithmetic is modulo 2^64, as of all arrays of uint64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
