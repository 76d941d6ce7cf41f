"""Linear algebra in pieces so small that BLAS keeps to one thread.

BLAS spreads products over threads from about 2^18 multiplications on (OpenBLAS: ``interface/gemm.c``, ``gemv.c``). For
the small matrices of this engine that gains nothing, and where cores are shared the threads wait for each other: frames
then take up to five times as long. The number of threads is a setting of the whole process, which is the caller's.
"""

from __future__ import annotations

import numpy as np

from maskferry.engines._flow.grid import FloatArray
from maskferry.engines._flow.workers import Workers

__all__ = ["gram", "mirror", "solve"]

BLOCK, DEPTH = 64, 48


def gram(rows: FloatArray, weights: FloatArray, workers: Workers | None = None) -> FloatArray:
    """Sum of w x x^T over the rows x (n, d), float32 (d, d), exactly symmetric; weights (n,).

    Workers share the blocks; each block is computed by one of them, always in the same way.
    """
    d = rows.shape[1]
    right = _pad(rows, DEPTH, BLOCK)
    left = _pad(rows * weights[:, None], DEPTH, BLOCK)
    n, size = right.shape
    count = size // BLOCK
    left = left.reshape(n // DEPTH, DEPTH, count, BLOCK).transpose(2, 0, 3, 1)
    right = right.reshape(n // DEPTH, DEPTH, count, BLOCK).transpose(2, 0, 1, 3)
    out = np.zeros((size, size), dtype=np.float32)

    def strip(i: int) -> None:
        for j in range(i, count):
            part = np.matmul(left[i], right[j]).sum(axis=0)
            out[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK] = part

    list((map if workers is None else workers.map)(strip, range(count)))
    return mirror(out[:d, :d])


def mirror(upper: FloatArray) -> FloatArray:
    """The symmetric matrix (d, d) with this upper triangle; what is below the diagonal is ignored."""
    return np.asarray(np.triu(upper) + np.triu(upper, 1).T, dtype=np.float32)


def solve(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    """Solve a symmetric positive definite system (d, d), (d,) by elimination of blocks; float32 (d,)."""
    d = len(vector)
    count = -(-d // BLOCK)
    size = count * BLOCK
    full = np.eye(size, dtype=np.float64)
    full[:d, :d] = matrix
    a = np.ascontiguousarray(full.reshape(count, BLOCK, count, BLOCK).transpose(0, 2, 1, 3))
    b = np.zeros((count, BLOCK, 1))
    b.ravel()[:d] = vector
    inverses = []
    for k in range(count):
        inverses.append(np.linalg.inv(a[k, k]))
        factors = np.matmul(a[k + 1 :, k], inverses[k])
        a[k + 1 :, k + 1 :] -= np.matmul(factors[:, None], a[None, k, k + 1 :])
        b[k + 1 :] -= np.matmul(factors, b[k])
    x = np.zeros_like(b)
    for k in reversed(range(count)):
        x[k] = inverses[k] @ (b[k] - np.matmul(a[k, k + 1 :], x[k + 1 :]).sum(axis=0))
    return x.ravel()[:d].astype(np.float32)


def _pad(array: FloatArray, rows: int, columns: int) -> FloatArray:
    """Zeros below and to the right, up to multiples of ``rows`` and ``columns``."""
    n, d = array.shape
    out = np.zeros((-(-n // rows) * rows, -(-d // columns) * columns), dtype=np.float32)
    out[:n, :d] = array
    return out
