# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens that stand in a job's text, where everybody who may read jobs, their runs or a dump reads them."""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
      \beyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]+)?             # a JSON Web Token
    | \bsb_secret_[\w-]{6,}                              # a secret key of Supabase's API
    | \bsbp_[\w-]{16,}                                   # an access token of Supabase's
    | \bbearer\s+(?:ey\w[\w.-]*|[\w.~+/-]{20,}=*)        # any other one in a header
    | (?<=://)[^\s:/@']*:[^\s:/@']+(?=@)                 # a password in a URL
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
MASK = "********"


def find_tokens(text: str) -> list[str]:
    """Everything that looks like a token."""
    return [match.group() for match in TOKEN.finditer(text)]


def mask(text: str) -> str:
    """The text without what looks like a token."""
    return TOKEN.sub(MASK, text)
