"""One model of what steps cost: the scheduler decides by it, and the planner tells tokens per second from it."""
