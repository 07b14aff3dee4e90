# SPDX-License-Identifier: Apache-2.0
"""Receivers that misbehave, each kind of it a Fault; for the row of that name."""
from .hooks import HANGING, HOOKS
from .stage import Stage
from .stores import STORES

__all__ = ["FAULTS", "HANGING", "Stage"]
FAULTS = HOOKS + STORES
