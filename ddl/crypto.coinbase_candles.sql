-- crypto.coinbase_candles: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`coinbase_candles`
(
    `product` LowCardinality(String),
    `seconds` UInt32,
    `at` DateTime,
    `open` Float64,
    `high` Float64,
    `low` Float64,
    `close` Float64,
    `volume` Float64,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`product`, `seconds`, `at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Candles of Coinbase Exchange, at most 300 an answer and newest first; the last one is still open and is asked for again';

CREATE VIEW IF NOT EXISTS `crypto`.`coinbase_candles_latest` AS
SELECT `product`, `seconds`, `at`, `open`, `high`, `low`, `close`, `volume`
FROM `crypto`.`coinbase_candles`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `product`, `seconds`, `at`;
