-- name: mark
-- Where the primary's log is safe on disk: nothing is visible anywhere that lies behind it. Fails on a standby.
SELECT
    system_identifier || '/' || current_database() AS cluster,
    pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::BIGINT AS position
FROM pg_control_system()

-- name: look
-- How far a standby has replayed; `position` is NULL on a server that follows nobody.
SELECT
    system_identifier || '/' || current_database() AS cluster,
    CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::BIGINT END AS position
FROM pg_control_system()
