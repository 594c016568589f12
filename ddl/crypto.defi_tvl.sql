-- crypto.defi_tvl: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`defi_tvl`
(
    `protocol` LowCardinality(String),
    `day` Date,
    `at` DateTime,
    `tvl` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`protocol`, `day`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'TVL of protocols by day; the last point is of now, and is replaced when its day is over';

CREATE VIEW IF NOT EXISTS `crypto`.`defi_tvl_latest` AS
SELECT `protocol`, `day`, `at`, `tvl`
FROM `crypto`.`defi_tvl`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `protocol`, `day`;
