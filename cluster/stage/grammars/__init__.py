"""Grammars beside the sampler of the last stage: compiled once, followed slot by slot.

compiled  those that were asked for, ready to be followed, and the vocabulary that they share
slot      the grammar of one slot: what it has drawn, and what may come next
sampler   the sampler with masks for each step, which are made while other steps are computed
"""
