-- crypto.defi_protocols: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`defi_protocols`
(
    `id` String,
    `slug` String,
    `name` String,
    `symbol` Nullable(String),
    `category` LowCardinality(Nullable(String)),
    `chains` Array(String),
    `tvl` Nullable(Float64),
    `chain_tvls` Map(String, Nullable(Float64)),
    `mcap` Nullable(Float64),
    `change_1d` Nullable(Float64),
    `snapshot_at` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`id`, `snapshot_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Every DeFi protocol with its TVL, hourly; a row is kept for each change';

CREATE VIEW IF NOT EXISTS `crypto`.`defi_protocols_latest` AS
SELECT `id`, `slug`, `name`, `symbol`, `category`, `chains`, `tvl`, `chain_tvls`, `mcap`, `change_1d`, `snapshot_at`
FROM `crypto`.`defi_protocols`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `id`;
