"""Time-limited credentials (draft-uberti-behave-turn-rest-00)."""

import base64
import hashlib
import hmac
import time


def time_limited(secret, user, lifetime=600):
    """A username that expires in `lifetime` seconds (negative: has expired), and its password."""
    name = f"{int(time.time()) + lifetime}:{user}"
    digest = hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()
    return name, base64.b64encode(digest).decode()
