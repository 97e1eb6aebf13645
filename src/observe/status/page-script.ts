import { ERROR_REMEDIES, WAIT_REMEDIES } from './remedies.ts';

/**
 * The script of the status page. It keeps the latest report only, and writes text as text: names
 * and messages come from clients and servers.
 */
export const PAGE_SCRIPT = `'use strict';
(() => {
const byId = (id) => document.getElementById(id);
const make = (name, text, kind) => { const e = document.createElement(name); if (text !== undefined) e.textContent = text; if (kind) e.className = kind; return e; };
const seconds = (s) => s === 0 ? '0' : s < 0.001 ? '<1 ms' : s < 1 ? Math.round(s * 1000) + ' ms' : s < 10 ? s.toFixed(2) + ' s' : Math.round(s) + ' s';
const span = (s) => { const d = Math.floor(s / 86400), h = Math.floor(s / 3600) % 24, m = Math.floor(s / 60) % 60; return d ? d + ' d ' + h + ' h' : h ? h + ' h ' + m + ' min' : m ? m + ' min ' + Math.floor(s % 60) + ' s' : Math.floor(s) + ' s'; };
const bytes = (n) => n < 1048576 ? Math.round(n / 1024) + ' KiB' : Math.round(n / 1048576) + ' MiB';
const plural = (n, one) => n + ' ' + one + (n === 1 ? '' : 's');
const MAX_ROWS = 200;
const HELP = ${JSON.stringify(WAIT_REMEDIES)};
const REMEDY = ${JSON.stringify(ERROR_REMEDIES)};
let report;
let sortKey = 'p95';
let ascending = false;

function facts(list, pairs) {
  list.replaceChildren(...pairs.filter(Boolean).map(([term, text, kind]) => { const d = make('div'); d.append(make('dt', term), make('dd', text, kind)); return d; }));
}

function card(p) {
  const e = make('article', undefined, 'card');
  const rows = [];
  const identity = report.identities[p.profile];
  rows.push(['Account', identity ? identity.account || 'unknown' : p.signatures ? 'being requested' : 'no request was signed yet']);
  if (identity && identity.arn) rows.push(['Role or user', identity.arn]);
  if (identity && identity.problem) rows.push(['Identity', identity.problem, 'warn']);
  if (p.credentials) {
    const left = p.credentials.expiresInS;
    rows.push(['Credentials', p.credentials.provider]);
    rows.push(['Expire in', left === undefined ? 'never' : left <= 0 ? 'expired' : span(left), left !== undefined && left < 300 ? 'warn' : undefined]);
  }
  const b = p.state.breaker;
  rows.push(['Circuit breaker', b.state + (b.cause ? ': ' + b.cause : ''), b.state === 'closed' ? 'good' : 'bad']);
  for (const c of p.state.connections) {
    if (c.lane === 'stream' && c.used + c.idle === 0) continue;
    rows.push([c.lane === 'request' ? 'Connections' : 'Connections, ' + c.lane, c.used + ' in use, ' + c.idle + ' idle' + (c.waiting ? ', ' + plural(c.waiting, 'request') + ' waiting' : ''), c.waiting ? 'warn' : undefined]);
  }
  rows.push(['Sessions', report.listener && p.sessionsCreated === 0 ? 'those of the clients' : p.active + ' active, ' + p.idle + ' idle; ' + p.sessionsCreated + ' opened, ' + p.sessionsDestroyed + ' closed']);
  rows.push(['Server time', 'p50 ' + seconds(p.serverTime.p50) + ', p95 ' + seconds(p.serverTime.p95) + ', without waits']);
  rows.push(['Queue', p.state.backpressure ? p.backpressure.active + ' running, ' + p.backpressure.queued + ' queued, ' + p.backpressure.totalRejected + ' refused' : 'off (--max-concurrent)', p.backpressure.queued ? 'warn' : undefined]);
  rows.push(['Rate', (p.state.learnedRate ? p.state.learnedRate.toFixed(1) + ' per second accepted by the server; ' : '') + p.throttled + ' throttled, ' + p.state.rateWaiting + ' waiting', p.state.rateWaiting ? 'warn' : undefined]);
  rows.push(['Calls', p.calls + ', ' + plural(p.callErrors, 'error') + ', ' + plural(p.toolErrors, 'tool error') + ', ' + p.cancelled + ' cancelled, ' + p.retryAttempts + ' retried']);
  const dl = make('dl');
  for (const [term, text, kind] of rows) dl.append(make('dt', term), make('dd', text, kind));
  e.append(make('h3', p.profile), dl);
  return e;
}

const SVG = 'http://www.w3.org/2000/svg';
function svg(name, attributes, text) { const e = document.createElementNS(SVG, name); for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v); if (text !== undefined) e.textContent = text; return e; }

function chart(box, label, names, lines, show) {
  const w = 480, h = 150, left = 56, bottom = 20, top = 10;
  // At least two minutes wide: the first values of a new process would be a dot at the edge.
  const n = Math.max(24, ...lines.map((line) => line.length));
  const most = Math.max(...lines.flat(), 0);
  const max = most === 0 ? 1 : most;
  const x = (at, count) => left + ((n - count + at) * (w - left)) / (n - 1);
  const y = (v) => top + (1 - v / max) * (h - top - bottom);
  const last = lines.map((line) => line.length ? show(line[line.length - 1]) : 'no data');
  const root = svg('svg', { viewBox: '0 0 ' + w + ' ' + h, role: 'img', 'aria-label': label + '. ' + names.map((name, i) => name + ': now ' + last[i] + ', at most ' + show(Math.max(...lines[i], 0))).join('; ') });
  for (const share of [0, 0.5, 1]) {
    root.append(svg('line', { class: 'grid', x1: left, x2: w, y1: y(max * share), y2: y(max * share) }));
    root.append(svg('text', { x: left - 6, y: y(max * share) + 4, 'text-anchor': 'end' }, show(most === 0 && share ? 0 : max * share)));
  }
  root.append(svg('text', { x: left, y: h - 4 }, n < 170 ? span(n * 5) + ' ago' : '15 min ago'), svg('text', { x: w, y: h - 4, 'text-anchor': 'end' }, 'now'));
  lines.forEach((line, i) => { if (line.length > 1) root.append(svg('polyline', { class: i ? 'b' : 'a', points: line.map((v, at) => x(at, line.length).toFixed(1) + ',' + y(v).toFixed(1)).join(' ') })); });
  const legend = make('p', undefined, 'legend');
  names.forEach((name, i) => { const e = make('span', (i ? '- - ' : '— ') + name + ': ' + last[i], i ? 'kb' : 'ka'); legend.append(e, i ? '' : '   '); });
  box.replaceChildren(root, legend);
}

function row(cells) {
  const tr = make('tr');
  cells.forEach((cell, i) => { const [text, kind, help] = Array.isArray(cell) ? cell : [cell]; const e = i === 0 ? make('th', text, kind) : make('td', text, kind); if (i === 0) e.scope = 'row'; if (help) e.append(make('div', help, 'help')); tr.append(e); });
  return tr;
}

function tools() {
  const sorted = [...report.tools].sort((a, b) => { const [p, q] = [a[sortKey], b[sortKey]]; const by = p < q ? -1 : p > q ? 1 : 0; return ascending ? by : -by; });
  byId('tools').tBodies[0].replaceChildren(...sorted.slice(0, MAX_ROWS).map((t) => row([t.tool, [String(t.calls), 'n'], [seconds(t.p50), 'n'], [seconds(t.p95), 'n'], [String(t.errors), t.errors ? 'n bad' : 'n']])));
  byId('tools-note').textContent = sorted.length === 0 ? 'No tool was called yet.' : sorted.length > MAX_ROWS ? 'The first ' + MAX_ROWS + ' of ' + sorted.length + ' tools; all are in status.json.' : '';
}

function show() {
  facts(byId('facts'), [['Endpoint', report.endpoint], ['Service and region', report.service ? report.service + ', ' + report.region : 'requests are not signed'], ['Version', report.version], ['Uptime', span(report.uptimeS)], ['Calls in flight', String(report.callsInFlight)]]);
  byId('profiles').replaceChildren(...report.profiles.map(card));
  const points = report.history;
  const perSecond = (v) => v === 0 ? '0' : v < 10 ? v.toFixed(1) + '/s' : Math.round(v) + '/s';
  chart(byId('rate'), 'Calls per second', ['calls', 'errors'], [points.map((p) => p.callsPerSecond), points.map((p) => p.errorsPerSecond)], perSecond);
  chart(byId('latency'), 'Duration of calls', ['p50', 'p95'], [points.map((p) => p.p50), points.map((p) => p.p95)], seconds);
  tools();
  const waits = report.profiles.flatMap((p) => p.waits.filter((w) => w.calls > 0).map((w) => ({ profile: p.profile, ...w }))).sort((a, b) => b.seconds - a.seconds);
  byId('waits').tBodies[0].replaceChildren(...(waits.length ? waits.map((w) => row([w.profile, [w.wait, undefined, HELP[w.wait]], [String(w.calls), 'n'], [seconds(w.p95), 'n'], [seconds(w.seconds), 'n']])) : [row(['–', 'no call has waited', ['0', 'n'], ['', 'n'], ['', 'n']])]));
  const errors = report.profiles.flatMap((p) => p.recentErrors.map((e) => ({ profile: p.profile, ...e }))).sort((a, b) => b.at - a.at).slice(0, 20);
  byId('errors').replaceChildren(...(errors.length ? errors.map((e) => { const li = make('li'); li.append(make('div', new Date(e.at).toLocaleTimeString() + ' · ' + e.profile + ' · ' + e.method + (e.tool ? ' ' + e.tool : '') + ' · ' + e.reason + (e.times > 1 ? ' · ' + e.times + ' times' : ''), 'meta'), make('p', e.message)); if (REMEDY[e.reason]) li.append(make('p', REMEDY[e.reason])); return li; }) : [make('li', 'None.', 'none')]));
  const users = report.users || [];
  byId('users-part').hidden = !report.users;
  byId('users').tBodies[0].replaceChildren(...users.map((u) => row([u.name, [u.rule], [u.account ? u.account + (u.role ? ' ' + u.role : '') : 'no request yet'], [String(u.requests), 'n'], [String(u.connections), 'n'], [u.breaker, u.breaker === 'closed' ? undefined : 'bad']])));
  byId('users-note').textContent = users.length === 0 ? 'No user is served now.' : report.userCount > users.length ? 'The latest ' + users.length + ' of ' + report.userCount + ' users.' : '';
  const l = report.listener;
  facts(byId('clients'), [
    ...(l ? [['Listener', l.url], ['Connections', String(l.connections)], ['Requests', String(l.requests)], ['Streams', String(l.streams)], ['Refused', String(Object.values(l.refusals).reduce((a, b) => a + b, 0))]] : [['Clients', 'stdio']]),
    ...(report.limits ? [['Limits', report.limits === 'shared' ? 'shared through Redis' : 'local: Redis cannot be used']] : []),
    ['Memory', bytes(report.process.memoryBytes)], ['CPU time', seconds(report.process.cpuSeconds)], ['Event-loop delay', seconds(report.process.eventLoopDelayS)],
  ]);
}

for (const th of document.querySelectorAll('#tools th')) {
  th.querySelector('button').addEventListener('click', () => {
    const { key } = th.dataset;
    ascending = key === sortKey ? !ascending : key === 'tool';
    sortKey = key;
    for (const each of document.querySelectorAll('#tools th')) each.removeAttribute('aria-sort');
    th.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    if (report) tools();
  });
}

const live = byId('live');
function state(text, lost) { if (live.textContent !== text) live.textContent = text; live.className = lost ? 'lost' : ''; }
const source = new EventSource('/events');
window.statusSource = source;
source.onmessage = ({ data }) => { report = JSON.parse(data); state('Live: the values are renewed every 2 seconds.', false); if (!document.hidden) show(); };
source.onerror = () => state('The connection to the proxy is lost; these values are old.', true);
document.addEventListener('visibilitychange', () => { if (!document.hidden && report) show(); });
})();
`;
