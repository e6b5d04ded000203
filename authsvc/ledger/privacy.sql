-- name: census
-- Of a column, how many values are sealed under which key; 0: under none. What erasing somebody leaves is nobody's.
SELECT
    CASE WHEN {column} ~ '^sealed:[0-9]+:' THEN split_part({column}, ':', 2)::INTEGER ELSE 0 END AS version, count(*) AS count
FROM {table}
WHERE {column} IS NOT NULL AND NOT {erased}
GROUP BY 1 ORDER BY 1

-- name: some
-- The next rows with a value that is not as wanted, locked: nobody writes a name that is then lost.
SELECT id, {columns} FROM {table} WHERE id > $1 AND ({needs}) ORDER BY id LIMIT $2 FOR UPDATE

-- name: count
SELECT count(*) FROM {table} WHERE {needs}

-- name: erased
{column} ~ '^(?:{erased_form})$'

-- name: not_under
({column} IS NOT NULL AND {column} NOT LIKE 'sealed:{version}:%' AND NOT {erased})

-- name: under_any
({column} ~ '^sealed:[0-9]+:')

-- name: write
UPDATE {table} AS t SET {assignments}
FROM unnest($1::INTEGER[], {arrays}) AS s (id, {columns})
WHERE t.id = s.id

-- name: holders
-- Who has one of these blind indexes already.
SELECT id FROM {table} WHERE {index} = ANY ($1::BYTEA[]) AND deleted_at IS NULL AND NOT id = ANY ($2::INTEGER[]) ORDER BY id

-- name: is_enforced
SELECT count(*) FROM pg_constraint WHERE conrelid = ANY ($1::TEXT[]::REGCLASS[]) AND conname ~ '_sealed_check$' AND convalidated

-- name: enforce
ALTER TABLE {table} ADD CONSTRAINT {table}_sealed_check CHECK ({condition})

-- name: is_sealed
({column} IS NULL OR {column} ~ '^sealed:[0-9]+:' OR {erased})

-- name: relax
ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_sealed_check
