"""From strings to ids: a hash table over bytes, grown by its caller."""

import numpy as np

from embedkit.compiled import kernel

_EMPTY = np.int64(-1)


@kernel(inline="always")
def _hash(utf8, start, end):
    """Return the FNV-1a hash of bytes start..end, its high bits mixed into the low ones (uint64)."""
    h = np.uint64(0xCBF29CE484222325)
    for i in range(start, end):
        h = (h ^ np.uint64(utf8[i])) * np.uint64(0x100000001B3)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    return h ^ (h >> np.uint64(32))


@kernel(inline="always")
def _same(utf8, start, end, arena, first, last):
    if end - start != last - first:
        return False
    for i in range(end - start):
        if utf8[start + i] != arena[first + i]:
            return False
    return True


@kernel
def encode(utf8, offsets, begin, slots, arena, ends, counts, used, ids):
    """Give each string its id, a new one where it was never seen, until done or until the table is full.

    Parameters
    ----------
    utf8 : uint8 (bytes)
        The strings end to end.
    offsets : int64 (n + 1)
        String i is `utf8[offsets[i]:offsets[i + 1]]`; an empty one gets id -1 and is counted nowhere.
    begin : int
        The string to begin with.
    slots : int64 (a power of two)
        The table: -1, or the hash's low half above the id's 32 bits.
    arena : uint8
        The bytes of the strings seen so far.
    ends : int64 (capacity + 1)
        String id's bytes are `arena[ends[id]:ends[id + 1]]`.
    counts : int64 (capacity)
        How often each was seen.
    used : int64 (1)
        How many strings are in the table.
    ids : int32 (n)
        Receives the ids.

    Returns
    -------
    int
        Where it stopped: n, or the string for which `slots`, `arena` or `counts` must first grow.
    """
    mask = np.uint64(slots.shape[0] - 1)
    n_used = used[0]
    for i in range(begin, ids.shape[0]):
        start, end = offsets[i], offsets[i + 1]
        if start == end:
            ids[i] = -1
            continue
        h = _hash(utf8, start, end)
        tag = np.int64(h >> np.uint64(33)) << 32
        slot = h & mask
        found = _EMPTY
        while slots[slot] != _EMPTY:
            entry = slots[slot]
            if entry >> 32 == tag >> 32:
                known = entry & 0x7FFFFFFF
                if _same(utf8, start, end, arena, ends[known], ends[known + 1]):
                    found = known
                    break
            slot = (slot + np.uint64(1)) & mask
        if found == _EMPTY:
            full = 2 * n_used >= slots.shape[0] or n_used >= counts.shape[0]
            if full or ends[n_used] + end - start > arena.shape[0]:
                used[0] = n_used
                return i
            found = n_used
            slots[slot] = tag | found
            for j in range(end - start):
                arena[ends[n_used] + j] = utf8[start + j]
            ends[n_used + 1] = ends[n_used] + end - start
            n_used += 1
        ids[i] = found
        counts[found] += 1
    used[0] = n_used
    return ids.shape[0]


@kernel
def rehash(slots, arena, ends, n):
    """Enter strings 0..n of `arena` anew into the emptied table `slots`; see `encode`."""
    mask = np.uint64(slots.shape[0] - 1)
    for known in range(n):
        h = _hash(arena, ends[known], ends[known + 1])
        slot = h & mask
        while slots[slot] != _EMPTY:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = (np.int64(h >> np.uint64(33)) << 32) | known


@kernel
def hash_all(utf8, offsets, out):
    """Write each string's hash (uint64): string i is `utf8[offsets[i]:offsets[i + 1]]`."""
    for i in range(out.shape[0]):
        out[i] = _hash(utf8, offsets[i], offsets[i + 1])
