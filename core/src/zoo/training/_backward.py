"""The backward pass from several sums at once, begun at torch's engine.

``torch.autograd.backward``, given gradients to begin with, compares shapes by means of torch's
compiler stack, whose import takes a second.  Without gradients the sums would have to be multiplied
before, and products of single numbers, their nodes and that function's own checks cost a tenth of a
tiny step.  What it calls in the end is not public: where that is missing, the products serve.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import graph

_TO_LEAVES = {"allow_unreachable": True, "accumulate_grad": True}


def backward(sums: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Add the gradient of the weighted sum to those of the leaves; to the same bits either way.

    Args:
        sums: (), each with a graph.
        weights: () of the sums' types, without graphs.
    """
    run = getattr(graph, "_engine_run_backward", None)
    if run is None:
        torch.autograd.backward([total * w for total, w in zip(sums, weights, strict=True)])
    else:
        keep_graph = create_graph = False
        run(tuple(sums), tuple(weights), keep_graph, create_graph, (), **_TO_LEAVES)
