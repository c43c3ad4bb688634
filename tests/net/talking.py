"""Streams that run while something happens to the cluster.

Runs alone on a host: ``python talking.py NUM_STREAMS MAX_TOKENS`` connects as any client there, starts the streams,
writes "token STREAM" for each that has begun, and at the end of each "done STREAM TEXT" or "failed STREAM TYPE:
MESSAGE"; the texts are JSON. Then "over".
"""

from __future__ import annotations

import json
import sys
import threading

import cluster

PROMPT = "Once upon a time"
PARAMS = cluster.SamplingParams(temperature=0.0, ignore_eos=True)


def talk(client: cluster.Client, stream: int, max_tokens: int) -> None:
    said: list[str] = []
    try:
        for event in client.stream(PROMPT, PARAMS, max_tokens=max_tokens):
            if not said:
                print("token", stream, flush=True)
            said.append(event.text)
        print("done", stream, json.dumps("".join(said)), flush=True)
    except cluster.ClusterError as error:
        print("failed", stream, json.dumps(f"{type(error).__name__}: {error}"), flush=True)


if __name__ == "__main__":
    with cluster.connect() as connected:
        threads = [
            threading.Thread(target=talk, args=(connected, stream, int(sys.argv[2])))
            for stream in range(int(sys.argv[1]))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print("over", flush=True)
