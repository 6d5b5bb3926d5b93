#!/usr/bin/env node
// usage: page.mjs URL SCREENSHOT.png [--timeout SECONDS]
//
// Uses the demo page at URL as a person would, in Debian's Chromium: says something in the
// chat, sees it arrive and which member serves it, stops that member with its button, waits
// until the page is connected to the other one, says something there, and starts the stopped
// member again. Leaves a picture at SCREENSHOT.png, on failure too. Any certificate is taken.
import { parseArguments, load } from './gear.mjs';

const { chromium } = load('playwright-core');
const args = parseArguments('usage: page.mjs URL SCREENSHOT.png [--timeout SECONDS]', 2);
const [url, screenshot] = args._;
const timeout = Number(args.timeout ?? 20) * 1000;
const other = { red: 'blue', blue: 'red' };

const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  // As root Chromium needs --no-sandbox. The rest keeps it from calling home: where there is
  // no Internet those look-ups fail slowly, and a test has no business making them anyway.
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});
const page = await browser.newPage({ ignoreHTTPSErrors: true });
page.setDefaultTimeout(timeout);
const complaints = [];
page.on('pageerror', (error) => complaints.push(error.message));

/** Waits until the page says which member it is connected to: `wanted`, or any. */
async function connectedTo(wanted = '(?:red|blue)') {
  const status = page.locator('#status', { hasText: new RegExp(`connected to ${wanted}`) });
  await status.waitFor();
  return /connected to (\w+)/.exec(await status.innerText())[1];
}

async function say(text) {
  await page.locator('#message').fill(text);
  await page.locator('#send').click();
  await page.locator('#log li', { hasText: text }).first().waitFor();
}

let step;
try {
  step = 'opening the page';
  await page.goto(url);
  step = 'the first connection';
  const first = await connectedTo();
  step = `a message through ${first}`;
  await say(`hello by ${first}`);
  console.log(`the message came back through ${first}`);

  const second = other[first];
  step = `the move from ${first} to ${second}`;
  await page.locator(`#stop-${first}`).click();
  const stopped = Date.now();
  await connectedTo(second);
  console.log(`connected to ${second} ${Date.now() - stopped} ms after ${first} was stopped`);
  step = `a message through ${second}`;
  await say(`hello by ${second}`);
  console.log(`the message came back through ${second}`);
  await page.screenshot({ path: screenshot });

  step = `starting ${first} again`;
  await page.locator(`#start-${first}`).click();
  // The page lets a member be stopped only while it runs.
  await page.locator(`#stop-${first}:enabled`).waitFor();
  console.log(`${first} runs again`);
  if (complaints.length > 0) throw new Error(`errors on the page: ${complaints.join('; ')}`);
} catch (error) {
  console.log(`FAILED at ${step}: ${error.message}`);
  for (const complaint of complaints) console.log(`error on the page: ${complaint}`);
  await page.screenshot({ path: screenshot }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
}
