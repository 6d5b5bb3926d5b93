#!/usr/bin/env node
// usage: ws-node.mjs URL [--sockets N] [--large BYTES] [--host NAME] [--insecure] [--http2]
//
// Exercises the echo server at URL (server-node.mjs or server-python.py, direct or through the
// gateway) with the npm package `ws`, and checks every byte that comes back. N sockets (50)
// stay open at once; BYTES (16 MiB) is the largest message. NAME goes out as Host and SNI;
// --insecure takes any certificate; --http2 opens all sockets by extended CONNECT on one HTTP/2
// connection. Prints what failed and exits 1, or prints `ok` and exits 0.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { load, parseArguments } from './gear.mjs';
import { openOverHttp2 } from './http2.mjs';

const WebSocket = load('ws');
const args = parseArguments(
  'usage: ws-node.mjs URL [--sockets N] [--large BYTES] [--host NAME] [--insecure] [--http2]',
  1,
);
const base = args._[0].replace(/\/$/, '');
const count = Number(args.sockets ?? 50);
const large = Number(args.large ?? 16 * 1024 * 1024);
const patienceMs = 60_000;

async function open(path = '/', protocols = []) {
  if (args.http2) return openOverHttp2(base + path, protocols, args.insecure, prepare);
  const socket = new WebSocket(base + path, protocols, {
    maxPayload: 0,
    rejectUnauthorized: !args.insecure,
    servername: args.host,
    headers: args.host ? { Host: args.host } : {},
  });
  prepare(socket);
  await once(socket, 'open');
  return socket;
}

function prepare(socket) {
  // Messages are queued from the start: the first may come with the handshake's bytes.
  socket.queue = [];
  socket.on('message', (data, isBinary) => {
    socket.queue.push(isBinary ? data : data.toString());
    socket.emit('queued');
  });
  // Awaited from the start for the same reason: the close may be there before the first await.
  socket.ended = new Promise((resolve) => {
    socket.on('close', (code, reason) => resolve([code, reason.toString()]));
  });
}

async function next(socket) {
  if (socket.queue.length === 0) {
    const ended = socket.ended.then(([code]) => {
      throw new Error(`closed with ${code} while a message was awaited`);
    });
    await Promise.race([once(socket, 'queued'), ended]);
  }
  return socket.queue.shift();
}

function close(socket, code, reason) {
  socket.close(code, reason);
  return socket.ended;
}

const checks = {
  async 'text comes back, empty and beyond ASCII too'() {
    const socket = await open();
    for (const text of ['', 'hello', 'Grüße, 水門 🌊', 'x'.repeat(70_000)]) {
      socket.send(text);
      assert.equal(await next(socket), text);
    }
    await close(socket, 1000);
  },

  async 'binary comes back at every length encoding'() {
    const socket = await open();
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_003]) {
      const sent = randomBytes(size);
      socket.send(sent);
      assert.ok(sent.equals(await next(socket)), `${size} bytes differ`);
    }
    await close(socket, 1000);
  },

  async 'a message in fragments comes back whole, a ping between them answered'() {
    const socket = await open();
    const pong = once(socket, 'pong');
    socket.send('one ', { fin: false });
    socket.ping('between');
    socket.send('two ', { fin: false });
    socket.send('three', { fin: true });
    assert.equal((await pong)[0].toString(), 'between');
    assert.equal(await next(socket), 'one two three');
    await close(socket, 1000);
  },

  async 'a ping is answered by a pong with its payload'() {
    const socket = await open();
    const payload = randomBytes(125); // the longest a control frame may carry
    const pong = once(socket, 'pong');
    socket.ping(payload);
    assert.ok(payload.equals((await pong)[0]));
    await close(socket, 1000);
  },

  async 'a ping of the server is answered'() {
    const socket = await open('/ping');
    assert.equal(await next(socket), 'pong came back');
    await close(socket, 1000);
  },

  async 'the largest message comes back'() {
    const socket = await open();
    const sent = randomBytes(large);
    socket.send(sent);
    assert.ok(sent.equals(await next(socket)), `${large} bytes differ`);
    await close(socket, 1000);
  },

  async 'the subprotocol is negotiated end to end'() {
    const socket = await open('/', ['chat.v2', 'chat.v1']);
    assert.equal(socket.protocol, 'chat.v2');
    await close(socket, 1000);
    const plain = await open();
    assert.equal(plain.protocol, '');
    await close(plain, 1000);
  },

  async 'close codes and reasons pass in both directions'() {
    for (const [code, reason] of [[1000, ''], [3000, 'registered'], [4999, 'own use']]) {
      assert.deepEqual(await close(await open(), code, reason), [code, reason]);
    }
    for (const code of [1001, 1011, 4001]) {
      const socket = await open(`/close/${code}`);
      assert.deepEqual(await socket.ended, [code, 'as asked']);
    }
  },

  async 'many sockets at once keep their messages apart and in order'() {
    const sockets = await Promise.all(Array.from({ length: count }, () => open()));
    await Promise.all(
      sockets.map(async (socket, index) => {
        const sent = Array.from({ length: 50 }, (_, step) => `${index}:${step}`);
        for (const text of sent) socket.send(text);
        for (const text of sent) assert.equal(await next(socket), text);
      }),
    );
    await Promise.all(sockets.map((socket) => close(socket, 1000)));
  },
};

function within(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took over ${patienceMs} ms`)), patienceMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

let failed = 0;
for (const [title, check] of Object.entries(checks)) {
  try {
    await within(check());
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${title}: ${error.message}`);
  }
}
console.log(failed === 0 ? `ok: ${Object.keys(checks).length} checks` : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
