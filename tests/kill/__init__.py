# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random instants and named points, under load, and what must be true afterwards."""
