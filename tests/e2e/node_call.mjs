// Calls itself through a TURN server: two peers in one Node process, relayed candidates only.
//
//     node_call.mjs STACK URL USERNAME CREDENTIAL [AUTHORITY]
//
// STACK is werift (TypeScript all through) or ndc (node-datachannel: libdatachannel and libjuice). One peer sends MESSAGES
// over a data channel, the other echoes them. Prints one JSON object: what was measured, and what was missing. AUTHORITY
// is the file with the authority that `turns:` URLs are verified with.

import { readFileSync } from "node:fs";

const MESSAGES = 200;
const MESSAGE = Buffer.from(Uint8Array.from({ length: 1024 }, (_, at) => at & 255));
const PATIENCE_MS = 40_000;

const [stack, url, username, credential, authority] = process.argv.slice(2);

async function newPeers() {
  if (stack === "werift") {
    const { RTCPeerConnection } = await import("werift");
    const options = authority ? { ca: readFileSync(authority), rejectUnauthorized: true } : undefined;
    const server = { urls: url, username, credential };
    const configuration = { iceServers: [server], iceTransportPolicy: "relay", turnTlsOptions: options };
    return [1, 2].map(() => new RTCPeerConnection(configuration));
  }
  const { RTCPeerConnection } = await import("node-datachannel/polyfill");
  // It builds a URL of them, and escapes nothing.
  const server = { urls: url, username: encodeURIComponent(username), credential: encodeURIComponent(credential) };
  return [1, 2].map(() => new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" }));
}

// Hands each peer's candidates to the other; returns the kinds that were seen.
function exchangeCandidates([one, other]) {
  const kinds = new Set();
  for (const [from, to] of [[one, other], [other, one]]) {
    from.onicecandidate = (event) => {
      const candidate = event.candidate ?? (event.candidate === undefined ? event : null);
      if (!candidate?.candidate) return;
      kinds.add(/ typ (\w+)/.exec(candidate.candidate)?.[1]);
      Promise.resolve(to.addIceCandidate(candidate)).catch(() => {});
    };
  }
  return kinds;
}

async function connect([caller, called]) {
  await caller.setLocalDescription(await caller.createOffer());
  await called.setRemoteDescription(caller.localDescription);
  await called.setLocalDescription(await called.createAnswer());
  await caller.setRemoteDescription(called.localDescription);
}

// Resolves once every message has come back as it was sent.
function echoAll([caller, called], figures) {
  return new Promise((resolve, reject) => {
    called.ondatachannel = (event) => {
      const channel = event.channel ?? event;
      channel.binaryType = "arraybuffer";
      channel.onmessage = (message) => channel.send(Buffer.from(message.data ?? message));
    };
    const channel = caller.createDataChannel("echo");
    channel.binaryType = "arraybuffer";
    channel.onopen = () => {
      for (let sent = 0; sent < MESSAGES; sent += 1) channel.send(MESSAGE);
    };
    channel.onmessage = (message) => {
      if (!MESSAGE.equals(Buffer.from(message.data ?? message))) reject(new Error("a message came back changed"));
      figures.echoed += 1;
      if (figures.echoed === MESSAGES) resolve();
    };
  });
}

const figures = { echoed: 0 };
const failures = [];
const peers = await newPeers();
const kinds = exchangeCandidates(peers);
const late = new Promise((_, reject) => {
  setTimeout(() => reject(new Error(`not done after ${PATIENCE_MS / 1000} s`)), PATIENCE_MS).unref();
});
try {
  const echoed = echoAll(peers, figures);
  await connect(peers);
  await Promise.race([echoed, late]);
} catch (error) {
  failures.push(String(error));
}
figures.echoed = `${figures.echoed} of ${MESSAGES}`;
figures.candidates = [...kinds].join("/") || "none";
if (figures.candidates !== "relay") failures.push(`candidates were ${figures.candidates}, not relay alone`);
await Promise.allSettled(peers.map((peer) => peer.close()));
console.log(JSON.stringify({ figures, failures }));
process.exit(failures.length ? 1 : 0);
