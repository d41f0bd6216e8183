"""Build models and backbones from the registry, freeze parts of them, describe their structure.

For authors of models: ``StagedModel`` is what a model offers to serve as a backbone.  Its
``head_parts`` are also what stays new when weights for other classes are loaded.
"""

from zoo.models._backbone import StagedModel, build_backbone
from zoo.models._build import build_model
from zoo.models._fold import FOLDING_PAYS_FROM, fold_batch_norms
from zoo.models._freeze import FrozenBatchNorm2d, freeze_batch_norms, freeze_parts
from zoo.models._structure import StageRow, counted_multiply_adds, describe_structure

__all__ = [
    "FOLDING_PAYS_FROM",
    "FrozenBatchNorm2d",
    "StageRow",
    "StagedModel",
    "build_backbone",
    "build_model",
    "counted_multiply_adds",
    "describe_structure",
    "fold_batch_norms",
    "freeze_batch_norms",
    "freeze_parts",
]
