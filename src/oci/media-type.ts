/** The media types of images, in both dialects: OCI (image-spec 1.1 "media-types.md") and Docker schema 2. */

export type Dialect = 'docker' | 'oci'

export interface MediaType {
  readonly type: string
  readonly dialect: Dialect
  readonly role: 'manifest' | 'index' | 'config' | 'layer'
  /** Of layers alone. */
  readonly compression?: 'gzip' | 'zstd' | 'none'
  /** True for a layer that is fetched from its `urls` and not from the registry. */
  readonly foreign?: boolean
  /** The same thing in the other dialect, where that has a word for it. */
  readonly twin?: string
}

type LayerCompression = NonNullable<MediaType['compression']>

const OCI = 'application/vnd.oci.image.'
const DOCKER = 'application/vnd.docker.'

export const MANIFEST_TYPES: Readonly<Record<Dialect, string>> = {
  docker: `${DOCKER}distribution.manifest.v2+json`,
  oci: `${OCI}manifest.v1+json`,
}

export const INDEX_TYPES: Readonly<Record<Dialect, string>> = {
  docker: `${DOCKER}distribution.manifest.list.v2+json`,
  oci: `${OCI}index.v1+json`,
}

export const CONFIG_TYPES: Readonly<Record<Dialect, string>> = {
  docker: `${DOCKER}container.image.v1+json`,
  oci: `${OCI}config.v1+json`,
}

const LAYER_TYPES: Readonly<Record<Dialect, Partial<Record<LayerCompression, string>>>> = {
  docker: {
    gzip: `${DOCKER}image.rootfs.diff.tar.gzip`,
    none: `${DOCKER}image.rootfs.diff.tar`,
  },
  oci: {
    gzip: `${OCI}layer.v1.tar+gzip`,
    zstd: `${OCI}layer.v1.tar+zstd`,
    none: `${OCI}layer.v1.tar`,
  },
}

const FOREIGN_TYPES: typeof LAYER_TYPES = {
  docker: {
    gzip: `${DOCKER}image.rootfs.foreign.diff.tar.gzip`,
    none: `${DOCKER}image.rootfs.foreign.diff.tar`,
  },
  oci: {
    gzip: `${OCI}layer.nondistributable.v1.tar+gzip`,
    zstd: `${OCI}layer.nondistributable.v1.tar+zstd`,
    none: `${OCI}layer.nondistributable.v1.tar`,
  },
}

/** What some tools write and most clients refuse: read, never written. */
const DOCKER_ZSTD = `${DOCKER}image.rootfs.diff.tar.zstd`

const TABLE: ReadonlyMap<string, MediaType> = new Map(
  [
    ...both('manifest', MANIFEST_TYPES),
    ...both('index', INDEX_TYPES),
    ...both('config', CONFIG_TYPES),
    ...layers(LAYER_TYPES, false),
    ...layers(FOREIGN_TYPES, true),
    {
      type: DOCKER_ZSTD,
      dialect: 'docker',
      role: 'layer',
      compression: 'zstd',
      foreign: false,
      twin: `${OCI}layer.v1.tar+zstd`,
    } satisfies MediaType,
  ].map((entry) => [entry.type, entry]),
)

/** Manifest types of the past, and what they are; nothing here reads them. */
export const OBSOLETE_TYPES: ReadonlyMap<string, string> = new Map([
  [`${DOCKER}distribution.manifest.v1+json`, 'a Docker schema 1 manifest'],
  [`${DOCKER}distribution.manifest.v1+prettyjws`, 'a signed Docker schema 1 manifest'],
  ['application/vnd.oci.artifact.manifest.v1+json', 'an OCI artifact manifest'],
])

export function findMediaType(type: string): MediaType | undefined {
  return TABLE.get(type)
}

/** `undefined` where the dialect has no word for it: Docker schema 2 knows no zstd. */
export function layerMediaType(
  dialect: Dialect,
  compression: LayerCompression,
): string | undefined {
  return LAYER_TYPES[dialect][compression]
}

/** A known type as the dialect writes it; `undefined` when it is unknown or has no counterpart there. */
export function translateMediaType(type: string, dialect: Dialect): string | undefined {
  const known = findMediaType(type)
  return known?.dialect === dialect ? type : known?.twin
}

function both(role: MediaType['role'], types: Readonly<Record<Dialect, string>>): MediaType[] {
  return [
    { type: types.docker, dialect: 'docker', role, twin: types.oci },
    { type: types.oci, dialect: 'oci', role, twin: types.docker },
  ]
}

function layers(types: typeof LAYER_TYPES, foreign: boolean): MediaType[] {
  const found: MediaType[] = []
  for (const compression of ['gzip', 'zstd', 'none'] as const) {
    const { docker: inDocker, oci: inOci } = types
    const [docker, oci] = [inDocker[compression], inOci[compression]]
    const shared = { role: 'layer', compression, foreign } as const
    if (docker)
      found.push({ type: docker, dialect: 'docker', ...shared, ...(oci && { twin: oci }) })
    if (oci) found.push({ type: oci, dialect: 'oci', ...shared, ...(docker && { twin: docker }) })
  }
  return found
}
