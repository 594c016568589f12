-- macro.vintages: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`vintages`
(
    `series` LowCardinality(String),
    `date` Date32,
    `realtime_start` Date32,
    `realtime_end` Nullable(Date32),
    `value` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`series`, `date`, `realtime_start`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every vintage of a series from ALFRED, what was known when; an open realtime_end is null';

CREATE VIEW IF NOT EXISTS `macro`.`vintages_latest` AS
SELECT `series`, `date`, `realtime_start`, `realtime_end`, `value`
FROM `macro`.`vintages`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `series`, `date`, `realtime_start`;
