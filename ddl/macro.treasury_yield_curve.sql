-- macro.treasury_yield_curve: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`treasury_yield_curve`
(
    `date` Date,
    `BC_1MONTH` Nullable(Float64),
    `BC_1_5MONTH` Nullable(Float64),
    `BC_2MONTH` Nullable(Float64),
    `BC_3MONTH` Nullable(Float64),
    `BC_4MONTH` Nullable(Float64),
    `BC_6MONTH` Nullable(Float64),
    `BC_1YEAR` Nullable(Float64),
    `BC_2YEAR` Nullable(Float64),
    `BC_3YEAR` Nullable(Float64),
    `BC_5YEAR` Nullable(Float64),
    `BC_7YEAR` Nullable(Float64),
    `BC_10YEAR` Nullable(Float64),
    `BC_20YEAR` Nullable(Float64),
    `BC_30YEAR` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY `date`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Daily par yield curve, one row a date; tenors come and go over the years, an absent one is null';

CREATE VIEW IF NOT EXISTS `macro`.`treasury_yield_curve_latest` AS
SELECT `date`, `BC_1MONTH`, `BC_1_5MONTH`, `BC_2MONTH`, `BC_3MONTH`, `BC_4MONTH`, `BC_6MONTH`, `BC_1YEAR`, `BC_2YEAR`, `BC_3YEAR`, `BC_5YEAR`, `BC_7YEAR`, `BC_10YEAR`, `BC_20YEAR`, `BC_30YEAR`
FROM `macro`.`treasury_yield_curve`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `date`;
