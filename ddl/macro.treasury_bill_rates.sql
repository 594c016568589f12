-- macro.treasury_bill_rates: made by `nexus-engine ddl` from the feed's spec; do not edit by hand.

CREATE DATABASE IF NOT EXISTS `macro`;

CREATE TABLE IF NOT EXISTS `macro`.`treasury_bill_rates`
(
    `date` Date,
    `ROUND_B1_CLOSE_4WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_4WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_6WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_6WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_8WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_8WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_13WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_13WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_17WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_17WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_26WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_26WK_2` Nullable(Float64),
    `ROUND_B1_CLOSE_52WK_2` Nullable(Float64),
    `ROUND_B1_YIELD_52WK_2` Nullable(Float64),
    `_nexus_batch` UUID MATERIALIZED toUUID('00000000-0000-0000-0000-000000000000'),
    `_nexus_row` UInt32 MATERIALIZED 0
)
ENGINE = MergeTree
ORDER BY `date`
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Daily Treasury bill rates, bank discount (CLOSE) and coupon equivalent (YIELD); a term not on offer is null';

CREATE VIEW IF NOT EXISTS `macro`.`treasury_bill_rates_latest` AS
SELECT `date`, `ROUND_B1_CLOSE_4WK_2`, `ROUND_B1_YIELD_4WK_2`, `ROUND_B1_CLOSE_6WK_2`, `ROUND_B1_YIELD_6WK_2`, `ROUND_B1_CLOSE_8WK_2`, `ROUND_B1_YIELD_8WK_2`, `ROUND_B1_CLOSE_13WK_2`, `ROUND_B1_YIELD_13WK_2`, `ROUND_B1_CLOSE_17WK_2`, `ROUND_B1_YIELD_17WK_2`, `ROUND_B1_CLOSE_26WK_2`, `ROUND_B1_YIELD_26WK_2`, `ROUND_B1_CLOSE_52WK_2`, `ROUND_B1_YIELD_52WK_2`
FROM `macro`.`treasury_bill_rates`
ORDER BY toUInt128(_nexus_batch) DESC, _nexus_row DESC
LIMIT 1 BY `date`;
