import { describe, expect, it } from 'vitest'
import {
  CONFIG_TYPES,
  findMediaType,
  INDEX_TYPES,
  layerMediaType,
  MANIFEST_TYPES,
  OBSOLETE_TYPES,
  translateMediaType,
} from '../../../src/oci/media-type.ts'

const OCI = 'application/vnd.oci.image.layer'
const DOCKER = 'application/vnd.docker.image.rootfs'

const LAYERS = [
  [`${OCI}.v1.tar`, 'oci', 'none', false, `${DOCKER}.diff.tar`],
  [`${OCI}.v1.tar+gzip`, 'oci', 'gzip', false, `${DOCKER}.diff.tar.gzip`],
  [`${OCI}.v1.tar+zstd`, 'oci', 'zstd', false, undefined],
  [`${OCI}.nondistributable.v1.tar`, 'oci', 'none', true, `${DOCKER}.foreign.diff.tar`],
  [`${OCI}.nondistributable.v1.tar+gzip`, 'oci', 'gzip', true, `${DOCKER}.foreign.diff.tar.gzip`],
  [`${OCI}.nondistributable.v1.tar+zstd`, 'oci', 'zstd', true, undefined],
  [`${DOCKER}.diff.tar`, 'docker', 'none', false, `${OCI}.v1.tar`],
  [`${DOCKER}.diff.tar.gzip`, 'docker', 'gzip', false, `${OCI}.v1.tar+gzip`],
  [`${DOCKER}.diff.tar.zstd`, 'docker', 'zstd', false, `${OCI}.v1.tar+zstd`],
  [`${DOCKER}.foreign.diff.tar`, 'docker', 'none', true, `${OCI}.nondistributable.v1.tar`],
  [
    `${DOCKER}.foreign.diff.tar.gzip`,
    'docker',
    'gzip',
    true,
    `${OCI}.nondistributable.v1.tar+gzip`,
  ],
] as const

describe('the table of media types', () => {
  it.each(LAYERS)('knows %s', (type, dialect, compression, foreign, twin) => {
    expect(findMediaType(type)).toMatchObject({
      type,
      dialect,
      role: 'layer',
      compression,
      foreign,
    })
    expect(translateMediaType(type, dialect)).toBe(type)
    expect(translateMediaType(type, dialect === 'oci' ? 'docker' : 'oci')).toBe(twin)
  })

  it.each([
    ['manifest', MANIFEST_TYPES],
    ['index', INDEX_TYPES],
    ['config', CONFIG_TYPES],
  ] as const)('knows both types of a %s', (role, types) => {
    for (const dialect of ['docker', 'oci'] as const) {
      expect(findMediaType(types[dialect])).toMatchObject({ role, dialect })
      expect(translateMediaType(types.docker, dialect)).toBe(types[dialect])
      expect(translateMediaType(types.oci, dialect)).toBe(types[dialect])
    }
  })

  it('has every layer type for writing but zstd in Docker manifests', () => {
    expect(layerMediaType('oci', 'gzip')).toBe(`${OCI}.v1.tar+gzip`)
    expect(layerMediaType('oci', 'zstd')).toBe(`${OCI}.v1.tar+zstd`)
    expect(layerMediaType('oci', 'none')).toBe(`${OCI}.v1.tar`)
    expect(layerMediaType('docker', 'gzip')).toBe(`${DOCKER}.diff.tar.gzip`)
    expect(layerMediaType('docker', 'none')).toBe(`${DOCKER}.diff.tar`)
    expect(layerMediaType('docker', 'zstd')).toBeUndefined()
  })

  it.each([
    '',
    '__proto__',
    'constructor',
    `${OCI}.v1.tar+gzip `,
    `${OCI}.v1.tar+gzip+encrypted`,
    ...OBSOLETE_TYPES.keys(),
  ])('does not know %j', (type) => {
    expect(findMediaType(type)).toBeUndefined()
    expect(translateMediaType(type, 'oci')).toBeUndefined()
  })
})
