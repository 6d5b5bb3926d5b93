#!/usr/bin/env node
// usage: chart.mjs [--tidegate PROGRAM] [--update]
//
// Checks charts/tidegate with Helm: lints it, renders it with several values and looks at what
// comes out, and compares deploy/standalone.yaml with what it is rendered from. PROGRAM also
// judges the resources that pods would mount, and has to know the flags that they start it with.
// --update writes deploy/standalone.yaml instead of comparing it. Prints what is wrong and exits
// 1, or prints `ok` and exits 0. Without Helm it checks nothing, says so, and exits 0.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cache, load, parseArguments } from './clients/gear.mjs';

const args = parseArguments('usage: chart.mjs [--tidegate PROGRAM] [--update]', 0);
const helm = join(cache, 'bin', 'helm');
if (!existsSync(helm)) {
  console.log('chart: no Helm here (tests/gear/install says why), so nothing is checked');
  process.exit(0);
}
const yaml = load('yaml');
const root = fileURLToPath(new URL('../..', import.meta.url));
const chart = join(root, 'charts', 'tidegate');
const standalone = join(root, 'deploy', 'standalone.yaml');
const folder = mkdtempSync(join(tmpdir(), 'tidegate-chart-'));

const HEADER = `\
# Tidegate in standalone mode: it serves the resources in the ConfigMap below, and applies them again
# when they change. There is no in-cluster controller yet. Give it your image, and your gateway.
# Rendered from charts/tidegate with deploy/values.yaml by tests/gear/chart.mjs --update.
`;

function run(program, ...words) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}`, stdout };
}

function render(...words) {
  // Helm as Go builds it takes the cluster for one too old for the chart.
  return run(helm, 'template', 'tidegate', chart, '--kube-version', '1.36.0', ...words);
}

/** The rendered objects by kind, for values given as an object. */
function objects(values = {}) {
  const file = join(folder, 'values.json');
  writeFileSync(file, JSON.stringify(values));
  const { status, said, stdout } = render('--values', file);
  assert.equal(status, 0, said);
  const found = yaml.parseAllDocuments(stdout).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  return Object.fromEntries(found.filter(Boolean).map((object) => [object.kind, object]));
}

const gateway = (name) => ({
  apiVersion: 'tidegate.dev/v1alpha1',
  kind: 'ApplicationGateway',
  metadata: { name },
});
const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'app-tls' },
  stringData: { 'tls.key': 'private' },
};

const checks = {
  'Helm has nothing to object to'() {
    const { status, said } = run(helm, 'lint', '--strict', chart);
    assert.equal(status, 0, said);
  },

  'the definition is the one that the program prints'() {
    const name = join('crds', 'applicationgateways.tidegate.dev.yaml');
    assert.ok(readFileSync(join(root, name)).equals(readFileSync(join(chart, name))));
  },

  'deploy/standalone.yaml is what the chart renders'() {
    const { status, said, stdout } = render('--values', join(root, 'deploy', 'values.yaml'));
    assert.equal(status, 0, said);
    // Where a template is in the chart says nothing to who applies the result.
    const rendered = HEADER + stdout.replace(/^---\n# Source: .*\n/, '').replace(/^# Source: .*\n/gm, '');
    if (args.update) writeFileSync(standalone, rendered);
    const same = readFileSync(standalone, 'utf8') === rendered;
    assert.ok(same, 'it differs: run tests/gear/chart.mjs --update');
  },

  'the pod meets the restricted Pod Security Standard'() {
    const pod = objects().Deployment.spec.template.spec;
    const [container] = pod.containers;
    assert.equal(pod.automountServiceAccountToken, false);
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.equal(pod.securityContext.runAsUser, 65532);
    assert.deepEqual(pod.securityContext.seccompProfile, { type: 'RuntimeDefault' });
    assert.deepEqual(container.securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  },

  'a rollout takes no pod away before its successor is ready, and none is killed while it drains'() {
    const values = { shutdownDelay: 7, drainTimeout: 1000 };
    const { spec } = objects(values).Deployment;
    assert.equal(spec.strategy.rollingUpdate.maxUnavailable, 0);
    assert.ok(spec.template.spec.terminationGracePeriodSeconds > 1007);
    const [container] = spec.template.spec.containers;
    assert.ok(container.args.includes('--shutdown-delay=7'));
    assert.ok(container.args.includes('--drain-timeout=1000'));
  },

  'probes and Service lead to ports that the container has'() {
    const { Deployment, Service } = objects();
    const { template, selector } = Deployment.spec;
    const [container] = template.spec.containers;
    const ports = new Map(container.ports.map((port) => [port.name, port.containerPort]));
    const admin = ports.get('admin');
    assert.ok(container.args.includes(`--admin=0.0.0.0:${admin}`));
    assert.deepEqual(container.livenessProbe.httpGet, { path: '/livez', port: 'admin' });
    assert.deepEqual(container.readinessProbe.httpGet, { path: '/readyz', port: 'admin' });
    for (const { name, targetPort } of Service.spec.ports) {
      assert.equal(ports.get(name), targetPort);
      // Ports below need a right that the container drops.
      assert.ok(targetPort >= 1024 && targetPort !== admin);
    }
    assert.deepEqual(Service.spec.selector, selector.matchLabels);
    for (const [label, value] of Object.entries(selector.matchLabels)) {
      assert.equal(template.metadata.labels[label], value);
    }
    assert.equal(Service.spec.type, 'LoadBalancer');
  },

  'Secrets among the resources are mounted from a Secret, the rest from a ConfigMap'() {
    const resources = [gateway('one'), secret, gateway('two')];
    const { ConfigMap, Secret, Deployment } = objects({ resources, secretManifests: ['mine.tls'] });
    const documents = (text) => yaml.parseAllDocuments(text).map((document) => document.toJS());
    assert.deepEqual(documents(ConfigMap.data['resources.yaml']), [gateway('one'), gateway('two')]);
    assert.deepEqual(documents(Secret.stringData['secrets.yaml']), [secret]);
    const { containers, volumes } = Deployment.spec.template.spec;
    const sources = volumes.map(({ configMap, secret: kept }) => configMap?.name ?? kept?.secretName);
    assert.deepEqual(sources, [ConfigMap.metadata.name, Secret.metadata.name, 'mine.tls']);
    // A volume's name has no dots, though a Secret's may.
    const names = volumes.map(({ name }) => name);
    assert.ok(names.every((name) => /^[a-z0-9-]{1,63}$/.test(name)));
    assert.deepEqual(containers[0].volumeMounts.map(({ name }) => name), names);
    const folders = containers[0].volumeMounts.map(({ mountPath }) => mountPath);
    assert.ok(folders.every((path) => path.startsWith(`${containers[0].args.at(-1)}/`)));
    assert.equal(new Set(folders).size, folders.length);
    assert.equal(objects().Secret, undefined);
  },

  'what is no manifest is refused'() {
    for (const wrong of [{ spec: {} }, 'kind: Secret']) {
      const file = join(folder, 'wrong.json');
      writeFileSync(file, JSON.stringify({ resources: [secret, wrong] }));
      const { status, said } = render('--values', file);
      assert.notEqual(status, 0);
      assert.match(said, /resources\[1\] is no manifest/);
    }
  },

  'the budget for disruptions can be left out'() {
    assert.equal(objects().PodDisruptionBudget.spec.maxUnavailable, 1);
    const without = objects({ podDisruptionBudget: { enabled: false } });
    assert.equal(without.PodDisruptionBudget, undefined);
  },
};

if (args.tidegate) {
  checks['the program takes the resources of deploy/standalone.yaml, and the flags'] = () => {
    const shipped = yaml.parseAllDocuments(readFileSync(standalone, 'utf8'));
    const byKind = Object.fromEntries(shipped.map((d) => [d.toJS().kind, d.toJS()]));
    const file = join(folder, 'resources.yaml');
    writeFileSync(file, byKind.ConfigMap.data['resources.yaml']);
    const judged = run(args.tidegate, 'check', file);
    assert.deepEqual([judged.status, judged.stdout], [0, ''], judged.said);
    const { said } = run(args.tidegate, 'serve', '--help');
    const { containers } = objects({ threads: 2 }).Deployment.spec.template.spec;
    const [command, ...words] = containers[0].args;
    assert.equal(command, 'serve');
    for (const word of words.filter((word) => word.startsWith('--'))) {
      const flag = word.split('=')[0];
      assert.match(said, new RegExp(`${flag} <`), `${flag} is no flag of serve`);
    }
  };
}

let failed = 0;
for (const [title, check] of Object.entries(checks)) {
  try {
    check();
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${title}: ${error.message}`);
  }
}
rmSync(folder, { recursive: true });
console.log(failed === 0 ? `ok: ${Object.keys(checks).length} checks` : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
