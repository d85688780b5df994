"""The rows of the table: one file for each independent client."""

from rows import aiortc, chromium, startup, tls, uclient


def all_groups():
    return [
        uclient.GROUP,
        tls.GROUP,
        aiortc.GROUP,
        chromium.GROUP,
        chromium.DEV_GROUP,
        startup.GROUP,
    ]
