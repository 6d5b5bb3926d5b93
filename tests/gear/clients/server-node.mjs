#!/usr/bin/env node
// usage: server-node.mjs PORT [--name NAME]
//
// WebSocket echo server made of the npm package `ws`. Port 0 takes a free one. Prints
// `listening PORT` once it serves, and lives until it is killed.
//   GET anything    200 with NAME, so that health probes pass
//   /               echoes every message; takes the first subprotocol offered
//   /close/CODE     closes at once with CODE and the reason `as asked`
//   /ping           pings the client and sends the text `pong came back` when it answers
import http from 'node:http';
import { load, parseArguments } from './gear.mjs';

const { WebSocketServer } = load('ws');
const args = parseArguments('usage: server-node.mjs PORT [--name NAME]', 1);
const name = args.name ?? 'node';

const server = http.createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain');
  response.end(`${name}\n`);
});
const sockets = new WebSocketServer({
  server,
  maxPayload: 0, // the fuzzer and the large-message check send what they like
  // Off by default; the fuzzer's cases 12 and 13 need it. They move gigabytes, and what they
  // test does not depend on how well the answer is compressed, but their duration does.
  perMessageDeflate: { zlibDeflateOptions: { level: 1 } },
  handleProtocols: (offered) => offered.values().next().value,
});

sockets.on('connection', (socket, request) => {
  const [, action, code] = request.url.split('/');
  socket.on('error', () => {}); // a client's protocol error is the client's test, not ours
  if (action === 'close') return socket.close(Number(code), 'as asked');
  if (action === 'ping') {
    socket.on('pong', (payload) => {
      if (payload.toString() === 'from server') socket.send('pong came back');
    });
    socket.ping('from server');
  }
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});

// ws passes the HTTP server's errors on to its own listeners.
sockets.on('error', (error) => {
  console.error(`cannot listen on 127.0.0.1:${args._[0]}: ${error.message}; give another PORT`);
  process.exit(1);
});
server.listen({ port: Number(args._[0]), host: '127.0.0.1' }, () => {
  console.log(`listening ${server.address().port}`);
});
