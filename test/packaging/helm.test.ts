/** The Helm chart: linted, rendered with several values, judged by Kubernetes' schemas, its configuration read by crossdock. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { CHART, helm, KUBERNETES, objectsOf, render, valuesNames } from '../helpers/chart.ts'
import { Workplace } from '../helpers/command.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { describeWithPrograms, findJudge, SCHEMAS } from '../helpers/packaging.ts'

/** Kubernetes knows nothing of what Prometheus' operator brings. */
const FOREIGN_KINDS = 'ServiceMonitor'

test('the chart has the version of the package', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const chart = parse(await readFile(join(CHART, 'Chart.yaml'), 'utf8'))

  expect([chart.version, chart.appVersion]).toEqual([version, version])
})

describeWithPrograms(['helm', 'kubeconform'], 'the chart', () => {
  describe.each(valuesNames())('with the values "%s"', (values) => {
    test('is what helm and Kubernetes take', async () => {
      const file = join(CHART, 'ci', `${values}-values.yaml`)
      const linted = await helm('lint', '--strict', '--kube-version', KUBERNETES, CHART, '-f', file)
      expect([linted.status, linted.stderr]).toEqual([0, ''])

      const schemas = join(
        SCHEMAS,
        `v${KUBERNETES}-local-strict`,
        '{{.ResourceKind}}{{.KindSuffix}}.json',
      )
      const flags = ['-strict', '-skip', FOREIGN_KINDS, '-kubernetes-version', KUBERNETES]
      const input = await render(values)
      const judged = await runCommand(
        findJudge('kubeconform'),
        [...flags, '-summary', '-schema-location', schemas, '-'],
        { input },
      )
      expect(judged.stdout).toContain('Invalid: 0, Errors: 0')
      expect(judged.status).toBe(0)
    })

    test('gives crossdock a configuration that it reads', async () => {
      await using place = await Workplace.create()
      const config = objectsOf(await render(values)).find((one) => one.data?.['crossdock.yaml'])
      const file = await place.write(
        'crossdock.yaml',
        config?.data?.['crossdock.yaml'] ?? 'none: 1',
      )

      const { code, err } = await place.run('config', 'show', '--config', file)

      expect([code, err]).toEqual([0, ''])
    })

    test('runs without rights, the server without root', async () => {
      const pods = objectsOf(await render(values)).filter(({ spec }) => spec?.template)
      expect(pods.length).toBeGreaterThan(0)
      for (const { kind, spec } of pods) {
        const pod = spec.template.spec
        expect(pod).toMatchObject({
          automountServiceAccountToken: false,
          enableServiceLinks: false,
        })
        if (kind === 'StatefulSet')
          expect(pod.securityContext).toMatchObject({ runAsNonRoot: true })
        for (const { securityContext } of pod.containers) {
          expect(securityContext).toMatchObject({
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          })
        }
      }
    })
  })

  test('has one pod and nothing that several need, unless several are asked for', async () => {
    const kinds = (text: string) => objectsOf(text).map(({ kind }) => kind)
    const one = await render('default')
    expect(one).toContain('replicas: 1\n')
    expect(kinds(one)).not.toContain('PodDisruptionBudget')
    expect(one).not.toContain('podAntiAffinity')
    expect(one).not.toContain('CROSSDOCK_SHUTDOWN_DELAY')

    const many = await render('replicas')
    expect(many).toContain('replicas: 3\n')
    expect(many).toContain('maxUnavailable: 1\n')
    expect(many).toContain('podAntiAffinity')
    expect(many).toContain('value: "$(POD_IP):5002"')
    expect(many).toContain('{ name: CROSSDOCK_SHUTDOWN_DELAY, value: 5s }')
    expect(many).toContain('- secretRef: { name: crossdock-s3 }')
    const scaled = await render('scaled')
    expect(kinds(scaled)).toContain('HorizontalPodAutoscaler')
    expect(scaled).not.toMatch(/^ {2}replicas:/m)
    expect(scaled).toContain('serviceAccountName: crossdock\n')
  })

  test.each([
    ['replicas=2', 'several pods need config.store.catalog on postgres://'],
    ['autoscaling.enabled=true', 'several pods need config.store.catalog on postgres://'],
    ['config.workers=2,config.store.blobs=s3://bucket', 'raise replicas instead'],
    ['config.cache.maxSise=1GiB', "additional properties 'maxSise' not allowed"],
    ['config.data=/elsewhere', "additional properties 'data' not allowed"],
    [
      'config.store.catalog=postgres://me:hunter2@db/x',
      'secrets.environment a Secret with the key PGPASSWORD',
    ],
    [
      'config.store.catalog=postgres://me@db/x?password=hunter2',
      'config.store.catalog: a password there',
    ],
    [
      'config.upstreams.local.password=hunter2',
      'config.upstreams.local.password: would lie in a ConfigMap',
    ],
    ['nodes.enabled=true', 'nodes.address: nodes know no names of services'],
    ['ingress.enabled=true', 'ingress.host: the name that clients put before'],
    ['metrics.serviceMonitor.enabled=true,config.admin=off', 'config.admin must not be off'],
  ])('refuses %s and says why', async (setting, reason) => {
    const { status, stderr } = await helm(
      ...['template', 'my', CHART, '--kube-version', KUBERNETES, '--set', setting],
    )

    expect(stderr).toContain(reason)
    expect(status).not.toBe(0)
  })

  test('takes passwords that are variables', async () => {
    const catalog = `config.store.catalog=postgres://me:\${DB_PASSWORD}@db/x?sslmode=require`
    const upstream = `config.upstreams.local.password=\${LOCAL_PASSWORD}`

    const rendered = await render('default', '--set', catalog, '--set', upstream)

    expect(rendered).toContain(`me:\${DB_PASSWORD}@db`)
  })

  test('opens a port for each listener, and the admin listener to nobody outside', async () => {
    const services = objectsOf(await render('private', '--set', 'service.type=NodePort')).filter(
      ({ kind }) => kind === 'Service',
    )

    expect(services.map(({ spec }) => spec.ports.map(({ name }) => name))).toEqual([
      ['registry', 'listen-1'],
      ['admin'],
    ])
  })
})
