-- crypto.coin_prices: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`coin_prices`
(
    `coin` LowCardinality(String),
    `at` DateTime,
    `symbol` LowCardinality(String),
    `price` Float64,
    `confidence` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`coin`, `at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Prices of coins; the answer is an object by coin, and a coin it does not know is left out';

CREATE VIEW IF NOT EXISTS `crypto`.`coin_prices_latest` AS
SELECT `coin`, `at`, `symbol`, `price`, `confidence`
FROM `crypto`.`coin_prices`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `coin`, `at`;
