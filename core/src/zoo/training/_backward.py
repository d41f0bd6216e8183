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

from zoo.errors import PluginCodeError

_TO_LEAVES = {"allow_unreachable": True, "accumulate_grad": True}


def backward(sums: Sequence[Tensor], weights: Sequence[Tensor]) -> None:
    """Add the gradient of the weighted sum to those of the leaves; to the same bits either way.

    Args:
        sums: (); those without a graph are passed over, as a frozen part's loss is.
        weights: () of the sums' types, without graphs.

    Raises:
        PluginCodeError: no sum has a graph.
    """
    if not all(total.requires_grad for total in sums):
        pairs = zip(sums, weights, strict=True)
        learning = [(total, weight) for total, weight in pairs if total.requires_grad]
        if not learning:
            raise PluginCodeError(
                "the model's losses do not depend on weights that learn",
                "Its forward must not detach what it answers, nor turn gradients off; and what is"
                " frozen must leave a part that counts.",
            )
        sums, weights = zip(*learning, strict=True)
    run = getattr(graph, "_engine_run_backward", None)
    if run is None:
        torch.autograd.backward([total * w for total, w in zip(sums, weights, strict=True)])
    else:
        keep_graph = create_graph = False
        run(tuple(sums), tuple(weights), keep_graph, create_graph, (), **_TO_LEAVES)
