#!/usr/bin/env node
// usage: chart.mjs [--tidegate PROGRAM] [--update]
//
// Checks charts/tidegate with Helm: lints it, renders it with several values and looks at what
// comes out, and compares deploy/tidegate.yaml with what it is rendered from. PROGRAM also judges
// the gateways of deploy/, and has to know the commands and flags that pods start it with.
// --update writes deploy/tidegate.yaml and the chart's copy of crds/ instead of comparing them.
// Prints what is wrong and exits 1, or prints `ok` and exits 0. Without Helm it checks nothing,
// says so, and exits 0.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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
const folder = mkdtempSync(join(tmpdir(), 'tidegate-chart-'));
const text = (...path) => readFileSync(join(root, ...path), 'utf8');

const HEADER = `\
# Tidegate with the chart's default values, for those who do not use Helm: kubectl apply -f tidegate.yaml
# Give it your image first. Rendered from charts/tidegate by tests/gear/chart.mjs --update.
apiVersion: v1
kind: Namespace
metadata:
  name: tidegate-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
`;

function run(program, ...words) {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}`, stdout };
}

function render(...words) {
  // Helm as Go builds it takes the cluster for one too old for the chart.
  const where = ['--namespace', 'tidegate-system', '--kube-version', '1.36.0'];
  return run(helm, 'template', 'tidegate', chart, ...where, ...words);
}

function renderValues(values, ...words) {
  const file = join(folder, 'values.json');
  writeFileSync(file, JSON.stringify(values));
  return render('--values', file, ...words);
}

function parse(manifests) {
  const found = yaml.parseAllDocuments(manifests).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  return found.filter(Boolean);
}

/** The rendered objects, for values given as an object. */
function list(values = {}) {
  const { status, said, stdout } = renderValues(values);
  assert.equal(status, 0, said);
  return parse(stdout);
}

/** The same by kind; only for kinds of which there is one. */
function objects(values = {}) {
  return Object.fromEntries(list(values).map((object) => [object.kind, object]));
}

function workload(values = {}) {
  const { Deployment, DaemonSet } = objects(values);
  const { metadata, spec } = Deployment ?? DaemonSet;
  const pod = spec.template.spec;
  return { metadata, spec, pod, container: pod.containers[0] };
}

// Every value that shows in what is rendered.
const MANY = {
  image: { registry: 'registry.example.com', digest: `sha256:${'0'.repeat(64)}` },
  imagePullSecrets: [{ name: 'pull' }],
  service: { type: 'NodePort', annotations: { 'a.b/c': 'd,e=f' }, loadBalancerClass: 'lb' },
  portRange: '30000-30999',
  ingressClass: { name: 'edge', default: true, annotations: { a: 'b' } },
  watchNamespaces: ['one', 'two'],
  allowExternalName: true,
  publishStatusAddresses: ['192.0.2.1'],
  threads: 3,
  accessLog: false,
  log: { level: 'info,tidegate_proxy=debug', format: 'text' },
  metrics: {
    service: { annotations: { a: 'b' }, labels: { a: 'b' } },
    serviceMonitor: {
      enabled: true,
      labels: { release: 'prometheus' },
      scrapeTimeout: '5s',
      relabelings: [{ action: 'keep' }],
      metricRelabelings: [{ action: 'drop' }],
    },
  },
  autoscaling: { enabled: true, behavior: { scaleDown: { stabilizationWindowSeconds: 600 } } },
  podDisruptionBudget: { minAvailable: '50%' },
  networkPolicy: { enabled: true, adminFrom: [{ podSelector: {} }] },
  topologySpreadConstraints: [
    { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' },
  ],
  affinity: { podAntiAffinity: {} },
  tolerations: [{ operator: 'Exists' }],
  priorityClassName: 'system-cluster-critical',
  podAnnotations: { a: 'b' },
  podLabels: { a: 'b' },
  serviceAccount: { annotations: { a: 'b' } },
  extraEnvs: [{ name: 'A', value: 'b' }],
  extraVolumes: [{ name: 'extra', emptyDir: {} }],
  extraVolumeMounts: [{ name: 'extra', mountPath: '/extra' }],
};

/** Rules as sorted lines: one for each right. */
function rights(rules) {
  const lines = rules.flatMap(({ apiGroups, resources, resourceNames = [''], verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.map((name) => `${group}/${resource}${name && `:${name}`} ${verbs.join(' ')}`),
      ),
    ),
  );
  return lines.sort();
}

// What the controller reads and reports on.
const WATCHED = [
  '/configmaps get list watch',
  '/secrets get list watch',
  '/services get list watch',
  'discovery.k8s.io/endpointslices get list watch',
  'events.k8s.io/events create',
  'gateway.networking.k8s.io/referencegrants get list watch',
  'networking.k8s.io/ingresses get list watch',
  'networking.k8s.io/ingresses/status get patch',
  'tidegate.dev/applicationgateways get list watch',
  'tidegate.dev/applicationgateways/status get patch',
];
const CLASSES = 'networking.k8s.io/ingressclasses get list watch';
// What it keeps in its own namespace.
const KEPT = [
  '/pods list',
  '/secrets create',
  '/secrets:tidegate-shared-keys get list watch patch',
  '/services get list watch create patch delete',
  'apps/deployments:tidegate get',
  'coordination.k8s.io/leases:tidegate-leader get patch',
];

/** What is granted, by where: '' for everywhere. Checks that each role is bound, to our account. */
function granted(values) {
  const all = list(values);
  const found = {};
  for (const { kind, metadata, rules } of all.filter(({ rules }) => rules)) {
    const where = kind === 'Role' ? metadata.namespace : '';
    const bound = all.filter(
      (its) => its.roleRef?.kind === kind && its.roleRef.name === metadata.name
        && (its.metadata.namespace ?? '') === where,
    );
    assert.equal(bound.length, 1, `${kind} ${metadata.name} in ${where}`);
    assert.deepEqual(bound[0].subjects, [
      { kind: 'ServiceAccount', name: 'tidegate', namespace: 'tidegate-system' },
    ]);
    assert.ok(!(where in found));
    found[where] = rights(rules);
  }
  return found;
}

const crds = readdirSync(join(root, 'crds')).sort();

const checks = {
  'Helm has nothing to object to'() {
    const { status, said } = run(helm, 'lint', '--strict', chart);
    assert.equal(status, 0, said);
  },

  'what is misspelt or of the wrong type is refused, by name'() {
    for (const [values, named] of [
      [{ replicas: 3 }, /replicas/],
      [{ service: { annotation: {} } }, /annotation/],
      [{ metrics: { serviceMonitor: { enable: true } } }, /enable/],
      [{ kind: 'StatefulSet' }, /kind/],
      [{ service: { type: 'loadbalancer' } }, /type/],
      [{ portRange: 20000 }, /portRange/],
      [{ podAnnotations: { a: 1 } }, /podAnnotations/],
      [{ autoscaling: { enabled: true }, kind: 'DaemonSet' }, /autoscaling works with kind Deployment/],
      [{ terminationGracePeriodSeconds: 310 }, /more than shutdownDelay and drainTimeout/],
    ]) {
      const { status, said } = renderValues(values);
      assert.notEqual(status, 0, JSON.stringify(values));
      assert.match(said, named);
    }
  },

  'every value is in the schema, and every level of ours is closed'() {
    const schema = JSON.parse(text('charts', 'tidegate', 'values.schema.json'));
    const compare = (values, { properties, additionalProperties }, path) => {
      assert.equal(additionalProperties, false, path);
      for (const [key, value] of Object.entries(values)) {
        const inner = properties[key];
        assert.ok(inner, `${path}.${key}`);
        if (inner.properties) compare(value, inner, `${path}.${key}`);
      }
      for (const key of Object.keys(properties)) {
        assert.ok(key in values || ['global', 'minAvailable'].includes(key), `${path}.${key}: no default`);
      }
    };
    compare(yaml.parse(text('charts', 'tidegate', 'values.yaml')), schema, 'values');
  },

  "the chart's README tells of every value"() {
    const readme = text('charts', 'tidegate', 'README.md');
    const values = yaml.parse(text('charts', 'tidegate', 'values.yaml'));
    for (const key of Object.keys(values)) assert.match(readme, new RegExp(`^\\|.*\`${key}[\`.]`, 'm'));
  },

  'the definitions are those that the program prints'() {
    const copies = join(chart, 'files', 'crds');
    if (args.update) for (const name of crds) writeFileSync(join(copies, name), text('crds', name));
    assert.deepEqual(readdirSync(copies).sort(), crds);
    for (const name of crds) assert.equal(readFileSync(join(copies, name), 'utf8'), text('crds', name));
  },

  'definitions come with the chart, stay when it goes, and can be left to others'() {
    const rendered = (values) => list(values).filter(({ kind }) => kind === 'CustomResourceDefinition');
    const kept = rendered();
    assert.equal(kept.length, crds.length);
    for (const definition of kept) {
      assert.deepEqual(definition.metadata.annotations, { 'helm.sh/resource-policy': 'keep' });
      const { name } = definition.metadata;
      assert.deepEqual(definition.spec, yaml.parse(text('crds', `${name}.yaml`)).spec);
    }
    assert.equal(rendered({ crds: { keep: false } })[0].metadata.annotations, undefined);
    assert.deepEqual(rendered({ crds: { install: false } }), []);
  },

  'deploy/tidegate.yaml is what the chart renders'() {
    // Only Helm knows what to keep, and what a test is.
    const { status, said, stdout } = render('--set', 'crds.keep=false', '--skip-tests');
    assert.equal(status, 0, said);
    // Where a template is in the chart says nothing to who applies the result.
    const rendered = HEADER + stdout.replace(/^---\n/, '').replace(/^# Source: .*\n/gm, '');
    const path = join(root, 'deploy', 'tidegate.yaml');
    if (args.update) writeFileSync(path, rendered);
    assert.ok(text('deploy', 'tidegate.yaml') === rendered, 'it differs: run tests/gear/chart.mjs --update');
    for (const { kind, metadata } of parse(rendered)) {
      const everywhere = ['Namespace', 'CustomResourceDefinition', 'ClusterRole', 'ClusterRoleBinding', 'IngressClass'];
      assert.equal(metadata.namespace, everywhere.includes(kind) ? undefined : 'tidegate-system', kind);
    }
  },

  'pods meet the restricted Pod Security Standard'() {
    const pods = list().flatMap(({ kind, spec }) => (kind === 'Pod' ? [spec] : spec?.template?.spec ?? []));
    assert.equal(pods.length, 2);
    for (const pod of pods) {
      assert.deepEqual(pod.securityContext, {
        runAsNonRoot: true,
        runAsUser: 65532,
        runAsGroup: 65532,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      assert.deepEqual(pod.containers[0].securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      assert.equal(pod.hostNetwork, undefined);
    }
    assert.equal(workload().pod.automountServiceAccountToken, true);
  },

  "on the nodes' network it may bind low ports, and nothing else"() {
    for (const kind of ['Deployment', 'DaemonSet']) {
      const { pod, spec, container } = workload({ kind, hostNetwork: true });
      assert.equal(pod.hostNetwork, true);
      assert.equal(pod.dnsPolicy, 'ClusterFirstWithHostNet');
      assert.deepEqual(pod.securityContext, workload().pod.securityContext);
      assert.deepEqual(container.securityContext, {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
      });
      assert.ok(container.args.includes('--host-network'));
      assert.ok(!container.args.some((word) => /^--(service|port-range|load-balancer)/.test(word)));
      // A successor finds the ports taken on a node that has one.
      const { rollingUpdate } = spec.strategy ?? spec.updateStrategy;
      assert.deepEqual(rollingUpdate, { maxUnavailable: 1, maxSurge: 0 });
    }
  },

  'it may do what it does, and nothing else'() {
    assert.deepEqual(granted(), {
      '': [...WATCHED, CLASSES].sort(),
      'tidegate-system': KEPT,
    });
    assert.deepEqual(granted({ kind: 'DaemonSet' })['tidegate-system'],
      KEPT.map((right) => right.replace('deployments', 'daemonsets')));
    // With namespaces named, it reads no Secret anywhere else.
    assert.deepEqual(granted({ watchNamespaces: ['one', 'two'] }), {
      '': [CLASSES],
      one: WATCHED,
      two: WATCHED,
      'tidegate-system': KEPT,
    });
    assert.deepEqual(granted({ rbac: { create: false } }), {});
    const { Role, ServiceAccount } = objects();
    assert.ok(!JSON.stringify(Role).includes('*'));
    assert.equal(ServiceAccount.automountServiceAccountToken, false);
  },

  'a rollout takes no pod away before its successor is ready, and none is killed while it drains'() {
    for (const kind of ['Deployment', 'DaemonSet']) {
      const { spec, pod, container } = workload({ kind, shutdownDelay: 7, drainTimeout: 1000 });
      const { rollingUpdate } = spec.strategy ?? spec.updateStrategy;
      assert.deepEqual(rollingUpdate, { maxUnavailable: 0, maxSurge: 1 });
      assert.ok(pod.terminationGracePeriodSeconds > 1007);
      assert.ok(container.args.includes('--shutdown-delay=7'));
      assert.ok(container.args.includes('--drain-timeout=1000'));
    }
    const given = workload({ terminationGracePeriodSeconds: 311 });
    assert.equal(given.pod.terminationGracePeriodSeconds, 311);
  },

  'probes, Service, monitor and test lead to the admin port'() {
    for (const admin of [9440, 9999]) {
      const all = objects({ admin: { port: admin }, metrics: { serviceMonitor: { enabled: true } } });
      const { Deployment, Service, ServiceMonitor, Pod } = all;
      const { template, selector } = Deployment.spec;
      const [container] = template.spec.containers;
      assert.deepEqual(container.ports, [{ name: 'admin', containerPort: admin }]);
      assert.ok(container.args.includes(`--admin=0.0.0.0:${admin}`));
      assert.deepEqual(container.livenessProbe.httpGet, { path: '/livez', port: 'admin' });
      assert.deepEqual(container.readinessProbe.httpGet, { path: '/readyz', port: 'admin' });
      assert.deepEqual(Service.spec.ports, [{ name: 'admin', port: admin, targetPort: 'admin' }]);
      assert.deepEqual(Service.spec.selector, selector.matchLabels);
      const labels = (object, wanted) => {
        for (const [label, value] of Object.entries(wanted)) assert.equal(object.labels[label], value);
      };
      labels(template.metadata, selector.matchLabels);
      labels(Service.metadata, ServiceMonitor.spec.selector.matchLabels);
      const url = `http://tidegate-admin.tidegate-system.svc:${admin}/readyz`;
      assert.deepEqual(Pod.spec.containers[0].args, ['probe', url]);
      // No traffic goes to the test's pod.
      assert.notEqual(Pod.metadata.labels['app.kubernetes.io/name'], selector.matchLabels['app.kubernetes.io/name']);
    }
  },

  'what the controller makes finds the pods, and goes with their owner'() {
    for (const values of [{}, { nameOverride: 'gate', fullnameOverride: 'edge' }, { kind: 'DaemonSet' }]) {
      const { metadata, spec, container } = workload(values);
      const flag = (name) => container.args.find((word) => word.startsWith(`--${name}=`)).split(/=(.*)/)[1];
      const selector = Object.fromEntries(flag('selector').split(',').map((pair) => pair.split('=')));
      assert.deepEqual(selector, spec.selector.matchLabels);
      assert.equal(flag('owner'), `${values.kind ?? 'Deployment'}/${metadata.name}`);
      const names = list(values).filter(({ kind }) => kind === 'Role').flatMap(({ rules }) => rules)
        .flatMap(({ resourceNames = [] }) => resourceNames);
      for (const name of [flag('lease-name'), flag('shared-keys-secret'), metadata.name]) {
        assert.ok(names.includes(name), name);
      }
    }
    const env = Object.fromEntries(workload().container.env.map(({ name, valueFrom }) => [name, valueFrom.fieldRef.fieldPath]));
    assert.deepEqual(env, { TIDEGATE_NAMESPACE: 'metadata.namespace', TIDEGATE_POD_NAME: 'metadata.name' });
  },

  'the class is the one that is served'() {
    const { IngressClass, Deployment } = objects({ ingressClass: { name: 'edge', default: true } });
    assert.equal(IngressClass.metadata.name, 'edge');
    assert.equal(IngressClass.spec.controller, 'tidegate.dev/ingress-controller');
    assert.equal(IngressClass.metadata.annotations['ingressclass.kubernetes.io/is-default-class'], 'true');
    assert.ok(Deployment.spec.template.spec.containers[0].args.includes('--class=edge'));
    assert.equal(objects().IngressClass.metadata.annotations, undefined);
    assert.equal(objects({ ingressClass: { create: false } }).IngressClass, undefined);
  },

  'values arrive where they belong'() {
    const all = objects(MANY);
    const { spec } = all.Deployment;
    const { metadata, spec: pod } = spec.template;
    const [container] = pod.containers;
    assert.equal(container.image, `registry.example.com/tidegate@${MANY.image.digest}`);
    for (const word of [
      '--service-type=NodePort', '--service-annotation=a.b/c=d,e=f', '--load-balancer-class=lb',
      '--external-traffic-policy=Local', '--port-range=30000-30999', '--allow-external-name',
      '--watch-namespace=one', '--watch-namespace=two', '--publish-status-address=192.0.2.1',
      '--threads=3', '--access-log=off', '--log=info,tidegate_proxy=debug', '--log-format=text',
    ]) {
      assert.ok(container.args.includes(word), word);
    }
    assert.equal(spec.replicas, undefined);
    const { scaleTargetRef, metrics, behavior } = all.HorizontalPodAutoscaler.spec;
    assert.deepEqual([scaleTargetRef.kind, scaleTargetRef.name], ['Deployment', all.Deployment.metadata.name]);
    assert.equal(metrics[0].resource.target.averageUtilization, 70);
    assert.deepEqual(behavior, MANY.autoscaling.behavior);
    assert.equal(all.PodDisruptionBudget.spec.minAvailable, '50%');
    assert.equal(all.PodDisruptionBudget.spec.maxUnavailable, undefined);
    const [traffic, admin] = all.NetworkPolicy.spec.ingress;
    const ports = ['TCP', 'UDP'].map((protocol) => ({ protocol, port: 30000, endPort: 30999 }));
    assert.deepEqual(traffic, { ports });
    assert.deepEqual(admin, { ports: [{ protocol: 'TCP', port: 'admin' }], from: MANY.networkPolicy.adminFrom });
    assert.equal(all.ServiceMonitor.metadata.labels.release, 'prometheus');
    assert.deepEqual(pod.topologySpreadConstraints, [
      { ...MANY.topologySpreadConstraints[0], labelSelector: spec.selector },
    ]);
    for (const name of ['affinity', 'tolerations', 'priorityClassName', 'imagePullSecrets']) {
      assert.deepEqual(pod[name], MANY[name]);
    }
    assert.equal(metadata.labels.a, 'b');
    assert.deepEqual(metadata.annotations, { a: 'b' });
    assert.deepEqual(pod.volumes, MANY.extraVolumes);
    assert.deepEqual(container.volumeMounts, MANY.extraVolumeMounts);
    assert.deepEqual(container.env.at(-1), MANY.extraEnvs[0]);
    assert.equal(workload({ extraArgs: ['--x=y z'] }).container.args.at(-1), '--x=y z');
    assert.equal(objects({ podDisruptionBudget: { enabled: false } }).PodDisruptionBudget, undefined);
  },

  'two releases share nothing that has no namespace'() {
    const names = (release, namespace) => {
      const { stdout } = run(helm, 'template', release, chart, '--namespace', namespace, '--kube-version', '1.36.0',
        '--set', `crds.install=false,ingressClass.name=${release}-${namespace}`);
      return parse(stdout).filter(({ metadata }) => !metadata.namespace)
        .map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    };
    const all = [names('one', 'a'), names('one', 'b'), names('tidegate', 'a'), names('tidegate', 'b')].flat();
    assert.equal(new Set(all).size, all.length);
    assert.equal(all.length, 12);
  },
};

if (args.tidegate) {
  checks['the program knows every command and flag that pods start it with'] = () => {
    const standalone = parse(text('deploy', 'standalone.yaml')).find(({ kind }) => kind === 'Deployment');
    const lines = [
      ...[{}, MANY, { hostNetwork: true }].map((values) => workload(values).container.args),
      objects().Pod.spec.containers[0].args,
      standalone.spec.template.spec.containers[0].args,
    ];
    for (const [command, ...words] of lines) {
      const help = run(args.tidegate, command, '--help');
      assert.equal(help.status, 0, help.said);
      for (const word of words.filter((word) => word.startsWith('--'))) {
        const [flag, value] = word.split('=');
        // A flag with a value says what it is; one without ends its line.
        const known = new RegExp(value === undefined ? `${flag}\\s*$` : `${flag} <`, 'm');
        assert.match(help.stdout, known, `${flag} is no flag of ${command}`);
      }
    }
  };

  checks['the program takes the gateways of deploy/'] = () => {
    const config = parse(text('deploy', 'standalone.yaml')).find(({ kind }) => kind === 'ConfigMap');
    const readable = ['ApplicationGateway', 'Service'];
    const example = parse(text('deploy', 'example.yaml')).filter(({ kind }) => readable.includes(kind));
    for (const [name, manifests, expected] of [
      ['standalone', config.data['resources.yaml'], []],
      // In a cluster they come with the pods.
      ['example', example.map((object) => `---\n${yaml.stringify(object)}`).join(''), ['has no endpoints']],
    ]) {
      const file = join(folder, `${name}.yaml`);
      writeFileSync(file, manifests);
      const { status, stdout, said } = run(args.tidegate, 'check', file);
      assert.equal(status, 0, said);
      const others = stdout.split('\n').filter((line) => line && !expected.some((part) => line.includes(part)));
      assert.deepEqual(others, []);
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
