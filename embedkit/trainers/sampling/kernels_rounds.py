"""Changes kept apart until a round ends: what lets several threads learn side by side with the same bits every time.

In a round, streams (each with its own part of the corpus) learn from tables that nobody changes meanwhile. What a
stream adds to a row lies in a row of its own, behind the tokens' rows in the same table; it sees the sum of both. After
the round, the changes are added to the tokens' rows in the order of the streams. Which thread adds to which row is
immaterial, as the sum of a row does not depend on it.

A stream's own changes are described by

held : int32 (2, room)
    The tokens whose rows in the input and the output table it has changed in this round, in the order of first use.
counts : int64 (2)
    How many those are.
changes : int
    The row where its changes begin, in both tables: that of token `held[which, slot]` lies `slot` rows behind.
cells : int32 (2, a power of 2)
    Hash tables over `held`, with linear probing: the slot and 1; 0 where there is none.

Numba does not see when a file changes that another file's kernels call: after an edit, clear the callers' caches.
"""

import numpy as np

from embedkit.compiled import kernel
from embedkit.trainers.machinery.kernels_tiles import mix_rows, prefetch_row

f32, u32, u64 = np.float32, np.uint32, np.uint64
INPUTS, OUTPUTS = range(2)
_AHEAD = 8
_GOLDEN = 2654435769  # 2**32 over the golden ratio: spreads neighbours (Knuth, The Art of Computer Programming 3, 6.4)


@kernel
def empty_cells(held):
    """Return hash tables for what a stream will hold, at most a quarter full."""
    size = 4
    while size < 4 * held.shape[1]:
        size *= 2
    return np.zeros((2, size), np.int32)


@kernel
def is_full(held, counts, n_inputs, n_outputs):
    """Tell whether another block of so many rows might find no room; its round then ends."""
    room = held.shape[1]
    return counts[INPUTS] + n_inputs > room or counts[OUTPUTS] + n_outputs > room


@kernel
def clear_row(table, row):
    """Set a row to zeros."""
    for z in range(table.shape[1]):
        table[row, z] = f32(0)


@kernel
def hold(rows, n, which, table, cells, held, counts, changes):
    """Turn n rows into slots of what the stream holds, which begins with zeros for those it did not hold yet."""
    count, last = counts[which], u32(cells.shape[1] - 1)
    for x in range(n):
        row = rows[x]
        cell = ((u32(row) * u32(_GOLDEN)) >> u32(12)) & last
        slot = np.int64(cells[which, np.int64(cell)])
        while slot != 0 and held[which, slot - 1] != row:
            cell = (cell + u32(1)) & last
            slot = np.int64(cells[which, np.int64(cell)])
        if slot == 0:
            held[which, count] = row
            clear_row(table, changes + count)
            count += 1
            slot = count
            cells[which, np.int64(cell)] = slot
        prefetch_row(table, row)
        rows[x] = slot - 1
    counts[which] = count


@kernel
def gather_changed(buffer, n, table, rows, which, cells, held, counts, changes):
    """Copy n rows as the stream sees them next to each other, and turn `rows` into those of its own changes."""
    hold(rows, n, which, table, cells, held, counts, changes)
    for x in range(n):
        own = changes + rows[x]
        mix_rows(buffer, x, table, held[which, rows[x]], f32(1), table, own, f32(1))
        rows[x] = own


@kernel
def add_changes(table, which, held, counts, changes, factors, share, n_shares):
    """Add to the rows of a share what the streams changed there, in the order of the streams.

    Parameters
    ----------
    table : float32 (n_tokens and n_streams * room, width)
        Input or output vectors, and behind them the changes.
    which : int
        INPUTS or OUTPUTS.
    held, counts : int32 (n_streams, 2, room), int64 (n_streams, 2)
        Of all streams; see above.
    changes : int
        The row where those of the first stream begin.
    factors : float32 (2, n_tokens)
        What each token's changes are multiplied by; see `rounds`.
    share, n_shares : int
        Which share this is. Every row is in one, whatever n_shares is.
    """
    mine = np.zeros(held.shape[2] + _AHEAD, np.int64)
    for stream in range(held.shape[0]):
        n = 0
        for slot in range(counts[stream, which]):
            mine[n] = slot  # in any case: a branch would be foretold wrongly half the time
            spread = (u64(held[stream, which, slot]) * u64(_GOLDEN)) & u64(0xFFFFFFFF)
            n += np.int64((spread * u64(n_shares)) >> u64(32) == u64(share))
        for i in range(n, n + _AHEAD):
            mine[i] = 0
        first = changes + stream * held.shape[2]
        for i in range(n):
            prefetch_row(table, held[stream, which, mine[i + _AHEAD]])
            row = held[stream, which, mine[i]]
            mix_rows(table, row, table, row, f32(1), table, first + mine[i], factors[which, row])
