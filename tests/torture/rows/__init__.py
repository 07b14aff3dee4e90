# SPDX-License-Identifier: Apache-2.0
"""The rows, one file for each family of faults. A file has ROWS, a list of row.Row; all files here are taken."""
