"""The numba kernels of alternating least squares: conjugate gradients on the normal equations of many rows at once.

Row r minimises Σ w (t - x·a)² + x·Gx + λ_r |x|² over its entries, each with a weight w, a target t and the vector a of
the other side; so (G + λ_r I + Σ w a aᵀ) x = Σ w t a. The products with G, which all rows share, are made outside as
one matrix product. Hestenes and Stiefel 1952; for implicit feedback Takács, Pilászy and Tikk 2011 (RecSys).

Rows of the other side are indexed in place: a view of each would cost as much as its product.
"""

from __future__ import annotations

import numpy as np

from embedkit.compiled import kernel


@kernel(inline="always")
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@kernel
def begin(indptr, indices, weights, targets, others, penalty, x, image, residual, direction, squares, scales):  # type: ignore[no-untyped-def]
    """Prepare to improve `x`, the solutions of some rows so far; return what the rows minimise, summed.

    Parameters
    ----------
    indptr, indices, weights, targets
        int64 (n + 1, from 0), int32, float32, float32: the entries of the rows, compressed.
    others
        float32 (n_others × width), the vectors a.
    penalty
        float32 (n), λ.
    x
        float32 (n × width).
    image
        float32 (n × width), holding x G.
    residual, direction
        float32 (n × width): written, the right-hand side minus the left one.
    squares, scales
        float32 (n): written, the squared norms of the residual and of the right-hand side.
    """
    n, width = x.shape
    right = np.empty(width, np.float32)
    total = 0.0
    for row in range(n):
        solution, r, lam = x[row], residual[row], penalty[row]
        right[:] = 0
        for k in range(width):
            r[k] = -image[row, k] - lam * solution[k]
        for entry in range(indptr[row], indptr[row + 1]):
            other, weight, predicted = indices[entry], weights[entry], np.float32(0)
            for k in range(width):
                predicted += others[other, k] * solution[k]
            wanted, error = weight * targets[entry], weight * (targets[entry] - predicted)
            for k in range(width):
                right[k] += wanted * others[other, k]
                r[k] += error * others[other, k]
            total += np.float64(weight) * targets[entry] * targets[entry]
        direction[row] = r
        # With right side b and residual r, the quadratic x·Ax - 2 b·x is -x·(b + r).
        for k in range(width):
            total -= np.float64(solution[k]) * (right[k] + r[k])
        squares[row], scales[row] = _dot(r, r), _dot(right, right)
    return total


@kernel
def advance(indptr, indices, weights, others, penalty, x, image, residual, direction, squares, scales, tolerance):  # type: ignore[no-untyped-def]
    """Take a step in each row whose residual is above `tolerance` of its right-hand side.

    `image` holds direction G on entry; the rest as in `begin`, brought up to date. Returns how many rows took a step,
    and by how much that lowered what they minimise.
    """
    n, width = x.shape
    moved, gain = 0, 0.0
    for row in range(n):
        if squares[row] <= tolerance * tolerance * scales[row]:
            continue
        solution, q, r, p, lam = x[row], image[row], residual[row], direction[row], penalty[row]
        for k in range(width):
            q[k] += lam * p[k]
        for entry in range(indptr[row], indptr[row + 1]):
            other, along = indices[entry], np.float32(0)
            for k in range(width):
                along += others[other, k] * p[k]
            along *= weights[entry]
            for k in range(width):
                q[k] += along * others[other, k]
        curvature = _dot(p, q)
        if not curvature > 0:
            continue
        length = squares[row] / curvature
        for k in range(width):
            solution[k] += length * p[k]
            r[k] -= length * q[k]
        before, squares[row] = squares[row], _dot(r, r)
        turn = squares[row] / before
        for k in range(width):
            p[k] = r[k] + turn * p[k]
        gain += np.float64(length) * before
        moved += 1
    return moved, gain
