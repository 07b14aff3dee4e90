# SPDX-License-Identifier: Apache-2.0
"""Proof that nothing is lost: one row for each kind of fault, each with its own journal of what was acknowledged."""
