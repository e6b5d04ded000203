-- Bring the catalogue to the given rows ($1 codes, $2 names, $3 groups, $4 high risk); untouched when equal.
INSERT INTO spending_categories AS c (mcc_code, category_name, category_group, is_high_risk)
SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::BOOLEAN[])
ON CONFLICT (mcc_code) WHERE deleted_at IS NULL DO UPDATE
SET category_name = excluded.category_name,
    category_group = excluded.category_group,
    is_high_risk = excluded.is_high_risk
WHERE (c.category_name, c.category_group, c.is_high_risk)
    IS DISTINCT FROM (excluded.category_name, excluded.category_group, excluded.is_high_risk)
