// The page: two peers call each other through one URL of the server, relayed candidates only.
// `globalThis.call(task)` resolves to what was measured and what was missing.

const MESSAGES = 200;
const MESSAGE_BYTES = 1000;
const FRAMES = 20;
const PATIENCE_MS = 40_000;

/**
 * @param {object} task
 * @param {string} task.url the TURN URL to go through
 * @param {{endpoint: string, key?: string}} [task.ask] where credentials are issued, and the API key
 * @param {object} [task.iceServer] a server with its credentials, when nobody is to be asked
 */
globalThis.call = async (task) => {
  const failures = [];
  const figures = {};
  const peers = [];
  try {
    const iceServer = task.iceServer ?? (await askForServer(task));
    const configuration = { iceServers: [iceServer], iceTransportPolicy: 'relay' };
    const caller = new RTCPeerConnection(configuration);
    const callee = new RTCPeerConnection(configuration);
    peers.push(caller, callee);
    listenForCandidateErrors(peers, failures);
    echoMessages(callee);
    await sendCamera(caller);
    const allEchoed = sendMessages(caller, figures);
    await connect(caller, callee);
    await soon(allEchoed, 'the messages have not all come back');
    await soon(framesDecoded(callee), 'the video was not decoded');
  } catch (error) {
    failures.push(String(error));
  }
  if (peers.length > 0) {
    Object.assign(figures, await measure(...peers));
    failures.push(...shortcomings(figures));
  }
  peers.forEach((peer) => peer.close());
  return { figures, failures };
};

/** Fetches an RTCConfiguration from the credentials endpoint and takes the wanted URL out of it. */
async function askForServer({ url, ask }) {
  const headers = ask.key ? { authorization: `Bearer ${ask.key}` } : {};
  const response = await fetch(`${ask.endpoint}?username=chromium`, { headers });
  if (!response.ok) throw new Error(`${ask.endpoint}: ${response.status} ${await response.text()}`);
  const { iceServers } = await response.json();
  const server = iceServers.find(({ urls }) => [urls].flat().includes(url));
  if (!server)
    throw new Error(`${ask.endpoint} does not offer ${url}: ${JSON.stringify(iceServers)}`);
  return { ...server, urls: [url] };
}

function listenForCandidateErrors(peers, failures) {
  for (const peer of peers) {
    peer.onicecandidateerror = ({ errorCode, errorText, url }) =>
      failures.push(`candidate error ${errorCode} (${errorText}) at ${url}`);
  }
}

function echoMessages(peer) {
  peer.ondatachannel = ({ channel }) => {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => channel.send(data);
  };
  peer.ontrack = ({ streams }) => {
    document.querySelector('video').srcObject = streams[0];
  };
}

async function sendCamera(peer) {
  const stream = await navigator.mediaDevices.getUserMedia({
    video: { width: 640, height: 480, frameRate: 30 },
  });
  const transceiver = peer.addTransceiver(stream.getVideoTracks()[0], { streams: [stream] });
  const vp8 = RTCRtpSender.getCapabilities('video').codecs.filter(
    ({ mimeType }) => mimeType === 'video/VP8',
  );
  transceiver.setCodecPreferences(vp8);
}

/** Sends every message once the channel is open; resolves when each came back unchanged. */
function sendMessages(peer, figures) {
  const channel = peer.createDataChannel('echo');
  channel.binaryType = 'arraybuffer';
  const message = Uint8Array.from({ length: MESSAGE_BYTES }, (_, index) => index & 255);
  channel.onopen = () => {
    for (let count = 0; count < MESSAGES; count += 1) channel.send(message);
  };
  figures.echoed = 0;
  return new Promise((resolve) => {
    channel.onmessage = ({ data }) => {
      const bytes = new Uint8Array(data);
      const same = bytes.length === MESSAGE_BYTES && bytes.every((byte, i) => byte === message[i]);
      figures.echoed += same ? 1 : 0;
      if (figures.echoed === MESSAGES) resolve();
    };
  });
}

async function connect(caller, callee) {
  const trickle = (from, to) => {
    from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
  };
  trickle(caller, callee);
  trickle(callee, caller);
  await caller.setLocalDescription();
  await callee.setRemoteDescription(caller.localDescription);
  await callee.setLocalDescription();
  await caller.setRemoteDescription(callee.localDescription);
}

/** Resolves once the peer has decoded enough frames to call it a video. */
async function framesDecoded(peer) {
  for (;;) {
    const video = statistics(await peer.getStats()).find(isIncomingVideo);
    if (video?.framesDecoded >= FRAMES) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function measure(caller, callee) {
  const sent = statistics(await caller.getStats());
  const received = statistics(await callee.getStats());
  const byId = (id) => sent.find((entry) => entry.id === id);
  const transport = sent.find(({ type }) => type === 'transport');
  const pair = byId(transport?.selectedCandidatePairId);
  const local = byId(pair?.localCandidateId);
  const remote = byId(pair?.remoteCandidateId);
  const video = received.find(isIncomingVideo);
  const channel = sent.find(({ type }) => type === 'data-channel');
  return {
    codec: received.find(({ id }) => id === video?.codecId)?.mimeType,
    frames: video?.framesDecoded ?? 0,
    'video bytes': video?.bytesReceived ?? 0,
    'data bytes': channel?.bytesReceived ?? 0,
    'relayed bytes': (pair?.bytesSent ?? 0) + (pair?.bytesReceived ?? 0),
    via: local?.relayProtocol ?? 'nothing',
    pair: `${local?.candidateType}-${remote?.candidateType}`,
  };
}

const statistics = (report) => [...report.values()];
const isIncomingVideo = ({ type, kind }) => type === 'inbound-rtp' && kind === 'video';

function shortcomings(figures) {
  const expectations = [
    [figures.echoed === MESSAGES, `${figures.echoed} of ${MESSAGES} messages came back`],
    [figures['data bytes'] === MESSAGES * MESSAGE_BYTES, 'bytes of the data channel are missing'],
    [figures.codec === 'video/VP8', `the video is ${figures.codec}, not VP8`],
    [figures.frames >= FRAMES, `${figures.frames} frames were decoded`],
    [figures['video bytes'] > 0, 'no byte of video was counted'],
    [figures.pair === 'relay-relay', `the pair is ${figures.pair}, not relay-relay`],
  ];
  return expectations.filter(([met]) => !met).map(([, text]) => text);
}

/** Rejects with a sentence when `promise` takes too long. */
function soon(promise, sentence) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${sentence} after ${PATIENCE_MS / 1000} s`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]);
}
