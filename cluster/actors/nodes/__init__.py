"""The machines of a cluster: asked through an agent on each, enrolled, ended."""
