// WebSocket over HTTP/2 (RFC 8441) with Node's own `http2` and the npm package `ws`. The package
// speaks WebSocket on any stream that it is given; only its handshake knows nothing of HTTP/2.
import http2 from 'node:http2';
import { once } from 'node:events';
import { load } from './gear.mjs';

const WebSocket = load('ws');

/** A WebSocket on a stream whose handshake is over; `prepare` is called with it before it opens. */
export function webSocketOn(stream, { isServer, protocol = '', prepare }) {
  const socket = new WebSocket(null, undefined, { autoPong: true, closeTimeout: 30_000 });
  socket._isServer = isServer;
  socket._protocol = protocol;
  prepare(socket);
  socket.setSocket(stream, Buffer.alloc(0), {
    allowSynchronousEvents: true,
    maxPayload: 0,
    skipUTF8Validation: false,
  });
  return socket;
}

let session;

/** Opens a WebSocket at `url` (wss) by extended CONNECT, all of them on one connection. */
export async function openOverHttp2(url, protocols, insecure, prepare) {
  const { host, pathname } = new URL(url);
  if (!session) {
    session = http2.connect(`https://${host}`, { rejectUnauthorized: !insecure });
    session.unref();
    const [settings] = await once(session, 'remoteSettings');
    if (!settings.enableConnectProtocol) throw new Error('the server takes no extended CONNECT');
    // More than the default of ten listeners: one for each stream.
    session.setMaxListeners(0);
  }
  const headers = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':path': pathname,
    ':authority': host,
    'sec-websocket-version': '13',
  };
  if (protocols.length > 0) headers['sec-websocket-protocol'] = protocols.join(', ');
  const stream = session.request(headers, { endStream: false });
  const [answer] = await once(stream, 'response');
  if (answer[':status'] !== 200) throw new Error(`status ${answer[':status']}`);
  const protocol = answer['sec-websocket-protocol'] ?? '';
  return webSocketOn(stream, { isServer: false, protocol, prepare });
}
