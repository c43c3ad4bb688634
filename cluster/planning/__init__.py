"""From settings and a GGUF to a plan: which layers go to which device, what that takes and how fast it will be."""

from __future__ import annotations

from cluster.planning.model_plan import ModelPlan, plan_model

__all__ = ["ModelPlan", "plan_model"]
