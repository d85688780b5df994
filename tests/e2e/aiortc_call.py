#!/usr/bin/env python3
"""Calls itself through a TURN server: two aiortc peers, relayed candidates only.

    aiortc_call.py URL USERNAME CREDENTIAL

One peer sends MESSAGES over a data channel and a generated video; the other echoes the messages
and decodes the frames. Prints one JSON object: what was measured, and what was missing.
`SSL_CERT_FILE` names the authority that `turns:` URLs are verified with.
"""

import asyncio
import json
import sys

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, VideoStreamTrack

MESSAGES = 200
MESSAGE = bytes(range(256)) * 4
FRAMES = 15
PATIENCE_SECONDS = 40


class Echo:
    """The called peer: sends messages back, counts decoded frames."""

    def __init__(self, connection):
        self.frames = 0
        self.saw_enough = asyncio.Event()
        self.watching = None
        connection.on("datachannel", self.on_channel)
        connection.on("track", self.on_track)

    def on_channel(self, channel):
        channel.on("message", channel.send)

    def on_track(self, track):
        self.watching = asyncio.ensure_future(self.watch(track))

    async def watch(self, track):
        try:
            while True:
                await track.recv()
                self.frames += 1
                if self.frames == FRAMES:
                    self.saw_enough.set()
        except MediaStreamError:
            pass  # The track ends with the call.


class Caller:
    """The calling peer: sends messages once the channel is open, checks what comes back."""

    def __init__(self, connection):
        self.connection = connection
        connection.addTrack(VideoStreamTrack())
        self.channel = connection.createDataChannel("echo")
        self.echoed = 0
        self.heard_all = asyncio.Event()
        self.channel.on("open", self.on_open)
        self.channel.on("message", self.on_message)

    def on_open(self):
        for _ in range(MESSAGES):
            self.channel.send(MESSAGE)

    def on_message(self, message):
        self.echoed += message == MESSAGE
        if self.echoed == MESSAGES:
            self.heard_all.set()

    async def connect(self, other):
        await self.connection.setLocalDescription(await self.connection.createOffer())
        await other.setRemoteDescription(self.connection.localDescription)
        await other.setLocalDescription(await other.createAnswer())
        await self.connection.setRemoteDescription(other.localDescription)


async def call(url, username, credential):
    configuration = RTCConfiguration(
        iceServers=[RTCIceServer(urls=url, username=username, credential=credential)],
        iceTransportPolicy=RTCIceTransportPolicy.RELAY,
    )
    here, there = RTCPeerConnection(configuration), RTCPeerConnection(configuration)
    caller, echo = Caller(here), Echo(there)
    failures = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await caller.connect(there)
            await caller.heard_all.wait()
            await echo.saw_enough.wait()
    except Exception as error:  # Whatever went wrong belongs into the report.
        failures.append(f"{type(error).__name__}: {error}")
    figures = await measure(caller, echo)
    if figures["pair"] != "relay-relay":
        failures.append(f"the media went over {figures['pair']}, not relay-relay")
    await asyncio.gather(here.close(), there.close())
    return {"figures": figures, "failures": failures}


async def measure(caller, echo):
    stats = (await caller.connection.getStats()).values()
    transports = [entry for entry in stats if entry.type == "transport"]
    return {
        "echoed": f"{caller.echoed} of {MESSAGES}",
        "video frames": echo.frames,
        "bytes sent": sum(entry.bytesSent for entry in transports),
        "received": sum(entry.bytesReceived for entry in transports),
        "pair": selected_pair(caller.connection),
    }


def selected_pair(connection):
    """The kinds of the nominated candidates. aiortc has no public way to ask."""
    nominated = connection.sctp.transport.transport._connection._nominated.values()
    kinds = {f"{pair.local_candidate.type}-{pair.remote_candidate.type}" for pair in nominated}
    return "/".join(sorted(kinds)) or "none"


if __name__ == "__main__":
    result = asyncio.run(call(*sys.argv[1:4]))
    print(json.dumps(result))
    sys.exit(1 if result["failures"] else 0)
