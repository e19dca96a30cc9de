-- A beat a second, written from the backup host, shows after a restore how much was lost.
CREATE SCHEMA IF NOT EXISTS groundwork_backup;
CREATE TABLE IF NOT EXISTS groundwork_backup.heartbeat (
  beat bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE groundwork_backup.heartbeat ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS backup_writes ON groundwork_backup.heartbeat;
CREATE POLICY backup_writes ON groundwork_backup.heartbeat TO groundwork_backup USING (true) WITH CHECK (true);
REVOKE ALL ON SCHEMA groundwork_backup FROM PUBLIC;
GRANT USAGE ON SCHEMA groundwork_backup TO groundwork_backup;
GRANT SELECT, INSERT, DELETE ON groundwork_backup.heartbeat TO groundwork_backup;

-- What Barman asks for (its manual, "PostgreSQL connection"): reading settings and statistics, switching WAL, naming a point to restore to.
GRANT pg_monitor, pg_checkpoint TO groundwork_backup;
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO groundwork_backup;
GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO groundwork_backup;
GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO groundwork_backup;
GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO groundwork_backup;
