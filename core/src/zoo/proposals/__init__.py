"""Where on an image objects could be: made once for a data set, kept, and shared by detectors."""

from zoo.proposals._artefact import Proposals, read_proposals, save_proposals
from zoo.proposals._building import Bar, find_or_build, place_in_cache
from zoo.proposals._images import ImageId, ProposedDataset, image_ids
from zoo.proposals._method import RPN, Method, check_weights_of, is_method, resolve_method
from zoo.proposals._proposer import Proposer, open_proposer, propose, rgb_of, with_proposals
from zoo.proposals._recall import recall, recall_of_boxes

__all__ = [
    "RPN",
    "Bar",
    "ImageId",
    "Method",
    "Proposals",
    "ProposedDataset",
    "Proposer",
    "check_weights_of",
    "find_or_build",
    "image_ids",
    "is_method",
    "open_proposer",
    "place_in_cache",
    "propose",
    "read_proposals",
    "recall",
    "recall_of_boxes",
    "resolve_method",
    "rgb_of",
    "save_proposals",
    "with_proposals",
]
