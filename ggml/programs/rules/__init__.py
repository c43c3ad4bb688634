"""What each operation of ATen is here: one function for each, by kind. Importing this enters all of them."""

from ggml.programs.rules import complexes, counting, creating, experts, fused, moving, norms, same, sequences, spatial
from ggml.programs.rules.table import RULES, Rule, lowering, signature_of

__all__ = [
    "RULES",
    "Rule",
    "complexes",
    "counting",
    "creating",
    "experts",
    "fused",
    "lowering",
    "moving",
    "norms",
    "same",
    "sequences",
    "signature_of",
    "spatial",
]
