"""Every number of the engine that was tuned: its unit, and what set it. Those of the stages: cluster.stage.tuning.

"The 2-core machine" has two cores of an AMD EPYC with AVX-512 and 24 GB; its figures are in docs/benchmarks*.md and
docs/throughput.md. "By reasoning" says that no benchmark was found that set a number. Whoever changes one runs the
benchmark that it names, before and after.
"""

from __future__ import annotations

# -- decoding: how many microbatches (cost.decode)

# Milliseconds, from a stage to the next and from the last one back to the first, where nothing was measured.
# The 2-core machine: hop and turn of `cluster bench --synthetic 1b:Q4_0 --stages 2 -n 32 -np 1,8,16,32`, 0.8 to 1.2.
HOP_MS = 1.0
# Share of the time that one microbatch alone takes: sharing cores must promise less than that. Each message takes its
# time from a core that computes, which no stage has measured. The 2-core machine: the same bench, x8 to x32.
SHARING_GAIN = 0.85

# -- prompts: rows of a chunk (cost of prompts, engine.prompts)

# Steps of the sequences that are being decoded beside a chunk: it takes as long as so many of them. With both in
# turns, and what varies, no stream waits for three times as long as without the prompt. The 2-core machine:
# `cluster bench --synthetic 1b:Q4_0 --gaps`.
CHUNK_STEPS = 1.0
# Rows. CPU kernels compute so many at once: with fewer, a prompt would hardly move. The 2-core machine: a step of a
# 1.1B Q4_0 on one thread with 1, 2, 3, 4, 8 rows took 109, 174, 201, 97, 180 ms.
LEAST_ROWS = 4
# Rows. Flash attention on a CPU computes so many at once; a row of a chunk that has fewer, or some more, takes up to
# twice as long. The 2-core machine: `cluster bench --synthetic 1b:Q4_0 --chunking`.
TILE_ROWS = 64
# Rows that are tried for a chunk. By reasoning: about a third between neighbours, multiples of both numbers above.
CHUNK_ROWS = (4, 8, 12, 16, 24, 32, 48, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192)
# Chunks whose timings are waited for. By reasoning: more than can be in flight, and little memory.
MAX_OPEN_CHUNKS = 256
# Share that the past keeps when the time of another chunk is learned. By reasoning: the last twenty count.
ROW_COST_MEMORY = 0.95
# Squared tokens: with positions less spread than that, their effect cannot be told from noise. By reasoning: chunks
# at some thirty positions apart take times that differ by less than two runs of one.
MIN_POSITION_SPREAD = 1e3

# -- waiting (engine.admission, engine.scheduler, cost.predictor)

# Share of a step of one row that idle stages wait for another request behind the first. The 2-core machine:
# `cluster bench --synthetic 1b:Q4_0 -np 8,32`, whose streams then begin with the same step.
ADMISSION_DELAY_STEPS = 0.1
# Times that wait, however many requests come. By reasoning: half a step is what the first of them loses at most.
MOST_ADMISSION_DELAYS = 5
# Seconds. By reasoning: less is not worth a wait, which takes longer itself.
LEAST_WAIT_S = 1e-5
# Share of a step, ahead of its end, at which the next one is sent behind it: steps vary, and the next may take so much
# less. The 2-core machine: `cluster bench --synthetic 1b:Q4_0 --stages 2 -np 1`, turn and the first token of a request
# that comes in between.
LEAD = 0.25
# Seconds, the least lead: what a message takes on a machine that also computes. The same bench, its 99th percentile.
LEAST_LEAD_S = 0.005

# -- prefixes and slots (engine.prefix, engine.neighbours)

# Tokens. By reasoning: a shorter prefix saves less than a copy and the odd choice of a slot cost. It is also how far
# two prompts are compared token by token before the rest is compared as a whole.
MIN_SHARED_TOKENS = 16
# Slots. A stage computes in one call if no more idle ones than these lie between two that it computes. By reasoning:
# it is what `LEAST_ROWS` leaves free.
MAX_GAP = 3
# Rows: a CPU computes so many as fast as fewer. The measurement of LEAST_ROWS.
ROWS_STEP = 4

# -- drafts (engine.drafting)

# Tokens of the n-grams by which the past of a text is looked up. By reasoning: one token says nothing; vLLM's and
# llama.cpp's defaults are in this range.
SHORTEST_NGRAM, LONGEST_NGRAM = 2, 5
# N-grams that are remembered of one text. By reasoning: the last 16,000 tokens or more, and 20 MB at most.
MOST_NGRAMS = 131_072
# Tokens of a text that are read before one step: about a millisecond of the engine's thread.
MOST_READ = 512
# Share that the past keeps when another guess turned out right or wrong. By reasoning: the last ten count.
DRAFT_MEMORY = 0.9
# Share of right guesses by the length of the n-gram, until texts have told. By reasoning: low enough that each is
# watched first; a copy is taken up after three tokens.
FIRST_RATES = {2: 0.1, 3: 0.2, 4: 0.3, 5: 0.4}
# Share that a text which ends has in what the next one is thought to be like. By reasoning: the last five count.
TEXT_SHARE = 0.2
# Guesses that are tried. By reasoning: with the row before them mostly multiples of ROWS_STEP, and a few short ones.
DRAFT_LENGTHS = (1, 2, 3, 4, 5, 7, 11, 15)
# Share by which a draft must promise more tokens in a time than none. By reasoning: what steps vary by.
DRAFT_GAIN = 0.05
# Share of right guesses below which a step is followed closely by the next one, and not by a draft. What it costs to
# wait for its token is seldom seen, and varies most. The 2-core machine, busy with other things: a story at
# temperature 0.8 was slower where this was left to expectation alone.
LEAST_WAITED_RATE = 0.6
# Share of right guesses below which no draft is sent behind another one that is not answered yet. By reasoning: at less
# than that, hardly any is ever of use, and each takes time of the stages.
LEAST_RUN_RATE = 0.3
# Share of right guesses that is believed at most, there: a hundred in a row.
MOST_RUN_RATE = 0.99
# Share by which such drafts must promise more tokens in a time than one draft at a time. By reasoning: what is dropped
# takes cores and links that others might use.
RUN_GAIN = 0.1
# Share that the past keeps when another step's time is learned; a step counts as no more than so many times what was
# known. By reasoning: the last ten, and no neighbour's burst.
STEP_MEMORY = 0.9
MOST_OUTLIER = 3.0
# Share of what was seen of other steps that each one has forgotten. By reasoning: after some hundred steps it is tried
# again whether longer drafts pay.
STEP_FORGETTING = 0.002
# Streams beside which `--draft auto`, or a model that drafts, guesses. By reasoning: with more, rows are computed
# together anyway.
AUTO_STREAMS = 2

# -- drafts of a small model (coordinator.drafting)

# Share of right guesses of a model that drafts, until texts have told. By reasoning: a small model of the same family
# guesses two of three.
FIRST_MODEL_RATE = 0.6
# Share of that which a text takes up again with each token that was not guessed. By reasoning: where guesses were
# wrong they are tried again, but not within a hundred tokens.
MODEL_FORGETTING = 0.002
# Tokens of a text that the model that drafts may have to read first, where a step waits for it. By reasoning: it reads
# so many in about the time of one.
MOST_CAUGHT_UP = 32
# A step waits for guesses so many times what they took of late, and so many seconds more. By reasoning: what messages
# and other work on the machine add, but no standstill.
MOST_LATE, LATE_S = 3.0, 0.02
# Seconds that a step is held back at least before it is looked at again whether guesses are late. By reasoning: less
# than anybody notices, and no loop without end.
LEAST_HOLD_S = 0.001
