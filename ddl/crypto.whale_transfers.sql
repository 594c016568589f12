-- crypto.whale_transfers: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`whale_transfers`
(
    `blockchain` LowCardinality(String),
    `id` String,
    `at` DateTime,
    `symbol` LowCardinality(String),
    `transaction_type` LowCardinality(String),
    `hash` String,
    `amount` Float64,
    `amount_usd` Float64,
    `transaction_count` UInt32,
    `from_address` Nullable(String),
    `from_owner` Nullable(String),
    `from_owner_type` LowCardinality(Nullable(String)),
    `to_address` Nullable(String),
    `to_owner` Nullable(String),
    `to_owner_type` LowCardinality(Nullable(String)),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`blockchain`, `id`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Large transfers, from ten minutes before the last known one on (the free plan reaches one hour back)';

CREATE VIEW IF NOT EXISTS `crypto`.`whale_transfers_latest` AS
SELECT `blockchain`, `id`, `at`, `symbol`, `transaction_type`, `hash`, `amount`, `amount_usd`, `transaction_count`, `from_address`, `from_owner`, `from_owner_type`, `to_address`, `to_owner`, `to_owner_type`
FROM `crypto`.`whale_transfers`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `blockchain`, `id`;
