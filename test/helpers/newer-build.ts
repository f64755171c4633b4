/** What the migrations of the next builds might be, for tests of rolling upgrades: no older build has to be kept for them. */
import { MIGRATIONS, type Migration } from '../../src/store/postgres/schema.ts'

const KNOWN = MIGRATIONS.length

/** All that this build must be able to live with: more tables, more columns everywhere, wider types. */
export const EXPANSION: Migration = {
  least: KNOWN,
  sql: `
  DO $$ DECLARE one regclass; BEGIN
    FOR one IN SELECT oid FROM pg_class WHERE relnamespace = 'crossdock'::regnamespace AND relkind = 'r' LOOP
      EXECUTE format('ALTER TABLE %s ADD COLUMN newer text, ADD COLUMN filled text NOT NULL DEFAULT 7', one);
    END LOOP;
  END $$;
  ALTER TABLE crossdock.layers ALTER COLUMN revision TYPE bigint;
  CREATE TABLE crossdock.newer (id bigint PRIMARY KEY);
  `,
}

/** The build after that takes away what only builds up to this one need. */
export const CONTRACTION: Migration = {
  least: KNOWN + 1,
  sql: 'ALTER TABLE crossdock.layers DROP COLUMN newer',
}
