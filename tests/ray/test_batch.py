"""Many prompts on a real cluster of few slots: order, a queue that takes none, and slots that come free."""

from __future__ import annotations

import _thread
import threading

import pytest

from cluster import Completion, connect
from cluster.api.errors import ClusterError
from tests.conftest import CliHome, UpCluster
from tests.fakes.wire_backends import wait_until

PROMPTS = [f"Once upon a time there were {number} little" for number in range(60)]


def test_a_batch_on_few_slots(up_cluster: UpCluster) -> None:
    with (
        up_cluster("--demo", "--stages", "2", "--parallel", "4", "--max-waiting", "0") as home,
        connect(home.address, home.client_secret) as client,
    ):
        ask = {"max_tokens": 8, "temperature": 0.0}
        found = client.generate(iter(PROMPTS), **ask)
        assert [one.timings.num_prompt_tokens for one in found] == [len(client.tokenize(one)) for one in PROMPTS]
        assert found[7].text == client.generate(PROMPTS[7], **ask).text
        mixed = client.generate(["Once", [10**6], "One day"], return_errors=True, **ask)
        assert [isinstance(one, Completion) for one in mixed] == [True, False, True]
        with pytest.raises(ClusterError, match="outside of the vocabulary") as raised:
            client.generate(["Once", [10**6]], **ask)
        assert isinstance(raised.value.completions[0], Completion)
        _interrupt_a_batch(home)


def _interrupt_a_batch(home: CliHome) -> None:
    """All four slots run long texts when the interrupt comes; soon none is used."""
    endpoint = home.address, home.client_secret
    with connect(*endpoint) as client, connect(*endpoint) as watcher:

        def interrupt() -> None:
            wait_until(lambda: watcher.status().num_slots_used == 4)
            _thread.interrupt_main()

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            client.generate(PROMPTS, max_tokens=900, ignore_eos=True)
        thread.join()
        wait_until(lambda: watcher.status().num_slots_used == 0)
