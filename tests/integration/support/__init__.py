# SPDX-License-Identifier: Apache-2.0
"""Helpers of the integration tests: server processes, clients, a webhook receiver."""
