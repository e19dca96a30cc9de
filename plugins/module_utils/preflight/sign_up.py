# Copyright (c) 2026, Groundwork contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether those who sign up can ever sign in, by the environment that Auth gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.groundwork.supabase.plugins.module_utils.errors import Fault

# What Go's strconv.ParseBool takes for true; Auth reads its settings by it.
TRUE = frozenset({"1", "t", "true"})
# A provider beside e-mail, a phone number or nobody at all (anonymous users) needs no mail.
OTHER_PROVIDER = re.compile(r"GOTRUE_(?:EXTERNAL_(?!EMAIL_)\w+|SAML)_ENABLED")


def find_sign_up_faults(where: str, entry: Any) -> list[Fault]:
    """The fault of an Auth that waits for addresses to be confirmed and has no way to ask for that.

    Without GOTRUE_SMTP_HOST its mail client does nothing and reports success (supabase/auth, internal/mailer).
    """
    environment = entry.get("environment") if isinstance(entry, Mapping) else None
    # What stands in a file is not known here.
    if not isinstance(environment, Mapping) or entry.get("env_file"):
        return []
    settings = {str(name): "" if value is None else str(value).strip().lower() for name, value in environment.items()}

    def on(name: str, default: str = "false") -> bool:
        return settings.get(name, default) in TRUE

    sends = settings.get("GOTRUE_SMTP_HOST") or on("GOTRUE_HOOK_SEND_EMAIL_ENABLED")
    confirmed = on("GOTRUE_MAILER_AUTOCONFIRM") or on("GOTRUE_MAILER_ALLOW_UNVERIFIED_EMAIL_SIGN_INS")
    other_ways = any(OTHER_PROVIDER.fullmatch(name) and on(name) for name in settings)
    if (
        sends
        or confirmed
        or other_ways
        or on("GOTRUE_DISABLE_SIGNUP")
        or not on("GOTRUE_EXTERNAL_EMAIL_ENABLED", "true")
    ):
        return []
    cause = "who signs up has to confirm an address and no mail server is set, so nobody could ever sign in"
    return [Fault(where, cause, "set stack_smtp.host, or stack_email_autoconfirm: true, or stack_signup: false")]
