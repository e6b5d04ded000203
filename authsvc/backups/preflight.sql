-- What the server is, and whether this role may copy it. The role with the oid 10 is the one that initdb made.
SELECT
    current_setting('server_version_num')::INTEGER AS server_version,
    system.system_identifier::TEXT AS system_identifier,
    checkpoint.timeline_id AS timeline,
    coalesce(current_setting('summarize_wal', true), 'off') = 'on' AS has_summaries,
    current_setting('wal_level') AS wal_level,
    current_setting('max_wal_senders')::INTEGER AS wal_senders_max,
    (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may_replicate,
    current_user::TEXT AS role,
    current_database()::TEXT AS database,
    (SELECT rolname::TEXT FROM pg_roles WHERE oid = 10) AS superuser,
    (SELECT count(*) FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces
FROM pg_control_system() AS system, pg_control_checkpoint() AS checkpoint
