-- macro.global_liquidity: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`global_liquidity`
(
    `indicator` LowCardinality(String),
    `country_id` LowCardinality(String),
    `country` LowCardinality(String),
    `iso3` LowCardinality(String),
    `year` UInt16,
    `value` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`indicator`, `country_id`, `year`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Broad money, % of GDP, yearly; the whole history is asked each time, because all of it may be revised';

CREATE VIEW IF NOT EXISTS `macro`.`global_liquidity_latest` AS
SELECT `indicator`, `country_id`, `country`, `iso3`, `year`, `value`
FROM `macro`.`global_liquidity`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `indicator`, `country_id`, `year`;
