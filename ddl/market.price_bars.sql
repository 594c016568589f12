-- market.price_bars: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `market`;

CREATE TABLE IF NOT EXISTS `market`.`price_bars`
(
    `symbol` LowCardinality(String),
    `interval` LowCardinality(String),
    `at` DateTime,
    `currency` LowCardinality(Nullable(String)),
    `timezone` LowCardinality(String),
    `open` Nullable(Float64),
    `high` Nullable(Float64),
    `low` Nullable(Float64),
    `close` Nullable(Float64),
    `adjusted_close` Nullable(Float64),
    `volume` Nullable(UInt64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY (`symbol`, `interval`, `at`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Daily bars up to yesterday, because today\'s changes; a split rescales all history, then \`state reset\` this feed';

CREATE VIEW IF NOT EXISTS `market`.`price_bars_latest` AS
SELECT `symbol`, `interval`, `at`, `currency`, `timezone`, `open`, `high`, `low`, `close`, `adjusted_close`, `volume`
FROM `market`.`price_bars`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `symbol`, `interval`, `at`;
