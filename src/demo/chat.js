// The chat: one WebSocket through the gateway, and what the gateway makes of its members.
'use strict';

const byId = (id) => document.getElementById(id);
const who = `guest-${Math.random().toString(36).slice(2, 6)}`;
let socket = null;
let wait = 100;
let latency = null;

function setStatus(text, kind = '') {
  byId('status').textContent = text;
  byId('status').className = kind;
}

function show({ who: name, text, via, time }) {
  const item = document.createElement('li');
  item.className = via;
  const small = document.createElement('small');
  small.textContent = `${name} via ${via}, ${new Date(time).toLocaleTimeString()}`;
  item.append(text, small);
  byId('log').append(item);
  item.scrollIntoView({ block: 'nearest' });
}

function connect() {
  setStatus('connecting');
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new WebSocket(`${scheme}://${location.host}/chat`);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === 'hello') {
      wait = 100;
      setStatus(`connected to ${message.member}`, message.member);
      byId('log').replaceChildren();
      message.last.forEach(show);
    } else if (message.type === 'message') {
      show(message);
    } else if (message.type === 'pong') {
      latency = performance.now() - message.ping;
    }
  };
  socket.onclose = ({ code, reason }) => {
    setStatus(`not connected: ${reason || `closed with ${code}`}; trying again`);
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 2000);
  };
}

byId('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = byId('message').value;
  if (text.trim() && socket.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ who, text }));
    byId('message').value = '';
  }
});

for (const name of ['red', 'blue']) {
  for (const action of ['stop', 'start']) {
    byId(`${action}-${name}`).addEventListener('click', async () => {
      const response = await fetch(`/demo/${action}/${name}`, { method: 'POST' });
      byId('notice').textContent = response.ok ? '' : await response.text();
      refresh();
    });
  }
}

async function refresh() {
  const response = await fetch('/demo/members');
  if (!response.ok) return;
  const { members, tunnels } = await response.json();
  for (const { name, running, health, detail, tunnels: own } of members) {
    const card = byId(name);
    const label = card.querySelector('.health');
    label.textContent = health ?? 'unknown';
    label.className = `health ${(health ?? '').toLowerCase()}`;
    card.querySelector('.detail').textContent = `${own ?? 0} sockets; last probe: ${detail ?? 'none'}`;
    byId(`stop-${name}`).disabled = !running;
    byId(`start-${name}`).disabled = running;
  }
  const echo = latency === null ? '' : `, echo in ${latency.toFixed(1)} ms`;
  byId('figures').textContent = `${tunnels ?? 0} tunnels through the gateway${echo}`;
}

async function keepRefreshing() {
  if (socket?.readyState === WebSocket.OPEN) {
    socket.send(JSON.stringify({ ping: performance.now() }));
  }
  await refresh().catch(() => {});
  setTimeout(keepRefreshing, 1000);
}

connect();
keepRefreshing();
