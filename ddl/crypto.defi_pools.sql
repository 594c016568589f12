-- crypto.defi_pools: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`defi_pools`
(
    `pool` String,
    `chain` LowCardinality(String),
    `project` LowCardinality(String),
    `symbol` String,
    `tvl_usd` Nullable(Float64),
    `apy` Nullable(Float64),
    `apy_base` Nullable(Float64),
    `apy_reward` Nullable(Float64),
    `stablecoin` Nullable(Bool),
    `il_risk` LowCardinality(Nullable(String)),
    `pool_meta` Nullable(String),
    `reward_tokens` Nullable(String),
    `underlying_tokens` Nullable(String),
    `snapshot_at` DateTime,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`pool`, `snapshot_at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Yields of every DeFi pool, hourly; a row is kept for each change';

CREATE VIEW IF NOT EXISTS `crypto`.`defi_pools_latest` AS
SELECT `pool`, `chain`, `project`, `symbol`, `tvl_usd`, `apy`, `apy_base`, `apy_reward`, `stablecoin`, `il_risk`, `pool_meta`, `reward_tokens`, `underlying_tokens`, `snapshot_at`
FROM `crypto`.`defi_pools`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `pool`;
