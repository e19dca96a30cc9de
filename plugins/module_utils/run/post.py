# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""POST JSON to an address, as a program: it is told by standard input, and says why it was not taken on standard error.

The address is a secret, and errors of libraries may repeat it, so what is said is put together here.
"""

from __future__ import annotations

import json
import sys
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener


class NoRedirect(HTTPRedirectHandler):
    """A POST that is redirected becomes a GET without a body, which would look delivered."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def post(url: str, body: Any) -> str:
    """Returns "", or why it was not taken. It waits for as long as it is let."""
    headers = {"Content-Type": "application/json", "User-Agent": "groundwork.supabase"}
    if not url.startswith(("https://", "http://")):
        return "the address begins neither with https:// nor with http://"
    try:
        request = Request(url, json.dumps(body).encode(), headers)
        with build_opener(NoRedirect).open(request):
            return ""
    except HTTPError as error:
        return f"the receiver answered {error.code}"
    except URLError as error:
        reason = error.reason
        return str(getattr(reason, "strerror", None) or "the receiver cannot be reached")
    except (OSError, HTTPException, ValueError) as error:
        return f"the receiver cannot be talked to ({type(error).__name__})"


if __name__ == "__main__":
    letter = json.load(sys.stdin)
    # On standard error, and status 1, where there is a reason.
    raise SystemExit(post(letter["url"], letter["body"]) or 0)
