-- crypto.kraken_ohlc: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `crypto`;

CREATE TABLE IF NOT EXISTS `crypto`.`kraken_ohlc`
(
    `pair` LowCardinality(String),
    `at` DateTime,
    `open` Decimal(38, 10),
    `high` Decimal(38, 10),
    `low` Decimal(38, 10),
    `close` Decimal(38, 10),
    `vwap` Decimal(38, 10),
    `volume` Decimal(38, 10),
    `trades` UInt64,
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`pair`, `at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Daily candles of two pairs at Kraken, the last 720; the newest is still open and is asked for again';

CREATE VIEW IF NOT EXISTS `crypto`.`kraken_ohlc_latest` AS
SELECT `pair`, `at`, `open`, `high`, `low`, `close`, `vwap`, `volume`, `trades`
FROM `crypto`.`kraken_ohlc`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `pair`, `at`;
