/** The catalog's tables, as numbered migrations: `PRAGMA user_version` is the number of those applied. Never edit one that was released. */

/**
 * Digests are raw bytes (32 for sha256, 64 for sha512), repositories numbers, times ms since 1970.
 * `links` is keyed by digest first: one B-tree answers "may this repository open it" and "who links to it".
 * `usage_by_time` and `layers_by_target` are there for eviction: what was least recently served, and can it be made again.
 */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    upstream TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (upstream, name)
  ) STRICT;

  CREATE TABLE tags (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    tag TEXT NOT NULL,
    digest BLOB NOT NULL,
    checked_at INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX tags_by_digest ON tags (digest);

  CREATE TABLE links (
    digest BLOB NOT NULL,
    repository INTEGER NOT NULL REFERENCES repositories (id),
    size INTEGER NOT NULL,
    media_type TEXT,
    standing INTEGER NOT NULL,
    is_config INTEGER NOT NULL,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (digest, repository)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE layers (
    source BLOB NOT NULL,
    encoding TEXT NOT NULL,
    options TEXT NOT NULL,
    revision INTEGER NOT NULL,
    target BLOB NOT NULL,
    size INTEGER NOT NULL,
    diff_id BLOB NOT NULL,
    uncompressed_size INTEGER NOT NULL,
    facts TEXT NOT NULL,
    fallback TEXT,
    PRIMARY KEY (source, encoding, options, revision)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX layers_by_target ON layers (target);

  CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL REFERENCES repositories (id),
    source BLOB NOT NULL,
    recipe TEXT NOT NULL,
    target BLOB NOT NULL,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    profile TEXT NOT NULL,
    layers TEXT NOT NULL,
    converted_at INTEGER NOT NULL,
    seconds REAL NOT NULL,
    UNIQUE (source, repository, recipe)
  ) STRICT;
  CREATE INDEX images_by_target ON images (target);

  CREATE TABLE platforms (
    repository INTEGER NOT NULL REFERENCES repositories (id),
    os TEXT NOT NULL,
    architecture TEXT NOT NULL,
    variant TEXT NOT NULL,
    os_version TEXT NOT NULL,
    PRIMARY KEY (repository, os, architecture, variant, os_version)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE usage (
    digest BLOB PRIMARY KEY,
    served_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX usage_by_time ON usage (served_at);

  CREATE TABLE released (
    digest BLOB PRIMARY KEY,
    released_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    done_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE pulse (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    checked_at INTEGER NOT NULL
  ) STRICT;
  `,
  // `sqlite-sums.ts` says what sums are and what they cover; `row_sum` is registered by `migrate`.
  `
  ALTER TABLE tags ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE tags SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    tag, digest, checked_at);
  ALTER TABLE links ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE links SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    digest, size, media_type, standing, is_config, linked_at);
  ALTER TABLE layers ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE layers SET sum = row_sum(
    source, encoding, options, revision, target, size, diff_id, uncompressed_size, facts, fallback);
  ALTER TABLE images ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE images SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    source, recipe, target, size, media_type, profile, layers, converted_at, seconds);
  ALTER TABLE platforms ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE platforms SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    os, architecture, variant, os_version);
  ALTER TABLE usage ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE usage SET sum = row_sum(
    digest, served_at);
  ALTER TABLE released ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE released SET sum = row_sum(
    digest, released_at);
  ALTER TABLE chores ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
  UPDATE chores SET sum = row_sum(
    name, done_at);
  `,
  // What a conversion made, in its row and by digest. What is not listed yet is told by the sidecars: a catalog that was
  // migrated is completed from the store. A layer that a format left as it is was once called made.
  `
  ALTER TABLE images ADD COLUMN outputs TEXT NOT NULL DEFAULT '[]';
  UPDATE images SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    source, recipe, target, size, media_type, profile, layers, outputs, converted_at, seconds);
  CREATE TABLE outputs (
    digest BLOB NOT NULL,
    image INTEGER NOT NULL REFERENCES images (id),
    sum INTEGER NOT NULL,
    PRIMARY KEY (digest, image)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX outputs_by_image ON outputs (image);
  UPDATE links SET standing = 1
    WHERE standing = 2 AND digest IN (SELECT source FROM layers WHERE source = target);
  UPDATE links SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    digest, size, media_type, standing, is_config, linked_at)
    WHERE standing = 1 AND digest IN (SELECT source FROM layers WHERE source = target);
  `,
  // When a platform was taken last; of those learned before nobody knows, so they count as taken now.
  `
  ALTER TABLE platforms ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
  UPDATE platforms SET used_at = unixepoch() * 1000;
  UPDATE platforms SET sum = row_sum(
    (SELECT upstream FROM repositories WHERE id = repository),
    (SELECT name FROM repositories WHERE id = repository),
    os, architecture, variant, os_version, used_at);
  `,
]
