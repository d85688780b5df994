"""Time-limited credentials as every TURN REST client computes them (draft-uberti-behave-turn-rest-00)."""

import base64
import hashlib
import hmac
import time


def time_limited(secret, user, lifetime=600):
    """A username that expires `lifetime` seconds from now (negative: has expired), and its password."""
    name = f"{int(time.time()) + lifetime}:{user}"
    digest = hmac.new(secret.encode(), name.encode(), hashlib.sha1).digest()
    return name, base64.b64encode(digest).decode()
