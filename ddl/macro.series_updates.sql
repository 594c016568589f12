-- macro.series_updates: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`series_updates`
(
    `id` String,
    `last_updated` DateTime,
    `title` String,
    `frequency` LowCardinality(String),
    `units` LowCardinality(String),
    `seasonal_adjustment` LowCardinality(String),
    `observation_start` Date32,
    `observation_end` Date32,
    `popularity` UInt16,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`id`, `last_updated`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Series that FRED updated, newest first, as far as it tells (two weeks) or until known ones come';

CREATE VIEW IF NOT EXISTS `macro`.`series_updates_latest` AS
SELECT `id`, `last_updated`, `title`, `frequency`, `units`, `seasonal_adjustment`, `observation_start`, `observation_end`, `popularity`
FROM `macro`.`series_updates`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `id`, `last_updated`;
