#!/usr/bin/env node
// usage: server-http2.mjs PORT --cert FILE --key FILE
//
// The echo server of server-node.mjs over TLS and HTTP/2: takes WebSockets by extended CONNECT
// (RFC 8441) alone, with Node's `http2` and the npm package `ws`. Pages come over HTTP/1.1, too.
import http2 from 'node:http2';
import { readFileSync } from 'node:fs';
import { parseArguments } from './gear.mjs';
import { webSocketOn } from './http2.mjs';

const args = parseArguments('usage: server-http2.mjs PORT [--cert FILE] [--key FILE]', 1);
const server = http2.createSecureServer({
  allowHTTP1: true,
  cert: readFileSync(args.cert),
  key: readFileSync(args.key),
  settings: { enableConnectProtocol: true },
});

server.on('request', (request, response) => response.end('http2\n'));
// Without a listener the library would answer 405 by itself.
server.on('connect', () => {});
server.on('stream', (stream, headers) => {
  if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') return;
  const offered = headers['sec-websocket-protocol']?.split(',')[0].trim();
  stream.respond({ ':status': 200, ...(offered && { 'sec-websocket-protocol': offered }) });
  stream.on('error', () => {}); // a client that breaks off is the client's test, not ours
  const [, action, code] = headers[':path'].split('/');
  const socket = webSocketOn(stream, {
    isServer: true,
    prepare(socket) {
      socket.on('error', () => {});
      socket.on('pong', (payload) => {
        if (payload.toString() === 'from server') socket.send('pong came back');
      });
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    },
  });
  if (action === 'close') socket.close(Number(code), 'as asked');
  if (action === 'ping') socket.ping('from server');
});
server.on('sessionError', () => {});

server.on('error', (error) => {
  console.error(`cannot listen on 127.0.0.1:${args._[0]}: ${error.message}; give another PORT`);
  process.exit(1);
});
server.listen({ port: Number(args._[0]), host: '127.0.0.1' }, () => {
  console.log(`listening ${server.address().port}`);
});
