"""Every number of the stages that was tuned: its unit, and what set it; as in cluster.engine.cost.tuning.

"The 2-core machine" has two cores of an AMD EPYC with AVX-512. "By reasoning" says that no benchmark was found.
"""

from __future__ import annotations

# -- a stage's measurement of itself, and its padding (stage.models)

# Rows that are timed when a stage is loaded. By reasoning: every size up to two groups of `PERIOD`, then coarser.
MEASURED_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
# Times that each is timed; the least counts. By reasoning: what disturbs one round seldom lasts for all.
MEASURE_ROUNDS = 3
# Seconds in all: with a large model, fewer sizes are timed. By reasoning: loading one takes longer.
MEASURE_S = 3.0
# Rows after which the time of a step repeats its pattern. The 2-core machine: a step of a 1.1B Q4_0 on
# one thread with 1, 2, 3, 4, 8 rows took 109, 174, 201, 97, 180 ms.
PERIOD = 4
# Rows that may be added for nothing. By reasoning: more would fill a whole group.
MOST_PADDING = PERIOD - 1
# Share of a step's time: padded, it must take less. By reasoning: two measurements of one size differ by some percent.
PADDING_GAIN = 0.9

# -- cores (stage.cores)

# Turns of GNU OpenMP's threads before they sleep. By default they turn for milliseconds after a step, on a core that
# the next stage needs; so many bridge the gaps inside a step. The 2-core machine:
# `cluster bench --synthetic 1b:Q4_0 --stages 2 -np 1,8`.
SPIN_COUNT = 3000
# Seconds after which the interpreter hands itself to another thread. Its default, 0.005, is longer than a message may
# wait for a thread that computes in Python. The same bench, hop and turn.
SWITCH_INTERVAL_S = 0.0005
# Niceness of the threads that compute, against the I/O threads' 0: a message that arrives is read at once. The same.
COMPUTE_NICENESS = 5
