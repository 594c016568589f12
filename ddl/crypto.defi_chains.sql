-- crypto.defi_chains: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`defi_chains`
(
    `name` String,
    `tvl` Nullable(Float64),
    `token_symbol` Nullable(String),
    `gecko_id` Nullable(String),
    `cmc_id` Nullable(String),
    `chain_id` Nullable(String),
    `snapshot_at` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`name`, `snapshot_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'TVL of every chain, hourly; a row is kept for each change';

CREATE VIEW IF NOT EXISTS `crypto`.`defi_chains_latest` AS
SELECT `name`, `tvl`, `token_symbol`, `gecko_id`, `cmc_id`, `chain_id`, `snapshot_at`
FROM `crypto`.`defi_chains`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `name`;
