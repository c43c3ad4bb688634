"""From nodes to results: strided values, programs, the executor of native graphs, and who watches them."""
