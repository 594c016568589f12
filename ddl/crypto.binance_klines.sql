-- crypto.binance_klines: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`binance_klines`
(
    `symbol` LowCardinality(String),
    `interval` LowCardinality(String),
    `at` DateTime,
    `open` Decimal(38, 10),
    `high` Decimal(38, 10),
    `low` Decimal(38, 10),
    `close` Decimal(38, 10),
    `volume` Decimal(38, 10),
    `quote_volume` Decimal(38, 10),
    `trades` UInt64,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`symbol`, `interval`, `at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Candles of Binance spot; the last one is still open and is asked for again';

CREATE VIEW IF NOT EXISTS `crypto`.`binance_klines_latest` AS
SELECT `symbol`, `interval`, `at`, `open`, `high`, `low`, `close`, `volume`, `quote_volume`, `trades`
FROM `crypto`.`binance_klines`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `symbol`, `interval`, `at`;
