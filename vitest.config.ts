import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

// Tests start hundreds of processes, each of which would read and compile all sources again: half a second of a core.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/compiled')

/** These tests often wait, so two cores are not too few for two. */
const WORKERS = Math.max(2, availableParallelism() - 1)

/** Real programs: their daemons and stores exist once, so one file runs after the other. */
const withPrograms = {
  globalSetup: 'test/helpers/fixtures-setup.ts',
  fileParallelism: false,
  hookTimeout: 300_000,
} as const

/** Servers are processes, on machines that have much to do. */
const PATIENT = { poll: { timeout: 10_000 } }

/** Each starts when a test asks for it. */
const SHARED_PAIR = ['test/helpers/postgres-setup.ts', 'test/helpers/s3-setup.ts']

/** What is run on the shared pair in each check: what tells most within three minutes. All of it: `pairs-all`. */
const TELLING = [
  'faults/upkeep-eviction',
  ...['proxy', 'conversion', 'isolation', 'partial-indexes', 'prototype-names', 'ranges'].map(
    (name) => `integration/${name}`,
  ),
  ...['upkeep-commands', 'corpus-access', 'attach'].map((name) => `integration/${name}`),
  'commands/bundle-there',
]

/** Faults to which it is all one on which pair the others stand: of no store, or of stores on S3 and PostgreSQL that they open themselves. */
const OF_THEIR_OWN = [
  ...['fuzz', 'rebinding', 'upstream-*', 'store-configuration', 'migrate*'],
  ...['s3*', 'shared-*', 'store-outages', 'postgres', 'failover'],
  ...['replicas', 'partitions', 'rolling'],
]

/** What is run with two workers: what tells most that they are one server. More of it: CROSSDOCK_TEST_WORKERS=2. */
const TELLING_WORKERS = ['isolation', 'answers', 'ranges', 'attach', 'freshness', 'corpus-access']

/** Suites by cost and by what they share: `unit` needs nothing but Node; the others need root, Debian packages or minutes. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{unit,contract}/**/*.test.ts'],
          globalSetup: SHARED_PAIR,
          testTimeout: 20_000,
          maxWorkers: WORKERS,
        },
      },
      {
        test: {
          ...withPrograms,
          name: 'clients',
          globalSetup: [withPrograms.globalSetup, 'test/helpers/s3-setup.ts'],
          include: ['test/clients/**/*.test.ts'],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'oracles',
          include: ['test/oracles/**/*.test.ts'],
          globalSetup: 'test/helpers/fixtures-registry-setup.ts',
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'integration',
          expect: PATIENT,
          globalSetup: SHARED_PAIR,
          include: ['test/{integration,commands}/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: WORKERS,
        },
      },
      {
        test: {
          name: 'pairs',
          expect: PATIENT,
          env: { CROSSDOCK_TEST_PAIR: 'shared' },
          globalSetup: SHARED_PAIR,
          include: TELLING.map((name) => `test/${name}.test.ts`),
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: WORKERS,
        },
      },
      {
        test: {
          name: 'pairs-all',
          expect: PATIENT,
          env: { CROSSDOCK_TEST_PAIR: 'shared' },
          globalSetup: SHARED_PAIR,
          include: ['test/{integration,commands,faults}/**/*.test.ts'],
          exclude: OF_THEIR_OWN.map((name) => `test/faults/${name}.test.ts`),
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'workers',
          env: { CROSSDOCK_TEST_WORKERS: '2' },
          globalSetup: SHARED_PAIR,
          include: TELLING_WORKERS.map((name) => `test/integration/${name}.test.ts`),
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: WORKERS,
        },
      },
      {
        test: {
          name: 'faults',
          expect: PATIENT,
          globalSetup: SHARED_PAIR,
          include: ['test/faults/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'browser',
          globalSetup: SHARED_PAIR,
          include: ['test/browser/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...withPrograms,
          name: 'nodes',
          include: ['test/nodes/**/*.test.ts'],
          testTimeout: 600_000,
        },
      },
      {
        test: {
          name: 'packaging',
          include: ['test/packaging/**/*.test.ts'],
          // Builds and installs fill the machine.
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: 'soak',
          globalSetup: 'test/helpers/s3-setup.ts',
          include: ['test/soak/**/*.test.ts'],
          fileParallelism: false,
        },
      },
      {
        test: {
          ...withPrograms,
          name: 'slow',
          include: ['test/slow/**/*.test.ts'],
          testTimeout: 1_800_000,
        },
      },
    ],
  },
})
