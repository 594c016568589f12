-- crypto.onchain_metrics: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`onchain_metrics`
(
    `metric` String,
    `asset` String,
    `value` Nullable(Float64),
    `timestamp` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0,
    INDEX idx_metric metric TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (`asset`, `metric`, `timestamp`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Daily on-chain metrics; recent points are recomputed for days, so a week is asked again';

CREATE VIEW IF NOT EXISTS `crypto`.`onchain_metrics_latest` AS
SELECT `metric`, `asset`, `value`, `timestamp`
FROM `crypto`.`onchain_metrics`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `asset`, `metric`, `timestamp`;
