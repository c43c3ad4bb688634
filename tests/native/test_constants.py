"""Numbers that Python and C++ both count with are the same."""

from __future__ import annotations

import worker_native
from cluster import config
from cluster.actors.driver import last_words
from cluster.cutting import cache_sizes, rules
from cluster.engine import prefix
from ggml.graph import program


def test_a_slot_is_chosen_by_the_gap_that_the_native_side_fills() -> None:
    assert worker_native.MAX_GAP == prefix.MAX_GAP


def test_a_cache_is_planned_in_the_steps_in_which_it_is_attended_to() -> None:
    assert worker_native.ATTENTION_STEP == cache_sizes.CELL_STEP


def test_a_model_that_is_cut_can_be_opened() -> None:
    assert worker_native.MAX_LAYERS == rules.MAX_LAYERS


def test_as_many_slots_as_may_be_asked_for_can_be_had() -> None:
    assert worker_native.MAX_SLOTS >= config.MAX_SLOTS


def test_a_program_has_no_step_with_more_sources_than_the_native_graph_takes() -> None:
    assert worker_native.MAX_SOURCES == program._MAX_SOURCES


def test_last_words_are_read_whole() -> None:
    assert worker_native.LAST_WORDS_BYTES <= last_words.MAX_WORDS_BYTES
