// Asks for /status.json every second and shows it. Everything goes in as text, never as markup.
'use strict';

const byId = (id) => document.getElementById(id);

function row(cells) {
  const tr = document.createElement('tr');
  for (const cell of cells) {
    const td = document.createElement('td');
    const { text, kind } = typeof cell === 'object' ? cell : { text: cell, kind: '' };
    td.textContent = text;
    td.className = kind;
    tr.append(td);
  }
  return tr;
}

const number = (value) => ({ text: value.toLocaleString(), kind: 'number' });
// What things took on average, in the unit that reads best.
function mean({ count, seconds }) {
  if (count === 0) return { text: '', kind: 'number' };
  const each = seconds / count;
  const [by, unit] = each < 1 ? [1000, 'ms'] : each < 600 ? [1, 's'] : each < 36000 ? [1 / 60, 'min'] : [1 / 3600, 'h'];
  return { text: `${(each * by).toPrecision(3)} ${unit}`, kind: 'number' };
}
const gatewayName = (name) => `${name.namespace}/${name.name}`;

function show(status) {
  const state = status.draining ? 'draining' : status.ready ? 'ready' : 'starting';
  byId('summary').textContent =
    `${state} · ${status.tunnels.toLocaleString()} tunnels · ` +
    `${status.connections.toLocaleString()} connections · table ${status.revision} · ${status.version}`;

  const target = ({ action, targets }) => {
    if (action === 'refuse') return { text: '502: the rule was refused', kind: 'down' };
    if (action === 'notFound') return { text: '404', kind: 'unknown' };
    if (action === 'redirect') return 'redirect to HTTPS';
    const all = targets.map((index) => status.targets[index]);
    return `${all.map(({ pool }) => pool).join(', ')} (${all[0].settings})`;
  };
  const listeners = [];
  for (const frontend of status.frontends) {
    const address = frontend.error
      ? { text: `${frontend.address}: ${frontend.error}`, kind: 'down' }
      : `${frontend.protocol.toLowerCase()}://${frontend.address}`;
    for (const listener of frontend.listeners) {
      const rule = listener.priority === null ? listener.rule : `${listener.rule} (${listener.priority})`;
      listeners.push(row([
        gatewayName(frontend.gateway), address, listener.name, listener.hosts.join(', ') || 'any',
        rule, target(listener), number(listener.requests), number(listener.open_tunnels),
      ]));
      for (const path of listener.paths) {
        listeners.push(row([
          '', '', '', { text: path.patterns.join(', '), kind: 'path' }, path.name, target(path),
          number(path.requests), number(path.open_tunnels),
        ]));
      }
    }
  }
  byId('listeners').tBodies[0].replaceChildren(...listeners);

  const tunnels = [];
  for (const frontend of status.frontends) {
    for (const { name, tunnels: its } of frontend.listeners) {
      if (its.opened + its.handshake_failures === 0) continue;
      const closes = Object.entries(its.closes).map(([how, count]) => `${how}: ${count.toLocaleString()}`);
      tunnels.push(row([
        gatewayName(frontend.gateway), name, number(its.open), number(its.opened),
        number(its.handshake_failures), number(its.messages_received), number(its.messages_sent),
        number(its.bytes_received), number(its.bytes_sent), mean(its.duration),
        mean(its.client_ping), mean(its.member_ping), number(its.drained), closes.join(', '),
      ]));
    }
  }
  byId('tunnels').tBodies[0].replaceChildren(...tunnels);

  const members = [];
  for (const { gateway, pool, settings, members: all } of status.targets) {
    for (const member of all) {
      const health = member.state === 'Ready' ? member.health.state : `${member.health.state}, ${member.state}`;
      members.push(row([
        `${gatewayName(gateway)} ${pool} (${settings})`,
        member.fqdn ? `${member.address} (${member.fqdn})` : member.address,
        { text: health, kind: member.health.state.toLowerCase() },
        member.health.detail, number(member.requests_in_flight), number(member.open_tunnels),
      ]));
    }
  }
  byId('members').tBodies[0].replaceChildren(...members);

  const problems = status.problems.map((problem) => {
    const li = document.createElement('li');
    li.textContent = problem.text;
    li.className = problem.severity === 'error' ? 'down' : 'unknown';
    return li;
  });
  byId('problems').hidden = problems.length === 0;
  byId('problems').querySelector('ul').replaceChildren(...problems);
}

async function refresh() {
  try {
    const response = await fetch('/status.json');
    show(await response.json());
  } catch (error) {
    byId('summary').textContent = `not reached: ${error.message}`;
  }
  setTimeout(refresh, 1000);
}
refresh();
