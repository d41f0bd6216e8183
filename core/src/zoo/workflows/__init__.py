"""Assemble the objects for one verb; no algorithm."""

from zoo.exporting import ExportedFile
from zoo.workflows._benchmark import BenchmarkResult, benchmark
from zoo.workflows._build_proposals import BuiltProposals, build_proposals
from zoo.workflows._compare import ComparedRun, Comparison, compare
from zoo.workflows._data import check_data, pack_data
from zoo.workflows._evaluate import EvaluationResult, evaluate
from zoo.workflows._export import export
from zoo.workflows._open import open_predictor
from zoo.workflows._predict import Prediction, collect_images, predict
from zoo.workflows._train import check_borrowed_data, plan_training, run_training, train

__all__ = [
    "BenchmarkResult",
    "BuiltProposals",
    "ComparedRun",
    "Comparison",
    "EvaluationResult",
    "ExportedFile",
    "Prediction",
    "benchmark",
    "build_proposals",
    "check_borrowed_data",
    "check_data",
    "collect_images",
    "compare",
    "evaluate",
    "export",
    "open_predictor",
    "pack_data",
    "plan_training",
    "predict",
    "run_training",
    "train",
]
