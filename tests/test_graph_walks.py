"""Walks have the probabilities of DeepWalk and node2vec, and are the same whatever the batches and the threads."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chisquare

import embedkit_graph.walks as walks_module
from embedkit_graph import kernels
from embedkit_graph.graph import Edges, Findings, make_graph
from embedkit_graph.walks import Walker, Walking

N = 9


def listed(seed, directed):
    """Return random edges with very unlike weights; where directed, the last node is a sink."""
    rng = np.random.default_rng(seed)
    present = rng.random((N, N)) < 0.45
    np.fill_diagonal(present, False)
    if directed:
        present[N - 1] = False
    else:
        present = np.triu(present)
    sources, targets = np.nonzero(present)
    weights = rng.choice([0.05, 1.0, 2.0, 30.0], len(sources)).astype(np.float32)
    return sources.astype(np.int32), targets.astype(np.int32), weights


def graph_of(sources, targets, weights=None, *, directed=False, **options):
    names = pa.array([f"n{i}" for i in range(max(*sources, *targets) + 1)], pa.large_string())
    return make_graph(Edges(names, sources, targets, weights), Findings(), directed=directed, **options)


def adjacency(graph):
    dense = np.zeros((len(graph.names),) * 2)
    for v in range(len(dense)):
        row = slice(graph.indptr[v], graph.indptr[v + 1])
        dense[v, graph.indices[row]] = 1.0 if graph.weights is None else graph.weights[row]
    return dense


def second_order(dense, last, here, p, q):
    """Return the next node's probabilities, as equation 2 of Grover & Leskovec (2016) has them."""
    mass = np.zeros(len(dense))
    for x in np.flatnonzero(dense[here]):
        bias = 1 / p if x == last else 1.0 if dense[last, x] else 1 / q
        mass[x] = dense[here, x] * bias
    return mass / mass.sum()


def agrees(counts, probabilities):
    """Tell whether counts could come from the probabilities; places never expected must be empty."""
    assert not counts[probabilities == 0].any()
    expected = probabilities * counts.sum()
    common = expected >= 5
    if common.sum() < 2:
        return True
    observed = np.append(counts[common], counts[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    kept = wanted > 0
    return chisquare(observed[kept], wanted[kept] * observed.sum() / wanted[kept].sum()).pvalue > 1e-5


def all_walks(graph, **options):
    walking = Walking(**{"walks_per_node": 1, "seed": 3, **options})
    walker = Walker(graph, walking)
    starts = np.tile(graph.starts(), walking.walks_per_node)
    ids, lengths = walker.walks(starts, 0)
    return np.split(ids, np.cumsum(lengths)[:-1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0.25, 4), (4, 0.25), (0.01, 1), (100, 100), (1e6, 1e-6), (0.25, 0.5)])
def test_steps_have_the_second_order_probabilities(weighted, directed, p, q):
    sources, targets, weights = listed(5, directed)
    graph = graph_of(sources, targets, weights if weighted else None, directed=directed)
    dense = adjacency(graph)
    firsts, steps = np.zeros((N, N)), {}
    for walk in all_walks(graph, walks_per_node=400, walk_length=60, p=p, q=q):
        if len(walk) > 1:
            firsts[walk[0], walk[1]] += 1
        for last, here, following in zip(walk, walk[1:], walk[2:], strict=False):
            steps.setdefault((int(last), int(here)), np.zeros(N))[following] += 1
    for v in np.flatnonzero(dense.sum(1)):
        assert agrees(firsts[v], dense[v] / dense[v].sum())
    assert len(steps) > 15
    for (last, here), counts in steps.items():
        assert agrees(counts, second_order(dense, last, here, p, q)), (last, here)


def test_a_hub_with_extreme_parameters_ends_and_keeps_its_probabilities():
    leaves = np.arange(1, 301, dtype=np.int32)
    graph = graph_of(np.zeros(300, np.int32), leaves)
    steps = all_walks(graph, walks_per_node=20, walk_length=40, p=1e-6, q=1e6)
    # From a leaf there is only the way back; in the hub, the way back outweighs 299 others 4e9 times.
    assert sum(len(set(walk.tolist())) == 2 for walk in steps) == len(steps)
    away = all_walks(graph, walks_per_node=20, walk_length=40, p=1e6, q=1e-6)
    turned = sum(int((walk[2:] == walk[:-2])[walk[1:-1] == 0].sum()) for walk in away)
    assert turned == 0


def collected(graph, **options):
    batches = list(Walker(graph, Walking(**options)).batches())
    assert all(pa.types.is_dictionary(batch.tokens.type) for batch in batches)
    return [
        batch.tokens[start:end].to_pylist()
        for batch in batches
        for start, end in zip(batch.offsets[:-1], batch.offsets[1:], strict=True)
    ]


@pytest.mark.parametrize("directed", [False, True])
def test_walks_depend_on_the_seed_alone(monkeypatch, directed):
    graph = graph_of(*listed(5, directed), directed=directed)
    options = {"walks_per_node": 3, "walk_length": 11, "p": 0.5, "q": 2.0}
    whole = collected(graph, **options, seed=7, workers=1)
    assert collected(graph, **options, seed=7, workers=5) == whole
    monkeypatch.setattr(walks_module, "BATCH_TOKENS", 1)
    assert collected(graph, **options, seed=7) == whole
    assert collected(graph, **options, seed=8) != whole
    assert collected(graph, **{**options, "walk_length": 5}, seed=7) == [walk[:5] for walk in whole]


def test_each_node_begins_as_many_walks_as_asked_in_an_order_that_changes():
    graph = graph_of(*listed(5, False)[:2])
    walks = collected(graph, walks_per_node=4, walk_length=6)
    nodes = sorted(graph.names.to_pylist())
    turns = [[walk[0] for walk in walks[i : i + N]] for i in range(0, len(walks), N)]
    assert len(turns) == 4
    assert all(sorted(turn) == nodes for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 1
    assert {len(walk) for walk in walks} == {6}


def test_walks_end_at_sinks_and_every_node_is_met():
    graph = graph_of(np.array([0, 1, 1], np.int32), np.array([1, 2, 3], np.int32), directed=True)
    walks = collected(graph, walks_per_node=2, walk_length=10)
    assert Counter(len(walk) for walk in walks) == {3: 2, 2: 2, 1: 4}
    assert {walk[-1] for walk in walks} == {"n2", "n3"}
    assert {token for walk in walks for token in walk} == {"n0", "n1", "n2", "n3"}


def test_a_graph_lists_neighbours_once_in_order():
    sources, targets = np.array([2, 0, 0, 1, 2, 2], np.int32), np.array([0, 2, 2, 0, 1, 2], np.int32)
    weights = np.array([1, 2, 4, 8, 16, 32], np.float32)
    np.testing.assert_array_equal(adjacency(graph_of(sources, targets)), [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(
        adjacency(graph_of(sources, targets, count_duplicates=True)), [[0, 1, 3], [1, 0, 1], [3, 1, 0]]
    )
    np.testing.assert_array_equal(adjacency(graph_of(sources, targets, weights)), [[0, 8, 7], [8, 0, 16], [7, 16, 0]])
    np.testing.assert_array_equal(
        adjacency(graph_of(sources, targets, weights, self_loops=True)), [[0, 8, 7], [8, 0, 16], [7, 16, 32]]
    )
    np.testing.assert_array_equal(
        adjacency(graph_of(sources, targets, weights, directed=True)), [[0, 0, 6], [8, 0, 0], [1, 16, 0]]
    )


def test_what_is_merged_and_dropped_is_said():
    findings = Findings()
    names = pa.array(["a", "b", "c", "alone", "d", "e"], pa.large_string())
    sources, targets = np.array([0, 1, 0, 2, 4], np.int32), np.array([1, 0, 1, 2, 5], np.int32)
    make_graph(Edges(names, sources, targets), findings, directed=False)
    assert findings.dropped == {"edges from a node to itself (--self-loops keeps them)": 1, "nodes without an edge": 2}
    assert findings.notes[0] == "2 repeated edges, merged (--count-duplicates makes their number the weight)"
    assert findings.notes[1] == "4 nodes, 2 edges, undirected, equal weights"
    assert findings.notes[2].startswith("the graph falls into 2 parts without an edge between them (the largest: 2")
    both = Findings()
    make_graph(Edges(names, np.array([0, 1], np.int32), np.array([1, 0], np.int32)), both, directed=False)
    assert both.notes[:2] == ["every edge is listed in both directions", "2 nodes, 1 edges, undirected, equal weights"]
    sinks = Findings()
    make_graph(Edges(names, np.array([0], np.int32), np.array([1], np.int32)), sinks, directed=True)
    assert "no edge leads on from 1 nodes: walks end there" in sinks.notes


@pytest.mark.parametrize("directed", [False, True])
def test_parts_are_those_of_scipy(directed):
    rng = np.random.default_rng(2)
    names = pa.array([str(i) for i in range(400)], pa.large_string())
    sources, targets = (rng.integers(0, 400, 260).astype(np.int32) for _ in range(2))
    graph = make_graph(Edges(names, sources, targets), Findings(), directed=directed, self_loops=True)
    part = np.empty(400, np.int32)
    kernels.parts(graph.indptr, graph.indices, part)
    n, labels = connected_components(csr_array(adjacency(graph)), directed=directed, connection="weak")
    assert len(np.unique(part)) == n == len(set(zip(part, labels, strict=True)))
