"""Where models come from: files, split files, the Hugging Face hub, URLs, other nodes.

`resolve.resolve` turns what a user typed into a `source.ModelSource`, plain data that goes to every node.
`opening.open_model` opens it on a node: header, hash, and the places to read weights from, nearest first.
"""

from __future__ import annotations
