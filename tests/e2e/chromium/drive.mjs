// Opens the page in headless Chromium and hands it a task.
//
//     node drive.mjs '{"chromium": PATH, "origin": "http://127.0.0.1:PORT", "pin": SHA256, ...}'
//
// `pin` is the hash of the one public key that `turns:` may present without a known authority;
// the rest is the page's task. Prints one JSON object: what was measured, what was missing.

import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { chromium } from 'playwright-core';

const { chromium: executablePath, origin, pin, ...task } = JSON.parse(process.argv[2]);

const pages = await servePages(new URL(origin));
// Chromium honours the pin in a profile of its own alone.
const profile = await mkdtemp(join(tmpdir(), 'uturn-chromium-'));
try {
  const result = await callInBrowser();
  console.log(JSON.stringify(result));
  process.exitCode = result.failures.length > 0 ? 1 : 0;
} finally {
  pages.close();
  await rm(profile, { recursive: true, force: true });
}

async function callInBrowser() {
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    timeout: 30_000,
    args: [
      '--no-sandbox', // Root has no sandbox.
      '--disable-gpu',
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      ...(pin ? [`--ignore-certificate-errors-spki-list=${pin}`] : []),
    ],
  });
  try {
    const page = await browser.newPage();
    page.on('console', (message) => console.error(message.text()));
    page.on('pageerror', (error) => console.error(String(error)));
    await page.goto(`${origin}/page.html`);
    await page.waitForFunction(() => globalThis.call);
    return await page.evaluate((task) => globalThis.call(task), task);
  } finally {
    await browser.close();
  }
}

/** Serves the files beside this one. */
function servePages({ hostname, port }) {
  const types = { '.html': 'text/html', '.js': 'text/javascript' };
  const server = createServer((request, response) => {
    const file = join(
      import.meta.dirname ?? new URL('.', import.meta.url).pathname,
      basename(request.url),
    );
    const type = types[extname(file)];
    if (!type || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': type });
    createReadStream(file).pipe(response);
  });
  return new Promise((resolve, reject) => {
    server.on('error', reject);
    server.listen(Number(port), hostname, () => resolve(server));
  });
}
