/** The catalog's tables on PostgreSQL, as numbered migrations. Never edit one that was released. */

export interface Migration {
  readonly sql: string
  /** The oldest build, by how many migrations it knows, that may go on using the catalog after this one: replicas are upgraded one by one. */
  readonly least: number
}

/**
 * As SQLite's: digests are raw bytes, repositories numbers, times ms since 1970 on the server's clock; texts sort by their bytes.
 * What has no bound (options, recipes) is keyed by its SHA-256, for an index holds at most 2,700 bytes a row. No sums: the server
 * has page checksums of its own. Leases are logged tables: one that vanished in a crash would have two holders.
 */
export const MIGRATIONS: readonly Migration[] = [
  {
    least: 1,
    sql: `
  CREATE TABLE crossdock.repositories (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upstream text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    UNIQUE (upstream, name)
  );

  CREATE TABLE crossdock.tags (
    repository bigint NOT NULL REFERENCES crossdock.repositories,
    tag text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    checked_at bigint NOT NULL,
    PRIMARY KEY (repository, tag)
  );

  CREATE TABLE crossdock.links (
    digest bytea NOT NULL,
    repository bigint NOT NULL REFERENCES crossdock.repositories,
    size bigint NOT NULL,
    media_type text,
    standing smallint NOT NULL,
    is_config boolean NOT NULL,
    linked_at bigint NOT NULL,
    PRIMARY KEY (digest, repository)
  );

  CREATE TABLE crossdock.layers (
    source bytea NOT NULL,
    encoding text COLLATE "C" NOT NULL,
    options text COLLATE "C" NOT NULL,
    options_sum bytea NOT NULL,
    revision integer NOT NULL,
    target bytea NOT NULL,
    size bigint NOT NULL,
    diff_id bytea NOT NULL,
    uncompressed_size bigint NOT NULL,
    facts text NOT NULL,
    fallback text,
    PRIMARY KEY (source, encoding, options_sum, revision)
  );
  CREATE INDEX layers_by_target ON crossdock.layers (target);

  CREATE TABLE crossdock.images (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    repository bigint NOT NULL REFERENCES crossdock.repositories,
    source bytea NOT NULL,
    recipe text NOT NULL,
    recipe_sum bytea NOT NULL,
    target bytea NOT NULL,
    size bigint NOT NULL,
    media_type text NOT NULL,
    profile text NOT NULL,
    layers text NOT NULL,
    outputs text NOT NULL,
    converted_at bigint NOT NULL,
    seconds double precision NOT NULL,
    UNIQUE (source, repository, recipe_sum)
  );
  CREATE INDEX images_by_target ON crossdock.images (target);
  CREATE INDEX images_by_time ON crossdock.images (converted_at, id);

  CREATE TABLE crossdock.outputs (
    digest bytea NOT NULL,
    image bigint NOT NULL REFERENCES crossdock.images ON DELETE CASCADE,
    PRIMARY KEY (digest, image)
  );
  CREATE INDEX outputs_by_image ON crossdock.outputs (image);

  CREATE TABLE crossdock.platforms (
    repository bigint NOT NULL REFERENCES crossdock.repositories,
    os text COLLATE "C" NOT NULL,
    architecture text COLLATE "C" NOT NULL,
    variant text COLLATE "C" NOT NULL,
    os_version text COLLATE "C" NOT NULL,
    used_at bigint NOT NULL,
    PRIMARY KEY (repository, os, architecture, variant, os_version)
  );

  CREATE TABLE crossdock.usage (digest bytea PRIMARY KEY, served_at bigint NOT NULL);
  CREATE TABLE crossdock.released (digest bytea PRIMARY KEY, released_at bigint NOT NULL);
  CREATE TABLE crossdock.chores (name text COLLATE "C" PRIMARY KEY, done_at bigint NOT NULL);
  CREATE TABLE crossdock.pulse (id integer PRIMARY KEY CHECK (id = 1), checked_at bigint NOT NULL);

  CREATE TABLE crossdock.leases (
    name text COLLATE "C" PRIMARY KEY,
    token bigint NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
  );
  CREATE INDEX leases_by_end ON crossdock.leases (expires_at);
  `,
  },
  {
    least: 1,
    sql: `
  CREATE TABLE crossdock.identity (
    id integer PRIMARY KEY CHECK (id = 1),
    catalog uuid NOT NULL DEFAULT gen_random_uuid(),
    store text NOT NULL
  );
  `,
  },
  {
    least: 1,
    sql: 'ALTER TABLE crossdock.identity ALTER COLUMN store DROP NOT NULL',
  },
]
